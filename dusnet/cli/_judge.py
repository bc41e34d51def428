"""How a batch of scans begins and ends: what judges them, what failed, and the exit code that says the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer

from dusnet.batch import Batch, Outcome, Output, Scoring
from dusnet.cli._common import if_interrupted
from dusnet.cli._streams import lines_are_extra, warn
from dusnet.errors import BadConfig
from dusnet.inspection import verdict
from dusnet.inspection.own_limits import OwnLimits
from dusnet.io import read_motion
from dusnet.model import Model, load


def scoring(
    model: Path,
    output: Output,
    *,
    threshold: float | None,
    false_alarm: float | None,
    limit: float | None,
    max_area: float | None,
    min_coverage: float | None,
    unit: str | None,
    frame: Path | None,
    detector: str | None,
    device: str,
) -> tuple[Model, Scoring]:
    """The model, loaded, and what judges scans with it, as the options of `score` and `watch` ask for."""
    if threshold is not None and false_alarm is not None:
        raise BadConfig("--threshold and --false-alarm both choose the limit; give one of them.")
    limits = OwnLimits(limit, max_area)
    motion = None if frame is None else read_motion(frame)
    loaded = load(model, device=device, detector=detector)
    batch = Scoring(
        loaded,
        output,
        threshold=threshold,
        false_alarm=false_alarm,
        limits=limits,
        min_coverage=min_coverage,
        unit=unit,
        frame=motion,
    )
    return loaded, batch


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
    return verdict.exit_code(result.verdict for result in outcome.results) if gate else 0
