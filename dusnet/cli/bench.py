"""`dusnet bench ops` and `dusnet bench score`: speed on this machine, beside the installed peers."""

from __future__ import annotations

from typing import Annotated

import typer

from dusnet.cli._common import comma_list
from dusnet.cli._options import Device, Model, Quiet
from dusnet.cli._streams import show
from dusnet.errors import BadConfig

app = typer.Typer(help="Speed on this machine, beside the installed peers.", rich_markup_mode=None)


@app.command(epilog="Example: dusnet bench ops --sizes 1024,8192")
def ops(
    sizes: Annotated[
        str, typer.Option("--sizes", metavar="N,N|full", help="Points per cloud, or full: the sizes of the docs.")
    ] = "1024,4096,16384",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Counted runs; the table shows their median.")] = 5,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Time the ops beside plain torch and, on the CPU, whatever peers are installed, as ratios."""
    counts = None if sizes == "full" else _counts(sizes)

    from dusnet.evaluation.speed import FULL, as_markdown, as_text, of_size, time_ops
    from dusnet.progress import for_terminal
    from dusnet.training.devices import require_device

    require_device(device)
    works = [FULL] if counts is None else [of_size(count) for count in counts]
    timings = time_ops(works, device, for_terminal(quiet=quiet), repeats=repeats)
    show(as_markdown(timings) if markdown else as_text(timings))


@app.command(epilog="Example: dusnet bench score bracket.safetensors --sizes 10000,100000")
def score(
    model: Model,
    sizes: Annotated[str, typer.Option("--sizes", metavar="N,N", help="Points per cloud.")] = "5000,20000,80000",
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Time scoring: copies of the model's own part with noise, drawn to several sizes."""
    counts = _counts(sizes)

    from dusnet.evaluation.speed import as_text, time_scoring
    from dusnet.progress import for_terminal

    show(as_text(time_scoring(model, counts, device, for_terminal(quiet=quiet))))


def _counts(text: str) -> list[int]:
    words = comma_list(text)
    if not words or not all(word.isdigit() and int(word) >= 64 for word in words):
        raise BadConfig(f"--sizes must be whole numbers from 64 up, separated by commas, got {text!r}.")
    return [int(word) for word in words]
