"""From a scan to its result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.errors import BadConfig, BadInput, BadModel, trouble_with
from dusnet.progress import Progress, Silent
from dusnet.units import METRES, require_unit

if TYPE_CHECKING:
    from dusnet.detectors import Detector, Scorer, Scores
    from dusnet.detectors.base import Calibration
    from dusnet.inspection.results import Result
    from dusnet.inspection.verdict import Expectations


_TRIES = 3


@dataclass(frozen=True)
class Calibrated:
    """What adding good scans gave.

    Attributes:
        calibrations: with the scans that could be believed, and the detectors that they are for.
        scores: object score of every scan in order, None where it could not.
        refused: a sentence per scan that could not.
        failures: a sentence per file that could not be used.
    """

    calibrations: tuple[tuple[Detector, Calibration], ...]
    scores: tuple[float | None, ...]
    refused: tuple[str, ...]
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadedModel:
    """A model file, ready to score.

    Attributes:
        path: the file.
        detector: what it holds.
        sha256: of the file, as hexadecimal digits.
    """

    path: Path
    detector: Scorer
    sha256: str

    @classmethod
    def open(cls, path: Path, *, device: str = "cpu") -> LoadedModel:
        """Read a model file.

        Raises:
            BadModel: it is missing, damaged, or of another version.
            BadConfig: the device is absent.
        """
        from dusnet.detectors import load_model
        from dusnet.io import file_sha256

        for _ in range(_TRIES):
            before = _identity(path)
            model = cls(path, load_model(path, device=device), file_sha256(path))
            if _identity(path) == before:  # the hash is of what was loaded
                return model
        raise BadModel(f"{path} is replaced again and again while it is read; wait until it is written.")

    @property
    def unit(self) -> str | None:
        """The unit of the training scans, None when nobody said."""
        unit = self.detector.provenance.get("unit")
        return unit if isinstance(unit, str) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What everybody who reads a result should know about the model."""
        cad = self.detector.provenance.get("cad")
        if not isinstance(cad, dict):
            return ()
        return (
            f"The model has seen no real part: it was made from {cad['scans']} simulated scans of {cad['file']} "
            f"(variation {cad['variation']:g}, noise {cad['noise']:g} of the radius).",
            *(str(warning) for warning in cad.get("warnings", [])),
        )

    def threshold_for(self, false_alarm: float) -> float:
        """The object score that a new good part, whichever the model knows, exceeds with this probability at most.

        Raises:
            BadConfig: the rate is no probability, or the calibration cannot promise it.
        """
        if not 0 < false_alarm < 1:
            raise BadConfig(f"the false-alarm rate {false_alarm} is not between 0 and 1; give one such as 0.05.")
        return max(self._threshold(one, false_alarm) for one in self.detector.detectors)

    def _threshold(self, detector: Detector, false_alarm: float) -> float:
        calibration = detector.calibration
        if calibration is None:
            raise BadConfig(f"{self.path} is not calibrated, so no false-alarm rate can be kept; give a threshold.")
        if not calibration.supports(false_alarm):
            count = len(calibration.object_scores)
            least = math.ceil(1000 / (count + 1)) / 1000
            raise BadConfig(
                f"{self.path} is calibrated with {count} good scans, too few to promise a false-alarm rate of "
                f"{false_alarm}; give at least {least:g}, or raise calibration.replicas in training."
            )
        return calibration.threshold(false_alarm)

    def ratio_from(self, unit: str | None) -> float:
        """What coordinates in `unit` are multiplied with to be in the unit of the model; 1 for None.

        Raises:
            BadConfig: the unit does not exist, or the model does not know its own.
        """
        if unit is None:
            return 1.0
        require_unit(unit)
        if self.unit is None:
            raise BadConfig(f"{self.path} does not know the unit of its training scans; train again with a unit.")
        return METRES[unit] / METRES[require_unit(self.unit)]

    def score(
        self,
        cloud: PointCloud,
        out: Path,
        *,
        stem: str,
        threshold: float | None = None,
        false_alarm: float | None = None,
        unit: str | None = None,
        progress: Progress | None = None,
    ) -> tuple[Result, Scores]:
        """Score one scan and write its result files.

        Args:
            cloud: the scan.
            out: folder of the results.
            stem: what the names of the files begin with.
            threshold: object score above which the scan is anomalous, None for the model's own. It is the caller's
                choice: one that small defects do not exceed gives a warning, but no RECHECK.
            false_alarm: rate to take the threshold for in place of the model's own; see `threshold_for`.
            unit: of the scan, None for that of the model.
            progress: where to report.

        Returns:
            What was written, and the scores in the unit of the scan.

        Raises:
            BadConfig: the threshold is NaN or infinite, or the unit does not exist.
            BadInput: the scan cannot be used or a file cannot be written.
        """
        from dusnet.inspection.results import write_result
        from dusnet.inspection.verdict import decide, limit_words

        if threshold is not None:
            require_threshold(threshold)
        if threshold is not None and false_alarm is not None:
            raise BadConfig("a threshold and a false-alarm rate both choose the threshold; give one of them.")
        if false_alarm is not None:
            self.threshold_for(false_alarm)
        ratio = self.ratio_from(unit)
        inside = cloud if ratio == 1.0 else replace(cloud, points=cloud.points * ratio)
        scores = self.detector.score(inside, progress=progress)
        judge = self.detector.detector_for(scores)
        source = _threshold_source(judge, threshold, false_alarm)
        if false_alarm is not None:
            threshold = self._threshold(judge, false_alarm)
        if threshold is not None:
            scores = replace(scores, threshold=threshold, is_anomalous=scores.object_score > threshold)
        blind = _misses_small_defects(judge, scores.threshold)
        expected = replace(_expectations(judge), limit_too_high=blind and source["kind"] == "calibration")
        verdict = decide(scores, inside.points, expected=expected)
        if ratio != 1.0:
            scores = _in_unit_of_scan(scores, ratio)
        result = write_result(
            out,
            cloud,
            scores,
            model_id=self.path.name,
            model_sha256=self.sha256,
            unit=unit or self.unit,
            stem=stem,
            verdict=verdict,
            training_residual=expected.residual,
            threshold_source=source,
            warnings=(*self.notes, *([limit_words(scores.threshold)] if blind else [])),
        )
        return result, scores

    def calibrate(
        self,
        scans: Sequence[PointCloud | Path],
        *,
        unit: str | None = None,
        progress: Progress | None = None,
        read: Callable[[Path], PointCloud] | None = None,
    ) -> Calibrated:
        """Add good scans that the model did not learn from to its calibration; the file is not written.

        A scan whose score cannot be believed (see `Verdict`) tells nothing about good parts and is left out, and so is
        one whose size is not that of the training scans, or a file that cannot be used.

        Args:
            scans: defect-free scans, or their files, which are read one at a time.
            unit: of the scans, None for that of the model.
            progress: where to report.
            read: reads a file; None takes `dusnet.io.read_cloud`.

        Raises:
            BadConfig: the model has no calibration to add to, or the unit does not exist.
            BadInput: none of the scans can be used and believed.
        """
        from dusnet.inspection.verdict import decide
        from dusnet.io import read_cloud

        if any(one.calibration is None for one in self.detector.detectors):
            raise BadConfig(f"{self.path} was not calibrated in training, so nothing can be added; train again.")
        progress, read = progress or Silent(), read or read_cloud
        ratio = self.ratio_from(unit)
        used: dict[str | None, list[Scores]] = {}
        each: list[float | None] = []
        refused, failures = [], []
        with progress.task("Scoring good scans", len(scans)) as task:
            for scan in scans:
                each.append(None)
                try:
                    cloud = read(scan) if isinstance(scan, Path) else scan
                    inside = cloud if ratio == 1.0 else replace(cloud, points=cloud.points * ratio)
                    scores = self.detector.score(inside, explain=False)
                except Exception as error:  # whatever is wrong with one scan must not lose the others
                    failures.append(trouble_with(str(scan) if isinstance(scan, Path) else scan.name, error))
                else:
                    judge = self.detector.detector_for(scores)
                    verdict = decide(scores, inside.points, expected=_expectations(judge))
                    doubts = [one.text for one in verdict.reasons if one.is_doubt]
                    doubts = [*_size_doubt(judge, inside), *doubts]
                    if doubts:
                        refused.append(f"{cloud.name} is left out. {doubts[0]}")
                    else:
                        used.setdefault(scores.part, []).append(scores)
                        each[-1] = scores.object_score
                task.advance()
        if not used:
            raise BadInput(f"None of the {len(scans)} scans can be used: {(failures + refused)[0]}")
        made = []
        for found in used.values():
            judge = self.detector.detector_for(found[0])
            assert judge.calibration is not None
            made.append((judge, judge.calibration.with_scans(found, f"{len(found)} good scans added later")))
        return Calibrated(tuple(made), tuple(each), tuple(refused), tuple(failures))


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when another file takes the place of this one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def require_threshold(value: float) -> float:
    """`value` when scores can be compared with it.

    Raises:
        BadConfig: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise BadConfig(f"the threshold {value} is no number to compare scores with; give one such as 0.05.")
    return value


def _threshold_source(detector: Detector, threshold: float | None, false_alarm: float | None) -> dict[str, Any]:
    """Where a threshold comes from, as JSON."""
    if threshold is not None:
        return {"kind": "given"}
    if detector.calibration is None:
        return {"kind": "none"}
    rate = detector.settings.calibration.false_alarm if false_alarm is None else false_alarm
    return {"kind": "calibration", **detector.calibration.provenance(rate)}


def _misses_small_defects(detector: Detector, threshold: float | None) -> bool:
    known = detector.calibration
    return known is not None and threshold is not None and known.misses_small_defects(threshold)


def _expectations(detector: Detector) -> Expectations:
    from dusnet.detectors.registered import RegisteredDetector
    from dusnet.inspection.verdict import Expectations

    if not isinstance(detector, RegisteredDetector):
        return Expectations()
    frame = detector.class_frame
    return Expectations(residual=frame.residual, points=frame.points, unseen=frame.unseen, scale=frame.frame.scale)


def _size_doubt(detector: Detector, cloud: PointCloud) -> list[str]:
    """What to say of a scan that is not as large as the training scans, in a list that is empty where it is."""
    from dusnet.detectors.registered import RegisteredDetector
    from dusnet.geometry.scan_sizes import SPAN, size_of, size_words, unit_words

    if not isinstance(detector, RegisteredDetector):
        return []
    ratio = size_of(cloud.points) / size_of(detector.class_frame.reference)
    if 1.0 / SPAN <= ratio <= SPAN:
        return []
    return [f"It is {size_words(ratio)} than the training scans{unit_words(ratio)}; convert it, or say its unit."]


def _in_unit_of_scan(scores: Scores, ratio: float) -> Scores:
    """Lengths of a scan that was scored `ratio` times as large, in its own unit again."""
    alignment = scores.alignment
    if alignment is not None:
        alignment = replace(alignment, matrix=alignment.matrix @ np.diag([ratio, ratio, ratio, 1.0]))
    return replace(
        scores,
        distances=None if scores.distances is None else (scores.distances / ratio).astype(np.float32),
        deviation=None if scores.deviation is None else (scores.deviation / ratio).astype(np.float32),
        missing=None if scores.missing is None else scores.missing / ratio,
        score_length=None if scores.score_length is None else scores.score_length / ratio,
        reconstruction=None if scores.reconstruction is None else scores.reconstruction / ratio,
        alignment=alignment,
    )
