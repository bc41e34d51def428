"""Corrupted test scans, to measure robustness: a piece is missing, or the points are noisy (DUS-Net, Table 9)."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dusnet.cloud import Frame, PointCloud
from dusnet.config import Section

_DRAWS = 32
_LEFT = 0.5


class Corruption(Section):
    """What is done to a test scan; training scans stay as they are."""

    removed: float = Field(default=0.0, ge=0, lt=1, description="share of the points, cut out in one piece")
    noise: float = Field(
        default=0.0, ge=0, description="Gaussian noise on every coordinate, fraction of the scan's bounding radius"
    )


def corrupt(cloud: PointCloud, corruption: Corruption, *, seed: int, name: str) -> PointCloud:
    """The scan as a worse one with the labels that belong to it.

    The missing piece is everything nearest to a random point of the scan. It leaves at least half of a defect's points
    if any of 32 such points does, else as many as possible: a scan whose defect is gone would count as missed.

    Args:
        cloud: the scan, (N, 3) in any unit.
        corruption: what to do.
        seed: with `name` the only source of randomness, so that all detectors see the same scan.
        name: identifies the scan.

    Returns:
        A cloud of N - round(removed N) points, at least one, in their order, without normals where they moved.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
    radius = Frame.of(cloud.points).scale
    kept = _without_a_piece(cloud, corruption.removed, rng) if corruption.removed else np.arange(len(cloud))
    worse = cloud.select(kept)
    if not corruption.noise:
        return worse
    moved = worse.points + rng.normal(scale=corruption.noise * radius, size=worse.points.shape)
    return PointCloud(moved, None, worse.colors, worse.labels, worse.path, worse.notes)


def _without_a_piece(cloud: PointCloud, share: float, rng: np.random.Generator) -> NDArray[np.intp]:
    count = max(1, len(cloud) - round(share * len(cloud)))
    best, most = np.arange(len(cloud)), -1
    defect = 0 if cloud.labels is None else int(cloud.labels.sum())
    for middle in rng.integers(len(cloud), size=_DRAWS):
        distance = np.linalg.norm(cloud.points - cloud.points[middle], axis=1)
        kept = np.sort(np.argsort(-distance, kind="stable")[:count])
        left = 0 if cloud.labels is None else int(cloud.labels[kept].sum())
        if left > most:
            best, most = kept, left
        if most >= _LEFT * defect:
            break
    return best
