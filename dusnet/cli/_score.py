"""What `dusnet score` does, and with `compare` the batch of scans in which one that is bad does not lose the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from dusnet.cli._common import if_interrupted, scans_in, seconds
from dusnet.cli._streams import lines_are_extra, show, warn
from dusnet.data.sample import read_with_labels
from dusnet.display.report import INDEX, REPORT, ReportPage, renew_overview, write_report
from dusnet.errors import BadConfig, DusnetError, trouble_with
from dusnet.inspection import verdict as verdicts
from dusnet.inspection.results import Result, remove_result, result_files
from dusnet.inspection.stems import result_stems
from dusnet.inspection.summary import SUMMARY
from dusnet.io import read_cloud, remove_file
from dusnet.io.marks import Kind, kind_of, require_replaceable
from dusnet.io.places import require_folder
from dusnet.terminal import escaped, one_line
from dusnet.workflow import LoadedModel, require_threshold

if TYPE_CHECKING:
    from dusnet.cloud import PointCloud
    from dusnet.detectors import Scores
    from dusnet.progress import Progress


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


def judge(batch: Batch, scans: Sequence[Path], *, gate: bool) -> NoReturn:
    """Run a batch, say what failed, and end the command with its exit code."""
    if gate:
        lines_are_extra()
    with if_interrupted(batch.saved):
        outcome = batch.run(scans)
    for failure in outcome.failures:
        warn(failure)
    raise typer.Exit(exit_code(outcome, gate=gate))


def exit_code(outcome: Outcome, *, gate: bool) -> int:
    """2 when a scan could not be scored; else with `gate` 0 for all normal, 1 for some anomalous, 2 for not decided."""
    if outcome.failures:
        return 2
    return verdicts.exit_code(result.verdict for result in outcome.results) if gate else 0


@dataclass(frozen=True)
class Choices:
    """What the user decided.

    Attributes:
        out: folder of the results.
        threshold: object score above which a scan is anomalous.
        false_alarm: rate to take the threshold for; with neither the model's own threshold is taken.
        pictures: whether to draw every scan.
        unit: unit of the scans, None for that of the model.
        report: whether to write a page per scan and an index of the batch.
    """

    out: Path
    threshold: float | None = None
    false_alarm: float | None = None
    pictures: bool = False
    unit: str | None = None
    report: bool = False


class Batch(ABC):
    """Judges scans one by one, tells and draws each result, and sums them up.

    Args:
        choices: what the user decided.
        progress: where to report.
    """

    _doing = "scoring"

    def __init__(self, choices: Choices, progress: Progress) -> None:
        self._choices, self._progress = choices, progress
        self._results: list[Result] = []
        self._failures: list[str] = []
        self._reports: dict[str, ReportPage] = {}

    @abstractmethod
    def _judge(self, cloud: PointCloud, stem: str) -> tuple[Result, Scores]:
        """Judge one scan and write its files."""

    @abstractmethod
    def _page(self, page: Path, result: Result, cloud: PointCloud, scores: Scores) -> ReportPage:
        """Write the page of one scan."""

    def _words(self, result: Result) -> str:
        """What the line about a scan says after its verdict and name."""
        limit = "" if result.threshold is None else f" (threshold {result.threshold:.4g})"
        regions = f", {len(result.regions)} regions" if result.regions else ""
        return f"score {result.object_score:.4g}{limit}{regions}"

    def run(self, paths: Sequence[Path]) -> Outcome:
        """Judge files, and the files in folders, and write their results.

        Whatever is wrong with one scan does not lose the others. What makes all of them fail is found out before.

        Raises:
            BadInput: a path does not exist, a folder holds no scan, or a file that would be replaced is of others.
            BadConfig: the folder of the results cannot be written.
        """
        scans = scans_in(paths, self._progress.log)
        stems = result_stems(scans)
        self._require_free(stems)
        with self._progress.task(self._doing, len(scans)) as task:
            for scan, stem in zip(scans, stems, strict=True):
                task.describe(f"{self._doing} {scan.name}")
                try:
                    result = self._one(scan, stem)
                    self._results.append(result)
                    self._tell(result)
                    self._draw(result)
                except Exception as error:  # a scan can be wrong in more ways than anybody has thought of
                    self._failures.append(one_line(trouble_with(str(scan), error)))
                task.advance()
        self._finish()
        return Outcome(tuple(self._results), tuple(self._failures))

    def saved(self) -> str:
        """What an interruption leaves behind."""
        if not self._results:
            return "no scan was scored yet."
        self._write_overview()
        return f"{len(self._results)} scans are scored, their results and summary.csv are in {self._choices.out}."

    def _require_free(self, stems: Sequence[str]) -> None:
        """Refuse a folder that cannot be written or in which a file of others has the name of one of ours."""
        out = self._choices.out
        files = {path: kind for stem in stems for path, kind in self._files(stem).items()}
        files |= {out / SUMMARY: Kind.SUMMARY} | ({out / INDEX: Kind.PAGE} if self._choices.report else {})
        require_folder(out, [path.name for path in files])
        for path, kind in files.items():
            if kind is Kind.PICTURE and path.is_dir():
                continue  # nothing can be destroyed there, and the scan is worth more than its picture
            require_replaceable(path, kind)

    def _files(self, stem: str) -> dict[Path, Kind]:
        """The files of one scan, and what each may replace."""
        out, files = self._choices.out, result_files(self._choices.out, stem)
        if self._choices.report:
            files[out / f"{stem}{REPORT}"] = Kind.PAGE
        if self._choices.pictures:
            files[out / f"{stem}.png"] = Kind.PICTURE
        return files

    def _finish(self) -> None:
        """Write the overviews, and see whether all that was written is still there."""
        out = self._choices.out
        try:
            self._write_overview()
        except DusnetError as error:
            self._failures.append(one_line(str(error)))
        lost = [one for one in self._results if not (one.json_path.is_file() and one.scored_path.is_file())]
        if lost:
            self._failures.append(
                one_line(f"the results of {len(lost)} scans ({lost[0].stem}, ...) were removed from {out} meanwhile.")
            )
        if len(lost) < len(self._results):
            self._progress.log(f"wrote the results of {len(self._results) - len(lost)} scans to {out}.")

    def _one(self, scan: Path, stem: str) -> Result:
        # What an earlier run said of this scan must not be taken for what this one says.
        page = self._choices.out / f"{stem}{REPORT}"
        for path, kind in ((page, Kind.PAGE), (self._choices.out / f"{stem}.png", Kind.PICTURE)):
            if kind_of(path) is kind:
                remove_file(path)
        remove_result(self._choices.out, stem)
        cloud = read_cloud(scan)
        result, scores = self._judge(cloud, stem)
        if self._choices.report:
            labelled = read_with_labels(scan) if cloud.labels is None else None
            if labelled is not None and len(labelled) == len(cloud):
                cloud = replace(cloud, labels=labelled.labels)
            self._reports[stem] = self._page(page, result, cloud, scores)
        return result

    def _write_overview(self) -> None:
        """What the folder says as a whole, results of earlier runs and of other processes included."""
        trouble = renew_overview(
            self._choices.out, reports=self._reports, failures=self._failures, index=self._choices.report
        )
        for sentence in trouble[:_NAMED]:
            self._progress.log(f"{sentence.rstrip('.')}; it is not listed in {SUMMARY}.")
        if len(trouble) > _NAMED:
            self._progress.log(f"{len(trouble) - _NAMED} more JSON files are not listed in {SUMMARY}.")

    def _draw(self, result: Result) -> None:
        if self._choices.pictures:
            from dusnet.display.view import view

            target = self._choices.out / f"{result.stem}.png"
            require_replaceable(target, Kind.PICTURE)
            view([result.scored_path], png=target, title=escaped(result.stem))

    def _tell(self, result: Result) -> None:
        show(f"{result.verdict.status.value:<7} {one_line(result.stem)}: {one_line(self._words(result))}")
        taken = result.record["timings"].get("total")
        if taken is not None:
            self._progress.log(f"{result.stem}: {result.record['points']} points in {seconds(taken)}")
        notes = [*result.record["warnings"], *(reason.text for reason in result.verdict.reasons)]
        for note in dict.fromkeys(notes):
            self._progress.log(f"{result.stem}: {note}")


class Scorer(Batch):
    """Scores scans with one model.

    Args:
        model: a model file.
        choices: what the user decided.
        device: where to compute.
        progress: where to report.

    Raises:
        BadModel: the model cannot be used.
        BadConfig: the choices contradict each other or the model.
    """

    def __init__(self, model: Path, choices: Choices, *, device: str, progress: Progress) -> None:
        super().__init__(choices, progress)
        if choices.threshold is not None and choices.false_alarm is not None:
            raise BadConfig("--threshold and --false-alarm both choose the threshold; give one of them.")
        if choices.threshold is not None:
            require_threshold(choices.threshold)
        self._model = LoadedModel.open(model, device=device)
        self._model.ratio_from(choices.unit)
        if choices.false_alarm is not None:
            self._model.threshold_for(choices.false_alarm)

    def _judge(self, cloud: PointCloud, stem: str) -> tuple[Result, Scores]:
        choices = self._choices
        return self._model.score(
            cloud,
            choices.out,
            stem=stem,
            threshold=choices.threshold,
            false_alarm=choices.false_alarm,
            unit=choices.unit,
            progress=self._progress,
        )

    def _page(self, page: Path, result: Result, cloud: PointCloud, scores: Scores) -> ReportPage:
        detector = self._model.detector.detector_for(scores)
        settings = detector.settings.model_dump(mode="json")
        return write_report(page, result, cloud, scores, calibration=detector.calibration, settings=settings)
