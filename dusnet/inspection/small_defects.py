"""Whether a threshold lets small defects through: what training scans with one of known size score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

import numpy as np

from dusnet.cloud import Frame, PointCloud
from dusnet.detectors.base import Detector
from dusnet.geometry.normals import estimate_normals
from dusnet.synthesis.pseudo_defects import FEWEST_POINTS, pseudo_defects

HEIGHT = 0.02
"""Height of a small defect, fraction of the part's radius."""
REACH = (0.12, 0.25)
"""Its reach from the middle, fractions of the radius: large enough to be seen, too local to be variation of shape."""
KIND = "bulge"
"""A dent cannot be as deep in a thin wall, and would say that the threshold is too high where it is not."""
CREDIT = 2 * HEIGHT
"""What a bulge counts for at least where scores are lengths: its height, and as much again for the probability of a
defect (`scoring.defect_weight`). A wide bulge that the warp takes for variation must not make a low threshold look too
high."""
MOST = 8
"""Scans with a small defect that are scored at most."""


def with_small_defect(cloud: PointCloud, rng: np.random.Generator) -> PointCloud | None:
    """The scan with one bulge that is `HEIGHT` of its radius high; None where it has too few points for one."""
    if len(cloud) < FEWEST_POINTS:
        return None
    points = cloud.points - cloud.points.mean(axis=0)
    damaged = pseudo_defects(
        points,
        estimate_normals(points),
        rng,
        kind=KIND,
        radius=REACH,
        amplitude=(HEIGHT, HEIGHT),
        scale=Frame.of(points).scale,
    )
    return replace(cloud, points=damaged.points + cloud.points.mean(axis=0))


def score_small_defects(
    detector: Detector, scans: Sequence[tuple[PointCloud, float]], enough: float, rng: np.random.Generator
) -> tuple[tuple[float, float], ...]:
    """Score good scans again with a small defect each, until one scores more than `enough`.

    The scans are those that the detector learned from: whatever they score besides the defect is least.

    Args:
        detector: that scored them.
        scans: training scans and their object scores; they take turns.
        enough: the highest threshold that the answer has to be good for.
        rng: where and how the defects are.

    Returns:
        Object score without and with the defect, for as many scans as were needed.
    """
    found: list[tuple[float, float]] = []
    least = CREDIT if getattr(detector, "scores_are_lengths", False) else 0.0
    for cloud, clean in islice(cycle(scans), MOST):
        damaged = with_small_defect(cloud, rng)
        if damaged is None:
            continue
        found.append((clean, max(detector.score(damaged, explain=False).object_score, least)))
        if found[-1][0] <= enough < found[-1][1]:
            break
    return tuple(found)
