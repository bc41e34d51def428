"""What `dusnet score` does, and with `compare` the batch of scans in which one that is bad does not lose the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dusnet.cli._common import one_line, scans_in, seconds
from dusnet.errors import BadConfig, DusnetError
from dusnet.inspection import verdict as verdicts
from dusnet.inspection.results import Result, write_summary
from dusnet.inspection.stems import result_stems
from dusnet.io import read_cloud
from dusnet.workflow import LoadedModel, require_threshold

if TYPE_CHECKING:
    from dusnet.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """A scored batch.

    Attributes:
        results: what was written, in the order of the scans.
        failures: one sentence per scan that could not be scored.
    """

    results: tuple[Result, ...]
    failures: tuple[str, ...]


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
    """

    out: Path
    threshold: float | None = None
    false_alarm: float | None = None
    pictures: bool = False
    unit: str | None = None


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

    @abstractmethod
    def _one(self, scan: Path, stem: str) -> Result:
        """Judge one scan and write its files."""

    def _words(self, result: Result) -> str:
        """What the line about a scan says after its verdict and name."""
        limit = "" if result.threshold is None else f" (threshold {result.threshold:.4g})"
        regions = f", {len(result.regions)} regions" if result.regions else ""
        return f"score {result.object_score:.4g}{limit}{regions}"

    def run(self, paths: Sequence[Path]) -> Outcome:
        """Judge files, and the files in folders, and write their results.

        Raises:
            BadInput: a path does not exist or a folder holds no scan.
        """
        scans = scans_in(paths)
        failures: list[str] = []
        with self._progress.task(self._doing, len(scans)) as task:
            for scan, stem in zip(scans, result_stems(scans), strict=True):
                task.describe(f"{self._doing} {scan.name}")
                try:
                    result = self._one(scan, stem)
                    self._results.append(result)
                    self._tell(result)
                    self._draw(result)
                except DusnetError as error:
                    failures.append(one_line(str(error)))
                task.advance()
        if self._results:
            write_summary(self._choices.out, self._results)
            self._progress.log(f"wrote the results of {len(self._results)} scans to {self._choices.out}.")
        return Outcome(tuple(self._results), tuple(failures))

    def saved(self) -> str:
        """What an interruption leaves behind."""
        if not self._results:
            return "no scan was scored yet."
        write_summary(self._choices.out, self._results)
        return f"{len(self._results)} scans are scored, their results and summary.csv are in {self._choices.out}."

    def _draw(self, result: Result) -> None:
        if self._choices.pictures:
            from dusnet.visualization.view import view

            view([result.scored_path], png=self._choices.out / f"{result.stem}.png", title=result.stem)

    def _tell(self, result: Result) -> None:
        typer.echo(f"{result.verdict.status.value:<7} {result.stem}: {self._words(result)}")
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

    def _one(self, scan: Path, stem: str) -> Result:
        choices = self._choices
        result, _ = self._model.score(
            read_cloud(scan),
            choices.out,
            stem=stem,
            threshold=choices.threshold,
            false_alarm=choices.false_alarm,
            unit=choices.unit,
            progress=self._progress,
        )
        return result
