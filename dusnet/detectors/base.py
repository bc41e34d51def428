"""What every detector promises, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from dusnet.cloud import PointCloud
    from dusnet.detectors.calibration import Calibration
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
            The value is a distance to the reconstruction as a fraction of the class's bounding radius.
        object_score: one number for the whole scan, pooled from the point scores.
        distances: distance to the reconstruction in the unit of the scan, (N,) float32, or None.
        deviation: how far each point is outside of where a good part would have it, along the outward normal, in the
            unit of the scan, (N,) float32; positive is excess material, negative is a lack. None: not known.
        missing: places of a good part that were looked at and are not there, unit and pose of the scan, (K, 3) float64;
            None when the detector does not look for them.
        feet: where a good part would have each point, unit and pose of the scan, (N, 3) float64; None: not known.
        places: of a good part, unit and pose of the scan, (M, 3) float64; None: not known.
        score_length: length that a point score of 1 stands for, the unit of the scan; None where scores are no lengths.
        reconstruction: the anomaly-free surface in the unit and pose of the scan, (M, 3) float64, or None.
        threshold: object score above which the scan is anomalous, or None when the detector is not calibrated.
        point_threshold: point score above which a point belongs to a defect, or None.
        is_anomalous: `object_score > threshold`, or None without a threshold.
        alignment: how the scan was brought into the frame of the class, or None.
        stray: points far from all others that nothing was measured with, (N,) bool, or None where there are none; their
            scores and lengths are zero.
        unseen: share of the part that the scan leaves out and that nothing is said about, 0 to 1, or None: pieces too
            big for a defect, and those that good scans leave out here and there.
        hidden: share of the part that is part of `unseen` because the scanner could not see it: the scan shows one side
            only of a part that training scans show whole. 0 for any other scan.
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
    feet: NDArray[np.float64] | None = None
    places: NDArray[np.float64] | None = None
    score_length: float | None = None
    reconstruction: NDArray[np.float64] | None = None
    threshold: float | None = None
    point_threshold: float | None = None
    is_anomalous: bool | None = None
    alignment: Alignment | None = None
    stray: NDArray[np.bool_] | None = None
    unseen: float | None = None
    hidden: float = 0.0
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
            feet=None if self.feet is None else clean.spread(self.feet),
            stray=clean.stray_mask,
            warnings=(*self.warnings, *clean.notes),
        )

    @property
    def view(self) -> bool:
        """Whether the scan shows one side only of a part that training scans show whole."""
        return self.hidden > 0.0

    @property
    def high_point(self) -> float:
        """The point score that one point in a thousand exceeds."""
        return float(np.quantile(self.point_scores, self.HIGH))


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
