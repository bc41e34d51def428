"""Results on disk for the tests of viewers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from written_results import result_of

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.inspection.verdict import Reason, Status, Verdict
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
    given = Scores(scores, 2.5, threshold=1.0, point_threshold=THRESHOLD, is_anomalous=True)
    verdict = Verdict(Status.NG, (Reason("a", "The score 2.5 is above <1>."),))
    record = result_of(PointCloud(points), given, stem=stem, unit="mm", verdict=verdict).record
    (folder / f"{stem}.json").write_text(json.dumps(record | changes))
    return folder / f"{stem}.scored.ply"
