"""The classes of a likeness of Anomaly-ShapeNet: thin-walled household things, some of them in several instances."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from manifold3d import Manifold

from dusnet.io import Mesh
from dusnet.synthesis import shapes_household as household
from dusnet.synthesis import shapes_machined as machined
from dusnet.synthesis import shapes_revolved as revolved
from dusnet.synthesis.solids import Sizes, as_mesh

THINGS: dict[str, Callable[[Sizes], Manifold]] = {
    "ashtray0": household.ashtray,
    "bag0": household.bag,
    "bottle0": partial(revolved.bottle, thickness=1.6),
    "bottle1": household.flask,
    "bowl0": partial(revolved.bowl, thickness=1.5),
    "bowl1": household.flat_bowl,
    "bowl2": household.deep_bowl,
    "bucket0": household.bucket,
    "cap0": household.cap,
    "cap1": household.flat_cap,
    "cup0": partial(revolved.cup, thickness=1.4),
    "cup1": household.beaker,
    "dish0": household.dish,
    "eraser0": household.eraser,
    "headset0": household.headset,
    "helmet0": household.helmet,
    "helmet1": household.cycle_helmet,
    "jar0": household.jar,
    "microphone0": household.microphone,
    "shelf0": household.shelf,
    "tap0": machined.tap,
    "tap1": household.spout,
    "tray0": household.tray,
    "vase0": partial(revolved.vase, thickness=1.6),
    "vase1": household.flared_vase,
    "vase2": household.round_vase,
}


def thing(name: str) -> Mesh:
    """The closed surface of one of `THINGS`, both sides of its walls; mm."""
    return as_mesh(THINGS[name](Sizes(np.random.default_rng(0), 0.0)))
