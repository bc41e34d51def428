"""Many scans, one folder of results: a scan that is bad does not lose the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.data.sample import read_with_labels
from dusnet.display.report import (
    INDEX,
    REPORT,
    PointField,
    ReportPage,
    banded_scale,
    deviation_field,
    renew_overview,
    write_report,
)
from dusnet.errors import DusnetError, trouble_with
from dusnet.inspection.result_files import remove_result, result_files, result_stems
from dusnet.io import read_cloud, remove_file
from dusnet.io.marks import FileKind, kind_of, require_replaceable
from dusnet.io.places import require_folder
from dusnet.progress import Progress
from dusnet.result import Result, finding_of
from dusnet.scans import files_in
from dusnet.summary import SUMMARY
from dusnet.terminal import escaped, one_line
from dusnet.words import counted, seconds, verb

if TYPE_CHECKING:
    from dusnet.cad.comparison import CadModel, Tolerance
    from dusnet.inspection.own_limits import OwnLimits
    from dusnet.model import Model

_NAMED = 3
"""So many files that are no results are named in full."""


@dataclass(frozen=True)
class Outcome:
    """A scored batch.

    Attributes:
        results: what was written, in the order of the scans.
        failures: one sentence per scan that could not be scored.
    """

    results: tuple[Result, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Output:
    """What a batch writes, and where it reports.

    Attributes:
        folder: of the results.
        progress: where to report.
        tell: given one line per scan.
        pictures: whether to draw every scan.
        report: whether to write a page per scan and an index of the batch.
        metadata: what every result says of the part, such as its `part_number` and a `comment`.
        color_range: deviation of the last colour on the pages, either way, in the unit of the scans; None takes it from
            the limit or the data.
    """

    folder: Path
    progress: Progress
    tell: Callable[[str], None] = lambda _: None
    pictures: bool = False
    report: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    color_range: float | None = None


class Batch(ABC):
    """Scores scans one by one, tells and draws each result, and sums them up.

    Args:
        output: what to write, and where to report.
    """

    _doing = "scoring"

    def __init__(self, output: Output) -> None:
        self._output, self._out, self._progress = output, output.folder, output.progress
        self._results: list[Result] = []
        self._failures: list[str] = []
        self._reports: dict[str, ReportPage] = {}
        self._trouble: set[str] = set()

    @abstractmethod
    def _score(self, cloud: PointCloud, stem: str) -> Result:
        """Score one scan; writes nothing."""

    @abstractmethod
    def _page(self, page: Path, result: Result, cloud: PointCloud) -> ReportPage:
        """Write the page of one scan."""

    def run(self, paths: Sequence[Path]) -> Outcome:
        """Score files, and the files in folders, and write their results.

        Whatever is wrong with one scan does not lose the others. What makes all of them fail is found out before.

        Raises:
            BadInput: a path does not exist, a folder holds no scan, or a file that would be replaced is of others.
            BadConfig: the folder of the results cannot be written.
        """
        scans = files_in(paths, self._progress.log)
        stems = result_stems(scans)
        self.require_free(stems)
        with self._progress.task(self._doing, len(scans)) as task:
            for scan, stem in zip(scans, stems, strict=True):
                task.describe(f"{self._doing} {scan.name}")
                try:
                    self.judge(scan, stem, self._results.append)
                except Exception as error:  # a scan can be wrong in more ways than anybody has thought of
                    self._failures.append(one_line(trouble_with(str(scan), error)))
                task.advance()
        self._finish()
        return Outcome(tuple(self._results), tuple(self._failures))

    def judge(self, scan: Path, stem: str, keep: Callable[[Result], None]) -> None:
        """Score one scan, write its files in place of those of an earlier result, and tell of it.

        Args:
            scan: the file.
            stem: what the names of its results begin with.
            keep: given the result, without its arrays, as soon as its files and its page are written.

        Raises:
            Exception: whatever is wrong with the scan or its files; `trouble_with` says it in one sentence.
        """
        result = self._one(scan, stem)
        keep(result)
        self._tell(result)
        self._draw(result)

    @property
    def output(self) -> Output:
        """What is written, and where it is reported."""
        return self._output

    def saved(self) -> str:
        """What an interruption leaves behind."""
        if not self._results:
            return "no scan was scored yet."
        self.renew_overview(self._failures)
        count = len(self._results)
        return f"{counted(count, 'scan')} {verb(count)} scored, the results and summary.csv are in {self._out}."

    def require_free(self, stems: Sequence[str]) -> None:
        """Refuse a folder that cannot be written or in which a file of others has the name of one of ours.

        Args:
            stems: of the scans that will be judged; without any only the overviews are looked at.

        Raises:
            BadInput: a file that would be replaced is of others.
            BadConfig: the folder cannot be written.
        """
        files = {path: kind for stem in stems for path, kind in self.files(stem).items()}
        files |= {self._out / SUMMARY: FileKind.SUMMARY} | (
            {self._out / INDEX: FileKind.PAGE} if self._output.report else {}
        )
        require_folder(self._out, [path.name for path in files])
        for path, kind in files.items():
            if kind is FileKind.PICTURE and path.is_dir():
                continue  # nothing can be destroyed there, and the scan is worth more than its picture
            require_replaceable(path, kind)

    def files(self, stem: str) -> dict[Path, FileKind]:
        """The files of one scan, and what each may replace."""
        files = result_files(self._out, stem)
        if self._output.report:
            files[self._out / f"{stem}{REPORT}"] = FileKind.PAGE
        if self._output.pictures:
            files[self._out / f"{stem}.png"] = FileKind.PICTURE
        return files

    def _finish(self) -> None:
        """Write the overviews, and see whether all that was written is still there."""
        try:
            self.renew_overview(self._failures)
        except DusnetError as error:
            self._failures.append(one_line(str(error)))
        lost = [one for one in self._results if not (one.json_path.is_file() and one.scored_path.is_file())]
        if lost:
            words = f"{counted(len(lost), 'scan')} ({lost[0].stem}, ...) were removed from {self._out} meanwhile."
            self._failures.append(one_line(f"the results of {words}"))
        if len(lost) < len(self._results):
            there = counted(len(self._results) - len(lost), "scan")
            self._progress.log(f"wrote the results of {there} to {self._out}.")

    def _one(self, scan: Path, stem: str) -> Result:
        # What an earlier run said of this scan must not be taken for what this one says.
        page = self._out / f"{stem}{REPORT}"
        for path, kind in ((page, FileKind.PAGE), (self._out / f"{stem}.png", FileKind.PICTURE)):
            if kind_of(path) is kind:
                remove_file(path)
        remove_result(self._out, stem)
        cloud = read_cloud(scan)
        result = self._score(cloud, stem)
        result.write(self._out)
        if self._output.report:
            labelled = read_with_labels(scan) if cloud.labels is None else None
            if labelled is not None and len(labelled) == len(cloud):
                cloud = replace(cloud, labels=labelled.labels)
            self._reports[stem] = self._page(page, result, cloud)
        return result.without_arrays()

    def renew_overview(self, failures: Sequence[str]) -> None:
        """Write what the folder says as a whole, results of earlier runs and of other processes included.

        Args:
            failures: one sentence per scan that could not be scored, for the index.

        Raises:
            BadInput: the folder cannot be read, or an overview cannot be written.
        """
        trouble = renew_overview(self._out, reports=self._reports, failures=failures, index=self._output.report)
        trouble = [sentence for sentence in trouble if sentence not in self._trouble]
        self._trouble.update(trouble)
        for sentence in trouble[:_NAMED]:
            self._progress.log(f"{sentence.rstrip('.')}; it is not listed in {SUMMARY}.")
        if len(trouble) > _NAMED:
            rest = len(trouble) - _NAMED
            self._progress.log(f"{rest} more JSON {verb(rest, 'file is', 'files are')} not listed in {SUMMARY}.")

    def _draw(self, result: Result) -> None:
        if self._output.pictures:
            from dusnet.display.view import view

            target = self._out / f"{result.stem}.png"
            require_replaceable(target, FileKind.PICTURE)
            view([result.scored_path], png=target, title=escaped(result.stem))

    def _tell(self, result: Result) -> None:
        line = f"{result.verdict.status.value:<7} {one_line(result.stem)}: {one_line(finding_of(result))}"
        self._output.tell(line)
        taken = result.timings.get("total")
        if taken is not None:
            self._progress.log(f"{result.stem}: {counted(result.points, 'point')} in {seconds(taken)}")
        for note in dict.fromkeys([*result.warnings, *(one.text for one in result.verdict.reasons if one.is_doubt)]):
            self._progress.log(f"{result.stem}: {note}")


class Scoring(Batch):
    """Scores scans with one model.

    Args:
        model: the model.
        output: what to write, and where to report.
        threshold: object score above which a scan is anomalous, None for the model's own.
        false_alarm: rate to take the threshold for in place of the model's own.
        limits: the largest defect to accept, in the unit of the scans; what is None in it is the model's own.
        min_coverage: share of the part that every scan must show, see `Model.score`.
        unit: of the scans, None for that of the model.
        frame: rigid motion to the frame that places are told in, (4, 4), see `Model.score`; None for the part's own.

    Raises:
        BadConfig: the choices contradict each other or the model.
        BadInput: the frame is no rigid motion.
    """

    def __init__(
        self,
        model: Model,
        output: Output,
        *,
        threshold: float | None = None,
        false_alarm: float | None = None,
        limits: OwnLimits | None = None,
        min_coverage: float | None = None,
        unit: str | None = None,
        frame: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(output)
        model.require_choice(threshold, false_alarm, min_coverage)
        model.ratio_from(unit)
        self._model, self._threshold, self._false_alarm = model, threshold, false_alarm
        self._limits, self._min_coverage, self._unit = limits, min_coverage, unit
        self._frame = model.require_frame(frame)

    def _score(self, cloud: PointCloud, stem: str) -> Result:
        return self._model.score(
            cloud,
            threshold=self._threshold,
            false_alarm=self._false_alarm,
            limits=self._limits,
            min_coverage=self._min_coverage,
            unit=self._unit,
            frame=self._frame,
            metadata=self._output.metadata,
            stem=stem,
            progress=self._progress,
        )

    def _page(self, page: Path, result: Result, cloud: PointCloud) -> ReportPage:
        detector = self._model.detector.detector_for(result.scores)
        settings = detector.settings.model_dump(mode="json")
        return write_report(
            page,
            result,
            cloud,
            calibration=detector.calibration,
            settings=settings,
            color_range=self._output.color_range,
        )


class Comparing(Batch):
    """Compares scans with one CAD model.

    Args:
        cad: the model.
        tolerance: what scans may deviate, in the unit of the scans.
        output: what to write, and where to report.
        frame: rigid motion to the frame that places are told in, (4, 4), see `CadModel.compare`; None for the model's.
    """

    _doing = "comparing"

    def __init__(
        self, cad: CadModel, tolerance: Tolerance, output: Output, *, frame: NDArray[np.float64] | None = None
    ) -> None:
        super().__init__(output)
        self._cad, self._tolerance, self._frame = cad, tolerance, frame
        source = "" if tolerance.chosen else " (by default 0.1 mm)"
        if cad.united:
            self._progress.log(cad.united)
        self._progress.log(
            f"tolerance +{tolerance.plus:g} / -{tolerance.minus:g} {cad.unit}{source}, positive is excess."
        )

    def _score(self, cloud: PointCloud, stem: str) -> Result:
        said = self._output.metadata
        return self._cad.compare(cloud, self._tolerance, frame=self._frame, metadata=said, stem=stem)

    def _page(self, page: Path, result: Result, cloud: PointCloud) -> ReportPage:
        from dusnet.colors.deviation_bands import DeviationBands

        assert result.deviation is not None
        if self._output.color_range is not None:
            ranged = deviation_field(result, self._output.color_range)
            return write_report(page, result, cloud, fields=[ranged], title="CAD comparison")
        bands = DeviationBands(self._tolerance.plus, self._tolerance.minus)
        deviation = PointField(
            "Deviation",
            result.deviation,
            banded_scale(bands),
            unit=self._cad.unit,
            explanation="From the CAD model; positive is excess material, negative is missing.",
        )
        return write_report(page, result, cloud, fields=[deviation], title="CAD comparison")
