"""`dusnet score`: where scans differ from a good part, how much, and whether that is too much."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._options import (
    DeepestDefect,
    Device,
    FalseAlarm,
    Frame,
    Gate,
    LargestDefect,
    LeastCoverage,
    Model,
    OtherUnit,
    OwnDetector,
    Pages,
    Png,
    Quiet,
    Scans,
    Threshold,
)
from dusnet.cli._streams import show


def score(
    model: Model,
    scans: Scans,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Where results go.")],
    threshold: Threshold = None,
    false_alarm: FalseAlarm = None,
    limit: DeepestDefect = None,
    max_area: LargestDefect = None,
    min_coverage: LeastCoverage = None,
    gate: Gate = False,
    report: Pages = False,
    png: Png = False,
    unit: OtherUnit = None,
    frame: Frame = None,
    detector: OwnDetector = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Score scans: where they differ from a good part, how much, and whether that is too much.

    Writes STEM.json and STEM.scored.ply per scan and summary.csv for all into DIR, and one line per scan to standard
    output. A scan that cannot be used is reported and the others are still scored; the exit code is then 2.
    """
    from dusnet.batch import Output
    from dusnet.cli._judge import judge, scoring
    from dusnet.progress import for_terminal

    _, batch = scoring(
        model,
        Output(out, for_terminal(quiet=quiet), show, pictures=png, report=report),
        threshold=threshold,
        false_alarm=false_alarm,
        limit=limit,
        max_area=max_area,
        min_coverage=min_coverage,
        unit=unit,
        frame=frame,
        detector=detector,
        device=device,
    )
    judge(batch, scans, gate=gate)
