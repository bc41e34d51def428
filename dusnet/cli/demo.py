"""`dusnet demo`: the main job on embedded data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dusnet.cli._common import if_interrupted
from dusnet.cli._options import Quiet
from dusnet.cli._streams import show


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where everything goes.")] = Path("demo"),
    budget: Annotated[
        Literal["short", "full"], typer.Option("--budget", help="short: fewer parts and training steps, same code.")
    ] = "full",
    quiet: Quiet = False,
) -> None:
    """The main job on embedded data: make parts and defects, train, score, print a table, draw pictures.

    Compares `dusnet` with the distance to the nearest training scan. A second run reuses what is there.
    """
    from dusnet.demo import run
    from dusnet.progress import for_terminal

    with if_interrupted(lambda: f"what is finished is in {out}; the same command goes on from there."):
        show(run(out, budget=budget, progress=for_terminal(quiet=quiet)))
