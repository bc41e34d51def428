"""`dusnet check`: what a scan or a dataset holds, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._options import Layout, Quiet
from dusnet.cli._streams import show


def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", show_default=False, help="A scan, a folder or a dataset.")],
    layout: Layout = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Say what a scan or a dataset holds, and what is wrong with it; exit code 2 when something cannot be used."""
    import json

    from dusnet.data.findings import check_folder, check_scan
    from dusnet.errors import BadInput
    from dusnet.progress import for_terminal

    found = check_folder(path, layout, for_terminal(quiet=quiet)) if path.is_dir() else check_scan(path)
    page = json.dumps(found.data, indent=2) if as_json else found.text
    if page:
        show(page)
    if found.problem is not None:
        raise BadInput(found.problem)
