"""Calibrations that a test needs: limits that are what the test says."""

from __future__ import annotations

from typing import Any

from dusnet.detectors.calibration import Calibration, GoodScores


def limit_of(threshold: float, point_threshold: float | None = None, **more: Any) -> Calibration:
    """A calibration with this limit at every rate: of one good scan, with scores that do not scatter."""
    points = threshold if point_threshold is None else point_threshold
    return Calibration(left_out=GoodScores((threshold,), (points,)), source="by hand", spread=0.0, **more)
