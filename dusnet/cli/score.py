"""`dusnet score`: where scans differ from a good part, how much, and whether that is too much."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._options import (
    ColorRange,
    Comment,
    DeepestDefect,
    Device,
    FalseAlarm,
    Frame,
    Gate,
    LargestDefect,
    LeastCoverage,
    Metadata,
    Model,
    OtherUnit,
    OwnDetector,
    Pages,
    PartNumber,
    Png,
    Quiet,
    Scans,
    Threshold,
    required_range,
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
    color_range: ColorRange = None,
    png: Png = False,
    unit: OtherUnit = None,
    frame: Frame = None,
    part_number: PartNumber = None,
    comment: Comment = None,
    metadata: Metadata = None,
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
    from dusnet.cli._metadata import metadata_of
    from dusnet.progress import for_terminal

    said = metadata_of(part_number, comment, metadata)
    colors = required_range(color_range)
    _, batch = scoring(
        model,
        Output(out, for_terminal(quiet=quiet), show, pictures=png, report=report, metadata=said, color_range=colors),
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
