"""Good scans of one random solid, of one of three kinds of scanning that the networks must know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dusnet.cloud import Frame
from dusnet.io import Mesh
from dusnet.synthesis.cloud_patches import Range
from dusnet.synthesis.likeness.real3d_ad_settings import Real3dAdLike
from dusnet.synthesis.likeness.toy_scans import ScannedToy
from dusnet.synthesis.random_solids import random_solid, similar_solid
from dusnet.synthesis.relief import grain
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.specimens import GOOD, PartClass, make_scan
from dusnet.synthesis.surface import Floats, log_uniform

SHARES = {"varied": 0.5, "equal": 0.25, "turntable": 0.25}
"""How often solids are scanned: parts that vary, parts that are all equal (even points, little noise), cast parts on a
turntable (relief, one side per scan, templates of two halves)."""
POINTS = (3000, 14_000)
"""Of a scan from all around."""
NOISE = (0.0004, 0.003)
"""Standard deviation in bounding radii, as all lengths here, of scans of varied parts."""
LITTLE_NOISE = (0.0001, 0.0006)
"""Of scans of equal parts."""
VARIATION = 0.025
JITTERED = 0.4
"""Share of the varied solids whose sizes differ from specimen to specimen, which is variation that is not smooth."""
JITTER = (0.005, 0.025)
EVEN = 0.4
"""Share of the varied solids whose points lie evenly."""
SINGLE_VIEWS = 0.4
"""Share of the scans of varied solids that show one side."""
TURNTABLE = {"spacing": (0.008, 0.016), "density_ratio": (0.6, 2.5), "density_spread": 3.0, "noise": (0.0004, 0.002)}
"""Settings of the turntable that differ from those of the likeness of Real3D-AD: fewer points, more noise levels."""
TURNTABLE_VARIATION = 0.01
GRAIN = (0.0005, 0.003)
"""Height of the relief of a cast surface."""
MOST_DEPTH = 0.1
"""Of a pseudo-defect, in the frame."""
LEAST_DEPTH = {"varied": 0.012, "equal": 0.008, "turntable": 0.005}
"""Smallest depth of a pseudo-defect by kind of scanning, in the frame: less cannot be told from noise and variation."""
REACH = {"varied": (0.04, 0.3), "equal": (0.03, 0.3), "turntable": (0.03, 0.3)}
"""Of a pseudo-defect, in the frame."""


@dataclass(frozen=True)
class SolidScans:
    """How one solid is scanned.

    Attributes:
        good: makes a training scan with a generator, (N, 3) mm; all are in one pose.
        test: makes a scan to damage, (N, 3) mm, in the same pose.
        kind: of scanning, a key of `SHARES`.
    """

    good: Callable[[np.random.Generator], Floats]
    test: Callable[[np.random.Generator], Floats]
    kind: str

    @property
    def reach(self) -> Range:
        """Smallest and largest reach of a pseudo-defect, in the frame."""
        return REACH[self.kind]

    def depths(self, rng: np.random.Generator) -> Range:
        """Smallest and largest depth of the pseudo-defects of one scan, in the frame."""
        least = LEAST_DEPTH[self.kind]
        if self.kind == "varied":
            return least, MOST_DEPTH
        # Most defects of the archives are shallow: with one range for all, few scans would show shallow ones alone.
        return least, log_uniform(rng, 2.0 * least, MOST_DEPTH)

    @classmethod
    def draw(cls, name: str, drawing: int, rng: np.random.Generator) -> SolidScans:
        """Draw a kind of scanning.

        Args:
            name: of the solid.
            drawing: seed of its shape.
            rng: of everything else.
        """
        mesh = random_solid(np.random.default_rng(drawing))
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        if kind == "turntable":
            return cls(*_on_turntable(mesh, rng), kind)
        return cls(*_all_around(name, drawing, mesh, kind == "varied", rng), kind)


def _all_around(
    name: str, drawing: int, mesh: Mesh, varied: bool, rng: np.random.Generator
) -> tuple[Callable[[np.random.Generator], Floats], Callable[[np.random.Generator], Floats]]:
    radius = Frame.of(mesh.vertices).scale
    part = PartClass(name, mesh, mesh, radius, partial(similar_solid, drawing, mesh), reach=None, closed=True)
    settings = BenchmarkSettings(
        parts=(name,),
        variation=float(rng.uniform(0, VARIATION)) if varied else 0.0,
        jitter=float(rng.uniform(*JITTER)) if varied and rng.random() < JITTERED else 0.0,
        points=int(log_uniform(rng, *POINTS)),
        noise=log_uniform(rng, *(NOISE if varied else LITTLE_NOISE)),
        even=not varied or bool(rng.random() < EVEN),
        pose="fixed",
    )

    def good(generator: np.random.Generator) -> Floats:
        return make_scan(part, GOOD, generator, settings, train=True).points

    def test(generator: np.random.Generator) -> Floats:
        view = "single" if varied and generator.random() < SINGLE_VIEWS else "full"
        return make_scan(part, GOOD, generator, settings.model_copy(update={"view": view}), train=False).points

    return good, test


def _on_turntable(
    mesh: Mesh, rng: np.random.Generator
) -> tuple[Callable[[np.random.Generator], Floats], Callable[[np.random.Generator], Floats]]:
    settings = Real3dAdLike.model_validate({**TURNTABLE, "variation": float(rng.uniform(0, TURNTABLE_VARIATION))})
    relief = grain(int(rng.integers(2**31)), log_uniform(rng, *GRAIN))
    toy = ScannedToy.of(mesh, relief, settings, rng)
    return toy.template, lambda generator: toy.test(GOOD, generator).points
