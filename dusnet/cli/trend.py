"""`dusnet trend`: results over time, with control limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._options import Quiet
from dusnet.cli._streams import tell


def trend(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULTS...", show_default=False, help="Folders that `score` or `watch` wrote."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="HTML", help="The page; by default trend.html in the first folder."),
    ] = None,
    window: Annotated[
        int, typer.Option("--window", min=1, metavar="PARTS", help="How many parts one value of the yield counts.")
    ] = 50,
    quiet: Quiet = False,
) -> None:
    """Show results over time: scores, largest deviations and yield, with limits and control limits.

    Writes one page that opens in any browser, offline, and prints its path. Points lead to the pages of their parts.
    """
    from dusnet.display.report import TREND, write_trend
    from dusnet.errors import BadInput
    from dusnet.io.marks import FileKind, require_replaceable
    from dusnet.io.places import require_file
    from dusnet.progress import for_terminal
    from dusnet.summary import stored_results
    from dusnet.words import counted, listed, verb

    progress = for_terminal(quiet=quiet)
    folders = list(dict.fromkeys(folder.resolve() for folder in results))
    for given in results:
        if not given.is_dir():
            what = "is a file" if given.exists() else "does not exist"
            raise BadInput(f"{given} {what}; name a folder that `dusnet score` or `dusnet watch` wrote.")
    target = results[0] / TREND if out is None else out
    require_file(target)
    require_replaceable(target, FileKind.PAGE, named=out is not None)
    found = []
    for folder in folders:
        here, trouble = stored_results(folder)
        if not here:
            raise BadInput(f"{folder} holds no results; name a folder that `dusnet score` or `dusnet watch` wrote.")
        found += here
        if trouble:
            count = len(trouble)
            progress.log(f"{folder}: {counted(count, 'JSON file')} {verb(count)} left out: {trouble[0]}")
    write_trend(target, found, window=window, title=f"Trend of {listed([folder.name for folder in folders])}")
    tell(str(target))
