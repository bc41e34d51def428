"""What the guided networks learn from: scans of many random solids, good but for pseudo-defects with exact targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dusnet.cloud import Frame
from dusnet.config import WarpSettings
from dusnet.detectors.dusnet.groups import GuidedScan
from dusnet.detectors.dusnet.settings import GuideSettings
from dusnet.detectors.dusnet.solid_scans import SolidScans
from dusnet.geometry.normals import tensor_normals
from dusnet.geometry.sampling import thin_to
from dusnet.registration.good_surface import GoodSurface
from dusnet.synthesis.pseudo_defects import FEWEST_POINTS, KINDS, pseudo_defects
from dusnet.synthesis.surface import Floats

TRAINING_SCANS = (1, 4)
SCANS = 4
"""Damaged scans per solid."""
DEFECTS = 7
"""A scan has less than this many pseudo-defects, and may have none."""
DEFECT_KINDS = (*KINDS, "crack", "crack", "hole")
"""Missing material is harder to see than displaced material, and is shown more often."""
MISALIGNED = (0.4, 0.003)
"""Standard deviations of what registration leaves over: degrees, and a shift as a fraction of the frame."""


@dataclass(frozen=True)
class DamagedScan:
    """One scan with pseudo-defects beside the good surface of its part.

    Attributes:
        seen: what the network sees.
        clean: where every point lay before, in the reference shape, (N, 3) float32.
        wrong: which points belong to a defect, (N,) bool.
    """

    seen: GuidedScan
    clean: Tensor
    wrong: Tensor


def damaged_scans_of(seed: int, number: int, warp: WarpSettings, guide: GuideSettings) -> list[DamagedScan]:
    """Make a random solid, learn its good surface from a few scans, and damage a few others.

    Args:
        seed: of the pre-training.
        number: of the solid; nothing but the two decides what comes out.
        warp: how smooth variation is taken away.
        guide: how groups are cut.
    """
    rng = np.random.default_rng((seed, number))
    drawing = int(rng.integers(2**63))
    solid = SolidScans.draw(f"solid{number}", drawing, rng)
    count = int(rng.integers(*TRAINING_SCANS, endpoint=True))
    good = [solid.good(rng) for _ in range(count)]
    frame = Frame.of(np.concatenate(good))
    clouds = [torch.from_numpy(_misaligned(frame.apply(points), rng)).float() for points in good]
    surface = GoodSurface.learn(clouds, warp, seed=0)
    made = []
    for _ in range(SCANS):
        points = frame.apply(solid.test(rng))
        points = points[thin_to(points, guide.centers, rng)]
        if len(points) >= FEWEST_POINTS:
            made.append(_damaged(_misaligned(points, rng), surface, guide, solid, rng))
    return made


def _damaged(
    points: Floats, surface: GoodSurface, guide: GuideSettings, solid: SolidScans, rng: np.random.Generator
) -> DamagedScan:
    cloud = torch.from_numpy(points)
    normals = tensor_normals(cloud, cloud).numpy()
    count = int(rng.integers(DEFECTS))
    damaged, clean, wrong = points, points, np.zeros(len(points), dtype=bool)
    if count:
        depths, reach = solid.depths(rng), solid.reach
        made = pseudo_defects(points, normals, rng, count=count, kind=DEFECT_KINDS, radius=reach, amplitude=depths)
        damaged, clean, wrong = made.points, made.clean, made.mask
    found = surface.compare(torch.from_numpy(damaged).float())
    target = found.warp.remove(torch.from_numpy(clean).float())
    return DamagedScan(GuidedScan.of(found, surface, guide, seed=0), target, torch.from_numpy(wrong))


def _misaligned(points: Floats, rng: np.random.Generator) -> Floats:
    from scipy.spatial.transform import Rotation

    degrees, shift = MISALIGNED
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * rng.normal(size=3)).as_matrix()
    moved: Floats = points @ turn.T + shift * rng.normal(size=3)
    return moved
