"""The procedural parts of the embedded benchmark, in mm."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import numpy as np
from manifold3d import Manifold

from dusnet.errors import BadInput
from dusnet.io import Mesh
from dusnet.synthesis import shapes_machined as machined
from dusnet.synthesis import shapes_revolved as revolved
from dusnet.synthesis.solids import Sizes, as_mesh

PARTS: dict[str, Callable[[Sizes], Manifold]] = {
    "bolt": machined.bolt,
    "bottle": revolved.bottle,
    "bowl": revolved.bowl,
    "bracket": machined.bracket,
    "cup": revolved.cup,
    "elbow": machined.elbow,
    "flange": revolved.flange,
    "funnel": revolved.funnel,
    "gear": machined.gear,
    "handwheel": revolved.handwheel,
    "hook": machined.hook,
    "housing": machined.housing,
    "pulley": revolved.pulley,
    "rod": machined.rod,
    "tap": machined.tap,
    "vase": revolved.vase,
}


def make_part(name: str, generator: np.random.Generator, jitter: float) -> Mesh:
    """The closed surface of one specimen of a part; no faces inside of the material.

    Args:
        name: one of `PARTS`.
        generator: source of the jitter.
        jitter: every main dimension is its nominal value times a factor from 1 - jitter to 1 + jitter; 0 to 0.1.

    Returns:
        Vertices in mm; faces counter-clockwise seen from outside.

    Raises:
        BadInput: there is no such part.
    """
    if name not in PARTS:
        near = difflib.get_close_matches(name, PARTS, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(PARTS)}."
        raise BadInput(f"there is no part named {name!r}; {hint}")
    return as_mesh(PARTS[name](Sizes(generator, jitter)))
