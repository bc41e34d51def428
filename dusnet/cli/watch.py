"""`dusnet watch`: judges each scan that comes into a folder."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
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
    Threshold,
    required_range,
)
from dusnet.cli._streams import lines_are_extra, show, warn


def watch(
    model: Model,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="Where scans appear.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Where results go.")],
    settle: Annotated[
        float, typer.Option("--settle", metavar="SECONDS", help="A file is read when it did not change for so long.")
    ] = 2.0,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", help="Time between two looks at the folder.")
    ] = 1.0,
    idle_exit: Annotated[
        float | None,
        typer.Option(
            "--idle-exit",
            metavar="SECONDS",
            min=0.0,
            help="End when no scan came for so long; 0 ends when those in the folder are judged.",
        ),
    ] = None,
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
    """Judge each scan that comes into FOLDER, as `score` does, until it is stopped.

    Files that are still being written are left alone until they are complete. A scan is judged once, also after a
    restart; one that changes is judged again. Ctrl-C or SIGTERM finishes the scan at hand and ends the command with the
    exit code of `score`.
    """
    from dusnet.batch import Output
    from dusnet.cli._judge import scoring
    from dusnet.cli._metadata import metadata_of
    from dusnet.inspection import verdict
    from dusnet.progress import for_terminal
    from dusnet.watch import Watch

    said = metadata_of(part_number, comment, metadata)
    colors = required_range(color_range)
    output = Output(
        out, for_terminal(quiet=quiet), show, pictures=png, report=report, metadata=said, color_range=colors
    )
    with _stop_signals() as stopped:
        loaded, batch = scoring(
            model,
            output,
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
        if gate:
            lines_are_extra()
        watcher = Watch(batch, folder, loaded.sha256, settle=settle, interval=interval, say=warn)
        output.progress.log(f"watching {folder}; Ctrl-C ends it.")
        watcher.run(lambda: bool(stopped), idle_exit)
    if watcher.failed:
        raise typer.Exit(2)
    raise typer.Exit(verdict.exit_code(watcher.verdicts) if gate else 0)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """The signals that asked to stop; a second one interrupts at once."""
    stopped: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
