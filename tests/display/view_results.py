"""Results on disk for the tests of viewers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.inspection.regions import find_regions
from dusnet.io import write_cloud

THRESHOLD = 0.9123456


def sphere(count: int = 1500) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def scores_of(points: np.ndarray) -> np.ndarray:
    """High in a cap around +z, higher in its middle; low elsewhere."""
    return np.where(points[:, 2] > 0.85, 3.0 * points[:, 2], 0.2).astype(np.float32)


def write_result(folder: Path, stem: str = "part", *, count: int = 1500, **changes: Any) -> Path:
    """`STEM.scored.ply` with its JSON and reconstruction; `changes` replace fields of the JSON."""
    points = sphere(count)
    scores = scores_of(points)
    write_cloud(folder / f"{stem}.scored.ply", PointCloud(points), scalars={"anomaly_score": scores})
    write_cloud(folder / f"{stem}.reconstruction.ply", PointCloud(points[::3]))
    regions = [region.record(number) for number, region in enumerate(find_regions(points, scores, THRESHOLD), start=1)]
    record = {
        "object_score": 2.5,
        "threshold": 1.0,
        "point_threshold": THRESHOLD,
        "unit": "mm",
        "verdict": {"status": "NG", "reasons": [{"code": "a", "text": "The score 2.5 is above <1>."}]},
        "regions": regions,
        "region_count": len(regions),
        "color_range": {"low": 0.0, "high": 2 * THRESHOLD, "source": "point_threshold"},
        **changes,
    }
    (folder / f"{stem}.json").write_text(json.dumps(record))
    return folder / f"{stem}.scored.ply"
