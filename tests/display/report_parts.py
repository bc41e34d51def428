"""Scans, answers and results for the tests of reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from written_results import written_result

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.detectors.calibration import Calibration, GoodScores
from dusnet.registration import Alignment
from dusnet.result import Result

CALIBRATION = Calibration(
    left_out=GoodScores((0.004, 0.005, 0.0055, 0.006, 0.008), (0.005, 0.006, 0.007, 0.0075, 0.008)), source="5 scans"
)
CENTERS = np.array([[60.0, 0.0, 0.0], [0.0, -40.0, 0.0], [0.0, 0.0, 25.0]])


def ellipsoid(count: int, seed: int = 0) -> np.ndarray:
    """Points on an ellipsoid of 120 x 80 x 50."""
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * [60.0, 40.0, 25.0]


def answer(points: np.ndarray, defects: int = 3, **changes) -> Scores:
    """Scores with so many defects, centred at `CENTERS`."""
    values = np.abs(np.random.default_rng(1).normal(size=len(points))) * 0.001
    for center in CENTERS[:defects]:
        values += 0.03 * np.exp(-((np.linalg.norm(points - center, axis=1) / 7.0) ** 2))
    values = values.astype(np.float32)
    given = Scores(
        values,
        float(values.max()),
        distances=values * 70,
        reconstruction=points[::3] * 0.999,
        threshold=0.009,
        point_threshold=0.008,
        is_anomalous=bool(values.max() > 0.009),
        alignment=Alignment(np.eye(4), 0.002, 0.99, "icp"),
        timings={"total": 0.5},
    )
    return replace(given, **changes)


def scored(
    out: Path, count: int = 3000, *, name: str = "part.ply", defects: int = 3, unit: str | None = "mm", **changes
) -> tuple[Result, PointCloud, Scores]:
    """A scan with its written result."""
    points = ellipsoid(count)
    cloud = PointCloud(points, path=Path("scans") / name)
    scores = answer(points, defects, **changes)
    result = written_result(out, cloud, scores, model="m.safetensors", sha256="ab" * 32, unit=unit, stem="part")
    return result, cloud, scores
