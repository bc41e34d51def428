"""What a detector expects of a scan, from what it knows of its training scans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dusnet.cloud import PointCloud
from dusnet.detectors.registered import RegisteredDetector
from dusnet.geometry.scan_sizes import SPAN, size_of, size_words, unit_words
from dusnet.inspection.verdict import Expectations, decide

if TYPE_CHECKING:
    from dusnet.detectors import Detector, Scores


def expectations(detector: Detector) -> Expectations:
    """What good scans of its class look like, as far as it knows."""
    if not isinstance(detector, RegisteredDetector):
        return Expectations()
    frame = detector.class_frame
    return Expectations(residual=frame.residual, points=frame.points, unseen=frame.unseen, scale=frame.frame.scale)


def doubts(detector: Detector, scores: Scores, cloud: PointCloud) -> list[str]:
    """Why the score of a good scan cannot be believed: its size first, which explains the others."""
    verdict = decide(scores, cloud.points, expected=expectations(detector))
    return [*_size_doubt(detector, cloud), *(one.text for one in verdict.reasons if one.is_doubt)]


def _size_doubt(detector: Detector, cloud: PointCloud) -> list[str]:
    """What to say of a scan that is not as large as the training scans, in a list that is empty where it is."""
    if not isinstance(detector, RegisteredDetector):
        return []
    ratio = size_of(cloud.points) / size_of(detector.class_frame.reference)
    if 1.0 / SPAN <= ratio <= SPAN:
        return []
    return [f"It is {size_words(ratio)} than the training scans{unit_words(ratio)}; convert it, or say its unit."]
