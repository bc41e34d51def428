"""What the guided networks learn from: scans of many random solids, good but for pseudo-defects with exact targets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dusnet.cloud import Frame
from dusnet.config import WarpSettings
from dusnet.detectors.dusnet.groups import GuidedScan
from dusnet.detectors.dusnet.settings import GuideSettings
from dusnet.geometry.normals import tensor_normals
from dusnet.registration.good_surface import GoodSurface
from dusnet.synthesis.pseudo_defects import FEWEST_POINTS, KINDS, pseudo_defects
from dusnet.synthesis.random_solids import random_solid, similar_solid
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.specimens import GOOD, PartClass, make_scan

TRAINING_SCANS = (1, 4)
POINTS = (3000, 14_000)
NOISE = (0.0004, 0.003)
VARIATION = 0.025
JITTERED = 0.4
"""Share of the solids whose sizes differ from specimen to specimen, which is variation that is not smooth."""
JITTER = (0.005, 0.025)
SINGLE_VIEWS = 0.4
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
    mesh = random_solid(np.random.default_rng(drawing))
    radius = Frame.of(mesh.vertices).scale
    part = PartClass(
        f"solid{number}", mesh, mesh, radius, partial(similar_solid, drawing, mesh), reach=None, closed=True
    )
    settings = BenchmarkSettings(
        parts=(part.name,),
        variation=float(rng.uniform(0, VARIATION)),
        jitter=float(rng.uniform(*JITTER)) if rng.random() < JITTERED else 0.0,
        points=int(np.exp(rng.uniform(*np.log(POINTS)))),
        noise=float(np.exp(rng.uniform(*np.log(NOISE)))),
        even=bool(rng.random() < 0.4),
        pose="fixed",
    )
    count = int(rng.integers(*TRAINING_SCANS, endpoint=True))
    good = [make_scan(part, GOOD, rng, settings, train=True).points for _ in range(count)]
    frame = Frame.of(np.concatenate(good))
    clouds = [torch.from_numpy(_misaligned(frame.apply(points), rng)).float() for points in good]
    surface = GoodSurface.learn(clouds, warp, seed=0)
    made = []
    for _ in range(SCANS):
        view = "single" if rng.random() < SINGLE_VIEWS else "full"
        scan = make_scan(part, GOOD, rng, settings.model_copy(update={"view": view}), train=False)
        if len(scan) >= FEWEST_POINTS:
            made.append(_damaged(_misaligned(frame.apply(scan.points), rng), surface, guide, rng))
    return made


def _damaged(points: np.ndarray, surface: GoodSurface, guide: GuideSettings, rng: np.random.Generator) -> DamagedScan:
    cloud = torch.from_numpy(points)
    normals = tensor_normals(cloud, cloud).numpy()
    count = int(rng.integers(DEFECTS))
    damaged, clean, wrong = points, points, np.zeros(len(points), dtype=bool)
    if count:
        made = pseudo_defects(
            points, normals, rng, count=count, kind=DEFECT_KINDS, radius=(0.04, 0.3), amplitude=(0.012, 0.1)
        )
        damaged, clean, wrong = made.points, made.clean, made.mask
    found = surface.compare(torch.from_numpy(damaged).float())
    target = found.warp.remove(torch.from_numpy(clean).float())
    return DamagedScan(GuidedScan.of(found, surface, guide, seed=0), target, torch.from_numpy(wrong))


def _misaligned(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    degrees, shift = MISALIGNED
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * rng.normal(size=3)).as_matrix()
    moved: np.ndarray = points @ turn.T + shift * rng.normal(size=3)
    return moved
