"""A model of good parts: from a scan to its result, and more good scans for its calibration."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dusnet import scans as given
from dusnet.cloud import PointCloud, scan_mark
from dusnet.detectors import load_model
from dusnet.detectors.calibration import LEAST_RATE
from dusnet.detectors.model_file import ADDED
from dusnet.errors import BadConfig, BadInput, BadModel, trouble_with
from dusnet.inspection.expected import doubts, expectations
from dusnet.inspection.own_limits import LIMITS, NO_LIMITS, OwnLimits
from dusnet.inspection.result_parts import ModelFile, PartFrame, ThresholdCalibrated, ThresholdGiven
from dusnet.inspection.verdict import Expectations, decide, leaves_out_more, limit_words, unjudged
from dusnet.io import file_sha256, printable, rigid_motion
from dusnet.io.stored import Unusable
from dusnet.progress import Progress, Silent
from dusnet.result import Context, Result
from dusnet.terminal import one_line
from dusnet.units import METRES, require_unit, squared
from dusnet.words import counted

if TYPE_CHECKING:
    from dusnet.detectors import Detector, Scorer, Scores
    from dusnet.detectors.calibration import Calibration
    from dusnet.scans import Scan, Scans

RATES = (0.1, 0.05, 0.02, 0.01)
"""False-alarm rates that are usual."""
_TRIES = 3


@dataclass(frozen=True)
class Added:
    """What adding good scans to a calibration gave.

    Attributes:
        scores: object score of every scan in order, None where it was not added.
        counts: how many scans were added per detector of the model.
        refused: a sentence per scan that was left out because its score cannot be believed.
        failures: a sentence per file that could not be used.
    """

    scores: tuple[float | None, ...]
    counts: tuple[int, ...]
    refused: tuple[str, ...]
    failures: tuple[str, ...] = ()


class Model:
    """What good parts look like, ready to score scans.

    `dusnet.fit` and `dusnet.load` make one.

    Args:
        detector: what it has learned, with its calibration.
        path: the file that it was read from or written to.
        sha256: of that file, as hexadecimal digits.
    """

    def __init__(self, detector: Scorer, path: Path | None = None, sha256: str | None = None) -> None:
        self._detector, self._path, self._sha256 = detector, path, sha256
        stored = detector.provenance.get(LIMITS)
        self._limits = NO_LIMITS if stored is None else OwnLimits.from_json(stored)

    def __repr__(self) -> str:
        where = "not saved" if self._path is None else str(self._path)
        return f"Model({self._detector.name}, {where})"

    @property
    def detector(self) -> Scorer:
        """What it has learned."""
        return self._detector

    @property
    def path(self) -> Path | None:
        """The file that it was read from or written to, None before it is saved."""
        return self._path

    @property
    def sha256(self) -> str | None:
        """Of its file, None where the model differs from the file or has none."""
        return self._sha256

    @property
    def unit(self) -> str | None:
        """The unit of the training scans, None when nobody said."""
        unit = self._detector.provenance.get("unit")
        return unit if isinstance(unit, str) else None

    @property
    def limits(self) -> OwnLimits:
        """The largest defect that the user accepts, in the unit of the model; `set_limits` changes it."""
        return self._limits

    def set_limits(self, *, deviation: float | None = None, area: float | None = None) -> None:
        """Accept no defect that is deeper or larger, whatever good scans score; `save` keeps it.

        Args:
            deviation: of the deepest defect, either way, the unit of the model; None for no limit.
            area: of the largest defect, that unit squared; None for no limit.

        Raises:
            BadConfig: one of them is no positive number.
        """
        self._limits = OwnLimits(deviation, area)
        self._detector.add_provenance({LIMITS: self._limits.to_json() if self._limits else None})
        self._sha256 = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What everybody who reads a result should know about the model."""
        cad = self._detector.provenance.get("cad")
        if not isinstance(cad, dict):
            return ()
        return (
            f"The model has seen no real part: it was made from {cad['scans']} simulated scans of {cad['file']} "
            f"(variation {cad['variation']:g}, noise {cad['noise']:g} of the radius).",
            *(str(warning) for warning in cad.get("warnings", [])),
        )

    @property
    def _name(self) -> str:
        return "the model" if self._path is None else str(self._path)

    def threshold_for(self, false_alarm: float) -> float:
        """The object score that a new good part, whichever the model knows, exceeds with this probability at most.

        Raises:
            BadConfig: the rate is no probability, or the calibration cannot promise it.
        """
        if not 0 < false_alarm < 1:
            raise BadConfig(f"the false-alarm rate {false_alarm} is not between 0 and 1; give one such as 0.05.")
        return max(self._threshold(one, false_alarm) for one in self._detector.detectors)

    def _threshold(self, detector: Detector, false_alarm: float) -> float:
        calibration = detector.calibration
        if calibration is None:
            raise BadConfig(f"{self._name} is not calibrated, so no false-alarm rate can be kept; give a threshold.")
        if not calibration.supports(false_alarm):
            raise BadConfig(
                f"{self._name} is calibrated with {counted(len(calibration.good), 'good scan')}, too few to promise a "
                f"false-alarm rate of {false_alarm}; give at least {LEAST_RATE:g}, or add good scans with "
                "`dusnet calibrate`."
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
            raise BadConfig(f"{self._name} does not know the unit of its training scans; train again with a unit.")
        return METRES[unit] / METRES[require_unit(self.unit)]

    def score(
        self,
        scan: Scan,
        *,
        threshold: float | None = None,
        false_alarm: float | None = None,
        limits: OwnLimits | None = None,
        min_coverage: float | None = None,
        unit: str | None = None,
        frame: ArrayLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        stem: str | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Score one scan; nothing is written.

        Args:
            scan: a file, a cloud, or coordinates, (N, 3).
            threshold: object score above which the scan is anomalous, None for the model's own. It is the caller's
                choice: one that small defects do not exceed gives a warning, but no RECHECK.
            false_alarm: rate to take the threshold for in place of the model's own; see `threshold_for`.
            limits: the largest defect to accept, in the unit of the scan; what is None in it is the model's own.
            min_coverage: share of the part, 0 to 1, that the scan must show; what it leaves out beyond that is no
                reason for RECHECK. None: as much as training scans show, or one side of the part.
            unit: of the scan, None for that of the model.
            frame: rigid motion from the frame of the part (the coordinates of the first training scan, or of the CAD
                model that the training scans were simulated from) to one of your own, (4, 4) in the unit of the
                training scans; None for the frame of the part itself. See `PartFrame`.
            metadata: what the result shall say of the part besides, anything JSON can hold by name; pages and the
                summary know the names `part_number` and `comment`.
            stem: what the names of the result's files begin with; None takes the name of the scan's file, or `scan`.
            progress: where to report.

        Returns:
            The result, in the unit of the scan.

        Raises:
            BadConfig: the threshold is NaN or infinite, the unit does not exist, a deviation is limited that the
                detector does not measure, or the model has no frame to start from.
            BadInput: the scan cannot be used, or the frame is no rigid motion.
        """
        self.require_choice(threshold, false_alarm, min_coverage)
        given_frame = self.require_frame(frame)
        ratio = self.ratio_from(unit)
        cloud = given.read(scan)
        inside = cloud if ratio == 1.0 else replace(cloud, points=cloud.points * ratio)
        scores = self._detector.score(inside, progress=progress)
        judge = self._detector.detector_for(scores)
        source = _threshold_source(judge, threshold, false_alarm)
        if false_alarm is not None:
            threshold = self._threshold(judge, false_alarm)
        if threshold is not None:
            scores = replace(scores, threshold=threshold, is_anomalous=scores.object_score > threshold)
        own = (limits or NO_LIMITS).over(self._limits.scaled(1.0 / ratio))
        if own.deviation is not None and scores.deviation is None:
            raise BadConfig(
                f"{judge.name} measures no deviation, so none can be limited; leave the limit out, or train dusnet."
            )
        # A limit for the depth judges defects whatever they score.
        blind = own.deviation is None and _misses_small_defects(judge, scores.threshold)
        expected = replace(
            expectations(judge),
            coverage=min_coverage,
            unit=unit or self.unit,
            limit_too_high=blind and source.kind == "calibration",
        )
        verdict = decide(scores, inside.points, expected=expected)
        if ratio != 1.0:
            scores = _in_unit_of_scan(scores, ratio)
        context = Context(
            ModelFile(id=self._detector.name if self._path is None else self._path.name, sha256=self._sha256),
            unit=unit or self.unit,
            threshold_source=source,
            training_residual=expected.residual,
            own_limits=own,
            part_frame=_part_frame(judge, scores, given_frame),
            warnings=(
                *self.notes,
                *_coverage_notes(scores, expected),
                *([limit_words(scores.threshold)] if blind else []),
            ),
            metadata=metadata or {},
        )
        return Result.of(cloud, scores, context, stem=stem, verdict=verdict)

    def require_choice(
        self, threshold: float | None, false_alarm: float | None, min_coverage: float | None = None
    ) -> None:
        """Refuse a threshold, a false-alarm rate or a least coverage that scans cannot be judged with.

        Raises:
            BadConfig: both of the first two are given, the threshold is no number, the rate cannot be promised, or the
                coverage is no share.
        """
        if threshold is not None and false_alarm is not None:
            raise BadConfig("a threshold and a false-alarm rate both choose the limit; give one of them.")
        if threshold is not None and not math.isfinite(threshold):
            raise BadConfig(f"the threshold {threshold} is no number to compare scores with; give one such as 0.05.")
        if min_coverage is not None and not 0.0 <= min_coverage <= 1.0:
            raise BadConfig(
                f"--min-coverage {min_coverage:g} is no share of the part; give a number from 0 to 1 such as 0.4."
            )
        if false_alarm is not None:
            self.threshold_for(false_alarm)

    def require_frame(self, frame: ArrayLike | None) -> NDArray[np.float64] | None:
        """A frame of the user's own, checked; None where there is none.

        Args:
            frame: see `score`.

        Returns:
            (4, 4) float64, exactly rigid.

        Raises:
            BadConfig: the model knows several parts, each with a frame of its own, or does not register scans.
            BadInput: the frame is no rigid motion.
        """
        if frame is None:
            return None
        parts = self._detector.detectors
        if len(parts) > 1:
            raise BadConfig(
                f"{self._name} knows {len(parts)} parts, and each has a frame of its own; leave the frame out, or "
                "train a model of the part alone."
            )
        if any(not _registers(part) for part in parts):
            raise BadConfig(
                f"{self._name} does not register scans, so it knows no frame of the part; leave the frame out, or "
                "train with a detector that registers."
            )
        return rigid_motion(frame, "the frame")

    def calibrate(self, scans: Scans, *, unit: str | None = None, progress: Progress | None = None) -> Added:
        """Add good scans that the model did not learn from to its calibration; `save` keeps it.

        A scan whose score cannot be believed (see `Verdict`) tells nothing about good parts and is left out, and so is
        one whose size is not that of the training scans, one that was added before or that the model learned from, or
        a file that cannot be used.

        Args:
            scans: defect-free scans: files, a folder of them, clouds or arrays; files are read one at a time.
            unit: of the scans, None for that of the model.
            progress: where to report.

        Raises:
            BadConfig: the model has no calibration to add to, it knows all scans already, or the unit does not exist.
            BadInput: none of the scans can be used and believed.
        """
        if any(one.calibration is None for one in self._detector.detectors):
            raise BadConfig(f"{self._name} was not calibrated in training, so nothing can be added; train again.")
        progress, ratio = progress or Silent(), self.ratio_from(unit)
        entries, parts = given.entries_of(scans, dataset=False, say=progress.log), self._detector.detectors
        learned = {mark for part in parts for mark in part.provenance.get("training_sha256", [])}
        added: list[dict[str, Any]] = list(self._detector.provenance.get(ADDED, []))
        marks = {entry["sha256"] for entry in added}
        used: dict[int, list[Scores]] = {}
        each: list[float | None] = [None] * len(entries)
        refused: list[str] = []
        failures: list[str] = []
        with progress.task("Scoring good scans", len(entries)) as task:
            for place, entry in enumerate(entries):
                task.advance()
                name = str(entry) if isinstance(entry, Path) else "a scan"
                try:
                    cloud = given.load(entry)
                    name, mark = cloud.name, scan_mark(cloud)
                    why = _known_already(mark, learned, marks)
                    if why:
                        progress.log(f"{name} {why}")
                        continue
                    marks.add(mark)
                    judge, scores, reasons = self._believed(cloud, ratio)
                except Exception as error:  # whatever is wrong with one scan must not lose the others
                    failures.append(trouble_with(name, error))
                    continue
                if reasons:
                    refused.append(f"{name} is left out. {reasons[0]}")
                    continue
                used.setdefault(parts.index(judge), []).append(scores)
                each[place] = scores.object_score
                file = printable(cloud.path.name) if cloud.path is not None else "scan"
                added.append({"file": file, "sha256": mark, "object_score": scores.object_score})
        if not used and not failures and not refused:
            raise BadConfig(
                f"{self._name} has learned from all scans or has them in its calibration already; give others."
            )
        if not used:
            raise BadInput(f"None of the {len(entries)} scans can be used: {(failures + refused)[0]}")
        self._take(used, added)
        counts = tuple(len(used.get(place, [])) for place in range(len(parts)))
        return Added(tuple(each), counts, tuple(refused), tuple(failures))

    def _believed(self, cloud: PointCloud, ratio: float) -> tuple[Detector, Scores, list[str]]:
        """Which detector judged a good scan, what it answered, and why that cannot be believed."""
        inside = cloud if ratio == 1.0 else replace(cloud, points=cloud.points * ratio)
        scores = self._detector.score(inside, explain=False)
        judge = self._detector.detector_for(scores)
        return judge, scores, doubts(judge, scores, inside)

    def _take(self, used: Mapping[int, Sequence[Scores]], added: Sequence[Mapping[str, Any]]) -> None:
        """Add the scores of good scans to the calibration of each detector, by its place."""
        for place, found in used.items():
            part = self._detector.detectors[place]
            assert part.calibration is not None
            part.set_calibration(part.calibration.with_scans(found, f"{len(found)} good scans added later"))
        self._detector.add_provenance({ADDED: list(added)})
        self._sha256 = None

    def calibration_lines(self, added: Added) -> list[str]:
        """What a calibration means, a line each: how many good scans there are, and the limit at common rates."""
        lines = []
        for part, count in zip(self._detector.detectors, added.counts, strict=True):
            calibration = part.calibration
            if calibration is None or not count:
                continue
            all_scans = len(calibration.good)
            lines.append(f"{self._prefix(part)}{counted(count, 'good scan')} added, {all_scans} in all.")
            lines += [_limit_line(calibration, rate) for rate in RATES]
        return lines

    def limit_lines(self) -> list[str]:
        """What decides, a line each: the limits of the scores at common rates, and the user's own."""
        lines = []
        for part in self._detector.detectors:
            calibration = part.calibration
            named = self._prefix(part)
            if calibration is None:
                lines.append(f"{named}The model is not calibrated, so no false-alarm rate can be kept.")
                continue
            usual = part.settings.calibration.false_alarm
            lines.append(f"{named}Score limits from {calibration.source}; {usual:.0%} is used unless another is asked.")
            lines += [_limit_line(calibration, rate) for rate in RATES]
        unit = f" {self.unit}" if self.unit else ""
        deepest, largest = self._limits.deviation, self._limits.area
        lines.append(f"Deepest defect: {'no limit' if deepest is None else f'{deepest:g}{unit}'}")
        of_area = f" {squared(self.unit)}" if self.unit else ""
        lines.append(f"Largest defect: {'no limit' if largest is None else f'{largest:g}{of_area}'}")
        return lines

    def _prefix(self, part: Detector) -> str:
        """What a line about one of several parts begins with."""
        return f"{one_line(str(part.provenance.get('class')))}: " if len(self._detector.detectors) > 1 else ""

    def save(self, path: str | Path) -> None:
        """Write one `.safetensors` file, atomically.

        Raises:
            BadInput: the file cannot be written.
        """
        path = Path(path)
        self._detector.save(path)
        self._path, self._sha256 = path, file_sha256(path)


def _coverage_notes(scores: Scores, expected: Expectations) -> tuple[str, ...]:
    """What a scan leaves out that it may leave out, because the caller says so."""
    if expected.coverage is None or scores.view or scores.unseen is None or not leaves_out_more(scores, expected):
        return ()
    return (unjudged(scores.unseen),)


def _known_already(mark: str, learned: Container[str], added: Container[str]) -> str | None:
    """Why a scan adds nothing to a calibration, as the end of a sentence; None for one that is new."""
    if mark in learned:
        return "is left out: the model learned from it, so its score tells nothing about others."
    return "is among the scans of the calibration already." if mark in added else None


def _limit_line(calibration: Calibration, rate: float) -> str:
    basis = "added scans alone" if calibration.basis(rate) is calibration.added else "all good scans"
    return f"{rate:>5.0%}: limit {calibration.threshold(rate):.4g} ({basis})"


def load(path: str | Path, *, device: str = "cpu", detector: str | None = None) -> Model:
    """Read a model file.

    Args:
        path: a file that `Model.save` or `dusnet train` wrote.
        device: where to compute: `cpu`, `cuda` or `cuda:N`.
        detector: `package.module:Class` where the model is of a detector of your own.

    Raises:
        BadModel: it is missing, damaged, or of another version.
        BadConfig: the device is absent, or `detector` is no detector or not that of the model.
    """
    path = Path(path)
    for _ in range(_TRIES):
        before = _identity(path)
        found = load_model(path, device=device, detector=detector)
        try:
            model = Model(found, path, file_sha256(path))
        except Unusable as error:
            raise BadModel(f"{path} holds no limits that can be used, because {error}; set them again.") from error
        if _identity(path) == before:  # the hash is of what was loaded
            return model
    raise BadModel(f"{path} is replaced again and again while it is read; wait until it is written.")


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when another file takes the place of this one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _threshold_source(
    detector: Detector, threshold: float | None, false_alarm: float | None
) -> ThresholdGiven | ThresholdCalibrated:
    if threshold is not None:
        return ThresholdGiven(kind="given")
    if detector.calibration is None:
        return ThresholdGiven(kind="none")
    rate = detector.settings.calibration.false_alarm if false_alarm is None else false_alarm
    return ThresholdCalibrated(kind="calibration", **detector.calibration.provenance(rate))


def _registers(detector: Detector) -> bool:
    return detector.settings.registration.method != "none"


def _part_frame(detector: Detector, scores: Scores, given_frame: NDArray[np.float64] | None) -> PartFrame | None:
    """The frame of the part that a scan was taken for; None where its pose was not looked for."""
    if scores.alignment is None or not _registers(detector):
        return None
    cad = detector.provenance.get("cad")
    of_cad = isinstance(cad, dict) and cad.get("in_place") is True
    return PartFrame.behind(scores.alignment.matrix, "CAD model" if of_cad else "first training scan", given_frame)


def _misses_small_defects(detector: Detector, threshold: float | None) -> bool:
    known = detector.calibration
    return known is not None and threshold is not None and known.misses_small_defects(threshold)


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
        feet=None if scores.feet is None else scores.feet / ratio,
        places=None if scores.places is None else scores.places / ratio,
        score_length=None if scores.score_length is None else scores.score_length / ratio,
        reconstruction=None if scores.reconstruction is None else scores.reconstruction / ratio,
        alignment=alignment,
    )
