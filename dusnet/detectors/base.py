"""What every detector promises, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from dusnet.cloud import PointCloud
    from dusnet.detectors.pose_cache import PoseCache
    from dusnet.detectors.settings import Settings
    from dusnet.geometry.clean_scan import CleanScan
    from dusnet.progress import Progress
    from dusnet.registration import Alignment


@dataclass(frozen=True)
class Scores:
    """The answer to one scan.

    Attributes:
        point_scores: anomaly score per input point, in the order of the input, (N,) float32; higher is more anomalous.
            The value is a distance to the reconstruction as a fraction of the class's bounding radius, corrected as the
            detector's settings say.
        object_score: one number for the whole scan, pooled from the point scores.
        distances: distance to the reconstruction in the unit of the scan, (N,) float32, or None.
        deviation: how far each point is outside of where a good part would have it, along the outward normal, in the
            unit of the scan, (N,) float32; positive is excess material, negative is a lack. None: not known.
        missing: places of a good part that were looked at and are not there, unit and pose of the scan, (K, 3) float64;
            None when the detector does not look for them.
        score_length: length that a point score of 1 stands for, the unit of the scan; None where scores are no lengths.
        reconstruction: the anomaly-free surface in the unit and pose of the scan, (M, 3) float64, or None.
        threshold: object score above which the scan is anomalous, or None when the detector is not calibrated.
        point_threshold: point score above which a point belongs to a defect, or None.
        is_anomalous: `object_score > threshold`, or None without a threshold.
        alignment: how the scan was brought into the frame of the class, or None.
        stray: points far from all others that nothing was measured with, (N,) bool, or None where there are none; their
            scores and lengths are zero.
        unseen: share of the part that the scan leaves out in one piece too big for a defect, 0 to 1, or None.
        part: which part a model of several took the scan for, None where it knows one only.
        likeness: similarity of the scan to every part that it was compared with, -1 to 1, by name; empty where the
            model knows one.
        timings: seconds per step.
        warnings: sentences for the user.
    """

    point_scores: NDArray[np.float32]
    object_score: float
    distances: NDArray[np.float32] | None = None
    deviation: NDArray[np.float32] | None = None
    missing: NDArray[np.float64] | None = None
    score_length: float | None = None
    reconstruction: NDArray[np.float64] | None = None
    threshold: float | None = None
    point_threshold: float | None = None
    is_anomalous: bool | None = None
    alignment: Alignment | None = None
    stray: NDArray[np.bool_] | None = None
    unseen: float | None = None
    part: str | None = None
    likeness: dict[str, float] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    HIGH: ClassVar[float] = 0.999

    def for_scan(self, clean: CleanScan) -> Scores:
        """The scores of the measured points as those of all points of the scan that they were chosen from."""
        if clean.source is None:
            return self
        return replace(
            self,
            point_scores=clean.spread(self.point_scores),
            distances=None if self.distances is None else clean.spread(self.distances),
            deviation=None if self.deviation is None else clean.spread(self.deviation),
            stray=clean.stray_mask,
            warnings=(*self.warnings, *clean.notes),
        )

    @property
    def high_point(self) -> float:
        """The point score that one point in a thousand exceeds."""
        return float(np.quantile(self.point_scores, self.HIGH))


@dataclass(frozen=True)
class Calibration:
    """What good scans score, and the thresholds that follow.

    Attributes:
        object_scores: object scores of good scans, ascending.
        point_scores: for each of them the score that one point in a thousand exceeds, ascending.
        source: where the good scans came from.
        left_out: those that training scans got from a model of the other training scans, ascending.
        added: those of good scans that came after training, ascending.
        small_defects: object scores of training scans without and with a bulge of 2 % of the part's radius.
    """

    object_scores: tuple[float, ...]
    point_scores: tuple[float, ...]
    source: str
    left_out: tuple[float, ...] = ()
    added: tuple[float, ...] = ()
    small_defects: tuple[tuple[float, float], ...] = ()

    def threshold(self, false_alarm: float) -> float:
        """Object score that a new good scan exceeds with probability at most `false_alarm`.

        The split-conformal quantile: the k-th smallest of n scores with k = ceil((n + 1)(1 - false_alarm)). It holds
        for scans exchangeable with the calibration scans: scans that were added are, once they are enough, and then
        they decide alone; simulated ones are as good as the simulation. When n is too small for the rate, k is n; see
        `supports`.
        """
        return _conformal(self.basis(false_alarm), false_alarm)

    def basis(self, false_alarm: float) -> tuple[float, ...]:
        """The object scores that decide on the threshold for this rate."""
        return self.added if _enough(len(self.added), false_alarm) else self.object_scores

    @property
    def point_threshold(self) -> float:
        """Point score above which a point is a defect: the middle good scan has one such point in a thousand."""
        return _conformal(self.point_scores, 0.5)

    def supports(self, false_alarm: float) -> bool:
        """Whether there are enough good scans to promise this rate."""
        return _enough(len(self.object_scores), false_alarm)

    def misses_small_defects(self, threshold: float) -> bool:
        """Whether no scan that is good without its small defect exceeds this threshold with it.

        False where none was scored.
        """
        scored = [damaged for clean, damaged in self.small_defects if clean <= threshold]
        return bool(scored) and max(scored) <= threshold

    def provenance(self, false_alarm: float) -> dict[str, Any]:
        """What the threshold for a rate rests on, as JSON."""
        alone = self.basis(false_alarm) is self.added
        simulated = len(self.object_scores) - len(self.left_out) - len(self.added)
        return {
            "false_alarm": false_alarm,
            "supported": self.supports(false_alarm),
            "good_scans": {
                "simulated": 0 if alone else simulated,
                "left_out": 0 if alone else len(self.left_out),
                "added": len(self.added),
            },
            "source": self.source,
        }

    def with_scans(self, scores: Sequence[Scores], source: str) -> Calibration:
        """The calibration with good scans added that the detector did not learn from."""
        objects = [one.object_score for one in scores]
        points = [one.high_point for one in scores]
        return Calibration(
            tuple(sorted([*self.object_scores, *objects])),
            tuple(sorted([*self.point_scores, *points])),
            f"{self.source}; {source}",
            self.left_out,
            tuple(sorted([*self.added, *objects])),
            self.small_defects,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "object_scores": list(self.object_scores),
            "point_scores": list(self.point_scores),
            "source": self.source,
            "left_out": list(self.left_out),
            "added": list(self.added),
            "small_defects": [list(pair) for pair in self.small_defects],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Calibration:
        """The inverse of `to_json`.

        Raises:
            KeyError, ValueError: the data are none of a calibration.
        """
        from dusnet.io.stored import Unusable, text

        objects, points = (_ascending(data[name], name) for name in ("object_scores", "point_scores"))
        left_out, added = (_ascending(data[name], name) for name in ("left_out", "added"))
        if not objects or len(objects) != len(points) or len(left_out) + len(added) > len(objects):
            raise Unusable("its calibration counts good scans that it does not have")
        source = text(data["source"], "source of the calibration")
        return cls(objects, points, source, left_out, added, _pairs(data["small_defects"]))


def _ascending(data: Any, what: str) -> tuple[float, ...]:
    from dusnet.io.stored import Unusable, numbers

    found = numbers(data, f"calibration, {what},")
    if any(low > high for low, high in pairwise(found)):
        raise Unusable(f"its calibration, {what}, is not in order")
    return found


def _pairs(data: Any) -> tuple[tuple[float, float], ...]:
    from dusnet.io.stored import Unusable, entries, numbers

    what = "calibration, small_defects,"
    found = [numbers(pair, what) for pair in entries(data, what)]
    if any(len(pair) != 2 for pair in found):
        raise Unusable("its calibration, small_defects, does not hold pairs")
    return tuple((clean, damaged) for clean, damaged in found)


def _enough(count: int, rate: float) -> bool:
    return count > 0 and math.ceil((count + 1) * (1 - rate)) <= count


def _conformal(scores: tuple[float, ...], rate: float) -> float:
    rank = math.ceil((len(scores) + 1) * (1 - rate))
    return scores[min(rank, len(scores)) - 1]


class Scorer(Protocol):
    """Whatever a model file holds: a detector, or several that share their networks."""

    @property
    def name(self) -> str:
        """Of the method."""

    @property
    def settings(self) -> Settings:
        """What it computes."""

    provenance: dict[str, Any]

    def score(self, cloud: PointCloud, *, explain: bool = True, progress: Progress | None = None) -> Scores:
        """Score one scan, in any pose that the registration can undo.

        Args:
            cloud: the scan.
            explain: also say what describes defects: `deviation` and `missing`.
            progress: where to report, None for nowhere.

        Raises:
            BadInput: the scan cannot be used.
        """

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """The detector of every part that it knows."""

    def detector_for(self, scores: Scores) -> Detector:
        """The detector of the part that a scan was taken for: its calibration and its frame are behind the scores."""

    def add_provenance(self, facts: Mapping[str, Any]) -> None:
        """Add to what the model file says of where it comes from; anything JSON can hold."""

    def save(self, path: Path) -> None:
        """Write one `.safetensors` file, atomically."""


class Detector(Scorer, Protocol):
    """A method that learns from defect-free clouds and scores others."""

    name: ClassVar[str]
    settings: Settings
    seed: int
    device: torch.device
    pose_cache: PoseCache | None
    calibration: Calibration | None

    @property
    def fits_in_seconds(self) -> bool:
        """Whether fitting is so quick that calibration may do it once per training scan."""

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Take a calibration in place of the one before; None for none."""

    def share_poses(self, poses: PoseCache | None) -> None:
        """Share the registration with other detectors of the class; call it before `fit`."""

    def fit(
        self,
        clouds: Sequence[PointCloud],
        *,
        progress: Progress | None = None,
        workdir: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Learn from defect-free clouds of one class.

        Args:
            clouds: at least one cloud, all in the same unit.
            progress: where to report, None for nowhere.
            workdir: folder for checkpoints and logs, or None to keep nothing.
            resume: continue from the checkpoints in `workdir`.

        Raises:
            BadInput: a cloud cannot be used.
        """
