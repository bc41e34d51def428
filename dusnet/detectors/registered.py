"""The part that all detectors in a class frame share: registration, calibration, files."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from dusnet.cloud import PointCloud, scan_mark
from dusnet.detectors.base import Scores
from dusnet.detectors.calibration import USUAL_SPREAD, Calibration
from dusnet.detectors.frame import ClassFrame
from dusnet.detectors.model_file import StoredModel, provenance_of, restoring, settings_of, write_model
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.pose_cache import PoseCache
from dusnet.detectors.settings import Settings
from dusnet.geometry.clean_scan import CleanScan, clean_clouds
from dusnet.geometry.visibility import Eye
from dusnet.io import printable
from dusnet.io.stored import mapping, whole
from dusnet.io.tensors import under
from dusnet.nn.finite import require_finite
from dusnet.progress import Progress, Silent
from dusnet.training.devices import require_device
from dusnet.words import counted

OUTLINE = 0.01
"""Fraction of the radius: points of defects of 2 to 10 % score more and their surroundings less."""
WHOLE = 0.8
"""Share of its points that a whole part shows at most from one place; one side shows more."""
UNSEEN_MARGIN = 0.05
"""Share of the part that a scan may leave out beyond what training scans leave out."""


@dataclass(frozen=True)
class FrameScores:
    """What a method says of a scan in the class frame.

    Attributes:
        point_scores: (N,) float32.
        object_score: pooled from them.
        distances: distance to the reconstruction in the frame, (N,) float32.
        reconstruction: (M, 3) float64 in the frame, or None.
        offsets: from where a good part would have each point to the point, (N, 3) float32 in the frame; None leaves the
            deviation to the distance from the class's surface.
        timings: seconds per step.
        deviation: signed distance of each point to the good surface, (N,) float32 in the frame, positive outside; it
            goes before the offsets.
    """

    point_scores: NDArray[np.float32]
    object_score: float
    distances: NDArray[np.float32]
    reconstruction: NDArray[np.float64] | None
    offsets: NDArray[np.float32] | None = None
    timings: dict[str, float] = field(default_factory=dict)
    deviation: NDArray[np.float32] | None = None

    def require_finite(self, name: str) -> None:
        """Check what a model of the detector `name` said.

        Raises:
            BadModel: a number is NaN or infinite.
        """
        found = (self.point_scores, self.object_score, self.distances, self.reconstruction, self.offsets)
        require_finite(f"This {name} model", *found, self.deviation)


def _view_warning(unseen: float) -> tuple[str, ...]:
    return (f"The scan shows one side: {unseen:.0%} of the part is not in it, and nothing is said about that.",)


class RegisteredDetector(ABC):
    """A detector that brings every scan into the frame of its class and judges it there.

    Args:
        settings: what it computes.
        seed: makes training and scoring repeatable.
        device: `cpu`, `cuda` or `cuda:N`.

    Attributes:
        settings_sections: the settings that decide what it computes: sections, and `section.key` where it reads one of
            a section. `FOR_ALL`, `POOLED` and `SMOOTHED`: what all, all with pooled and all with smoothed scores read.
        scores_are_lengths: whether a point score is a length in the frame.
        good_spread: standard deviation of the logarithm of object scores of good scans of one part.
        pose_cache: where several detectors of one class share their registration, or None; set it before `fit`.

    Raises:
        BadConfig: the device is absent.
    """

    name: ClassVar[str]
    settings_sections: ClassVar[frozenset[str]]
    scores_are_lengths: ClassVar[bool] = True
    good_spread: ClassVar[float] = USUAL_SPREAD
    FOR_ALL: ClassVar[frozenset[str]] = frozenset({"registration", "calibration"})
    POOLED: ClassVar[frozenset[str]] = FOR_ALL | {"scoring.pooling", "scoring.pooling_fraction"}
    SMOOTHED: ClassVar[frozenset[str]] = POOLED | {"scoring.smoothing"}

    def __init__(self, settings: Settings, *, seed: int = 0, device: str = "cpu") -> None:
        self.settings = settings
        self.seed = seed
        self.device = require_device(device)
        self.calibration: Calibration | None = None
        self.provenance: dict[str, Any] = {}
        self.pose_cache: PoseCache | None = None
        self._class_frame: ClassFrame | None = None

    @classmethod
    def weights_digest(cls, settings: Settings) -> str | None:
        """A hash of files that decide what it computes besides the settings, None where there are none."""
        del settings
        return None

    @property
    def fits_in_seconds(self) -> bool:
        """Whether fitting is so quick that calibration may do it once per training scan."""
        return False

    @property
    def class_frame(self) -> ClassFrame:
        """Where the parts of the class lie; known once the detector has been fitted or loaded."""
        if self._class_frame is None:
            raise RuntimeError(f"this {self.name} has not been fitted; call fit() or load a model first")
        return self._class_frame

    def fit(
        self,
        clouds: Sequence[PointCloud],
        *,
        progress: Progress | None = None,
        workdir: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Learn from defect-free clouds of one class; see `Detector.fit`."""
        progress = progress or Silent()
        self._learn(self.locate(clouds, progress=progress), progress=progress, workdir=workdir, resume=resume)

    def locate(self, clouds: Sequence[PointCloud], *, progress: Progress) -> list[NDArray[np.float64]]:
        """Learn where the parts of the class lie; the clouds in that frame, (N, 3) each.

        Raises:
            BadInput: there is no cloud, or one of them cannot be used.
        """
        marks = [scan_mark(cloud) for cloud in clouds]
        clouds = clean_clouds(clouds, progress=progress)
        learn = ClassFrame.learn if self.pose_cache is None else self.pose_cache.learn
        self._class_frame, in_frame = learn(clouds, self.settings.registration, seed=self.seed, progress=progress)
        self.calibration = None
        files = [cloud.path for cloud in clouds]
        self.provenance = {
            "training_scans": [None if file is None else printable(file.name) for file in files],
            "training_sha256": marks,
        }
        return in_frame

    def score(self, cloud: PointCloud, *, explain: bool = True, progress: Progress | None = None) -> Scores:
        """Score one scan; see `Detector.score`."""
        del progress
        clean = CleanScan.of(cloud)
        return self.score_placed(self.place(clean.cloud), explain=explain).for_scan(clean)

    def place(self, cloud: PointCloud) -> PlacedScan:
        """A scan in the frame.

        Raises:
            BadInput: the scan cannot be used.
        """
        start, before = time.perf_counter(), self._cached_seconds()
        placed = self.class_frame.place(cloud)
        return replace(placed, seconds=time.perf_counter() - start + self._cached_seconds() - before)

    def place_all(self, cloud: PointCloud, count: int) -> list[PlacedScan]:
        """A scan in the frame in each of at most `count` poses of nearly equal fit; the first is that of `place`.

        Raises:
            BadInput: the scan cannot be used.
        """
        start = time.perf_counter()
        placed = self.class_frame.place_all(cloud, count)
        seconds = time.perf_counter() - start
        return [replace(one, seconds=seconds) for one in placed]

    def score_placed(self, placed: PlacedScan, *, explain: bool) -> Scores:
        """Score a scan that lies in the frame already; see `Detector.score`.

        Raises:
            BadModel: what the model says of the scan is not finite.
        """
        start = time.perf_counter()
        alignment = placed.alignment
        judged = self._judge(placed)
        judged.require_finite(self.name)
        judging = time.perf_counter()
        unseen = placed.coverage.unjudged_share
        deviation = missing = feet = places = None
        if explain:
            deviation = judged.deviation
            if deviation is None:
                along = placed.deviation(None if judged.offsets is None else torch.from_numpy(judged.offsets))
                deviation = along.numpy()
            feet = placed.points - deviation[:, None] * placed.outward.double().numpy()
            feet = self.class_frame.send_back(feet, alignment)
            places = self.class_frame.send_back(placed.part.points.double().numpy(), alignment)
            missing = places[placed.coverage.missing.numpy()]
        compared = time.perf_counter()
        scale = self.class_frame.frame.scale
        rate, hidden = self.settings.calibration.false_alarm, self._hidden_share(placed)
        threshold = self.calibration.threshold(rate) if self.calibration else None
        rebuilt = judged.reconstruction
        return Scores(
            point_scores=judged.point_scores,
            object_score=judged.object_score,
            distances=(judged.distances * scale).astype(np.float32),
            deviation=None if deviation is None else (deviation * scale).astype(np.float32),
            missing=missing,
            feet=feet,
            places=places,
            score_length=scale if self.scores_are_lengths else None,
            reconstruction=None if rebuilt is None else self.class_frame.send_back(rebuilt, alignment),
            threshold=threshold,
            point_threshold=self._point_threshold(),
            is_anomalous=None if threshold is None else judged.object_score > threshold,
            alignment=alignment,
            unseen=unseen,
            hidden=hidden,
            timings={
                "registration": placed.seconds,
                **judged.timings,
                "deviation": compared - judging,
                "total": time.perf_counter() - start + placed.seconds,
            },
            warnings=placed.warnings + self._calibration_warnings() + (_view_warning(unseen) if hidden else ()),
        )

    def _point_threshold(self) -> float | None:
        """Point score above which a point belongs to a defect: the same for all scans.

        What good scans reach; where scores are lengths no lower than `OUTLINE`, so that a defect is not listed with all
        of its surroundings.
        """
        if self.calibration is None:
            return None
        usual = self.calibration.point_threshold(self.settings.calibration.false_alarm)
        return max(usual, OUTLINE) if self.scores_are_lengths else usual

    def _hidden_share(self, placed: PlacedScan) -> float:
        """Share of the part that a scan could not see, 0 for one that shows what training scans show."""
        beyond = placed.coverage.unjudged_share - self.class_frame.unseen
        if beyond <= UNSEEN_MARGIN or Eye.all_of(self.class_frame.reference)[0].share > WHOLE:
            return 0.0
        return placed.coverage.hidden_share

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Take a calibration, and with it the thresholds, in place of the one before; None for none."""
        self.calibration = calibration

    def add_provenance(self, facts: Mapping[str, Any]) -> None:
        """Add to what the model file says of where the detector comes from; anything JSON can hold."""
        self.provenance |= facts

    def share_poses(self, poses: PoseCache | None) -> None:
        """Share the registration with other detectors of the class; call it before `fit`."""
        self.pose_cache = poses

    @property
    def detectors(self) -> tuple[RegisteredDetector, ...]:
        """Itself: it knows one class."""
        return (self,)

    def detector_for(self, scores: Scores) -> RegisteredDetector:
        """Itself: it knows one class."""
        del scores
        return self

    def _cached_seconds(self) -> float:
        return 0.0 if self.pose_cache is None else self.pose_cache.cached_seconds

    def _calibration_warnings(self) -> tuple[str, ...]:
        rate = self.settings.calibration.false_alarm
        if self.calibration is None or self.calibration.supports(rate):
            return ()
        count = counted(len(self.calibration.good), "good scan")
        return (
            f"The limit rests on {count}, too few for a false-alarm rate of {rate:g}; add good scans with "
            "`dusnet calibrate`.",
        )

    def save(self, path: Path) -> None:
        """Write one `.safetensors` file, atomically."""
        settings = self.settings.model_dump(mode="json")
        metadata = {"settings": settings, "seed": self.seed, **self.metadata()}
        tensors = {f"class_frame.{name}": value for name, value in self.class_frame.tensors().items()}
        tensors |= {f"learned.{name}": value for name, value in self._tensors().items()}
        write_model(path, self.name, tensors, metadata)

    @classmethod
    def from_stored(cls, stored: StoredModel, *, device: str = "cpu", **given: Any) -> Self:
        """The detector that `save` wrote.

        Args:
            stored: the contents of the file.
            device: where its networks run.
            given: arguments of the detector that no file can hold.

        Raises:
            BadModel: something that the detector needs is not in the file.
        """
        metadata = stored.metadata
        with restoring(stored, f"{cls.name} model"):
            settings = settings_of(stored)
            detector = cls(settings, seed=whole(metadata["seed"], "seed"), device=device, **given)
            detector.restore(metadata, stored.tensors)
        return detector

    def metadata(self) -> dict[str, Any]:
        """What it knows of its class, as JSON."""
        return {
            "class_frame": self.class_frame.metadata(),
            "calibration": self.calibration.to_json() if self.calibration else None,
            "provenance": self.provenance,
            "learned": self._metadata(),
        }

    def restore(self, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take in what `metadata` and the tensors of a model file say, `class_frame.*` and `learned.*`."""
        self._class_frame = ClassFrame.restore(
            metadata["class_frame"], under("class_frame", tensors), self.settings.registration, seed=self.seed
        )
        if metadata["calibration"] is not None:
            self.calibration = Calibration.from_json(mapping(metadata["calibration"], "calibration"))
        self.provenance = provenance_of(metadata["provenance"])
        self._restore(metadata["learned"], under("learned", tensors))

    @abstractmethod
    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        """Learn from clouds in the frame, (N, 3) each."""

    @abstractmethod
    def _judge(self, scan: PlacedScan) -> FrameScores:
        """Score a scan in the frame."""

    @abstractmethod
    def _tensors(self) -> dict[str, Tensor]:
        """What was learned, as tensors."""

    @abstractmethod
    def _metadata(self) -> dict[str, Any]:
        """What was learned, as JSON."""

    @abstractmethod
    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """The inverse of `_tensors` and `_metadata`."""
