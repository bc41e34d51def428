"""How a batch of scans ends: what failed is said, and the exit code says the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer

from dusnet.batch import Batch, Outcome
from dusnet.cli._common import if_interrupted
from dusnet.cli._streams import lines_are_extra, warn
from dusnet.inspection import verdict


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
