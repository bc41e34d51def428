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
    Frame,
    LargestDefect,
    Metadata,
    Model,
    OtherUnit,
    OwnDetector,
    Pages,
    PartNumber,
    Png,
    Quiet,
    Scans,
    required_range,
)
from dusnet.cli._streams import show


def score(
    model: Model,
    scans: Scans,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Where results go.")],
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Call a scan anomalous above this object score.")
    ] = None,
    false_alarm: Annotated[
        float | None,
        typer.Option(
            "--false-alarm",
            help="Put the limit where this share of good parts would be called anomalous.",
        ),
    ] = None,
    limit: DeepestDefect = None,
    max_area: LargestDefect = None,
    min_coverage: Annotated[
        float | None,
        typer.Option(
            "--min-coverage",
            metavar="SHARE",
            help="Judge every scan that shows at least this share of the part, 0 to 1, whatever it leaves out.",
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Answer by exit code: 0 all normal, 1 some anomalous, 2 not decided."),
    ] = False,
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
    from dusnet.batch import Output, Scoring
    from dusnet.cli._judge import judge
    from dusnet.cli._metadata import metadata_of
    from dusnet.errors import BadConfig
    from dusnet.inspection.own_limits import OwnLimits
    from dusnet.io import read_motion
    from dusnet.model import load
    from dusnet.progress import for_terminal

    if threshold is not None and false_alarm is not None:
        raise BadConfig("--threshold and --false-alarm both choose the limit; give one of them.")
    limits = OwnLimits(limit, max_area)
    said = metadata_of(part_number, comment, metadata)
    colors = required_range(color_range)
    output = Output(
        out, for_terminal(quiet=quiet), show, pictures=png, report=report, metadata=said, color_range=colors
    )
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
    judge(batch, scans, gate=gate)
