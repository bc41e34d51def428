"""`dusnet view` and `dusnet doctor`: looking at results, and at the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._common import Quiet


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("view", epilog="Example: dusnet view results/part.scored.ply --png part.png")(view)
    app.command("doctor", epilog="Example: dusnet doctor > report.txt")(doctor)


def doctor() -> None:
    """Say what this machine can do: versions, devices, which ops run and why, Open3D, pictures, and a small self-test.

    Put the page into a bug report. Exit code 0 when training and scoring work here, else 2.
    """
    from dusnet.doctor import as_text, examine, well

    findings = examine()
    typer.echo(as_text(findings))
    raise typer.Exit(0 if well(findings) else 2)


def view(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="SCAN_OR_RESULT...", show_default=False, help="Scans, scored scans, or result folders."),
    ],
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Draw a picture instead of opening a window.")
    ] = None,
    only_scans: Annotated[
        bool, typer.Option("--only-scans", help="Leave out the surface without defects beside each result.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Show scans and results side by side: in a window, or as a picture on a machine without a display.

    A result is STEM.scored.ply, STEM.json or a folder of them.
    """
    from dusnet.progress import for_terminal
    from dusnet.visualization.view import view as show

    show(results, png=png, reconstruction=not only_scans, progress=for_terminal(quiet=quiet))
