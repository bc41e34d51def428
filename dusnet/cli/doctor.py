"""`dusnet doctor`: what this machine can do."""

from __future__ import annotations

import typer

from dusnet.cli._streams import show


def doctor() -> None:
    """Say what this machine can do: versions, devices, which ops run and why, Open3D, pictures, and a small self-test.

    Put the page into a bug report. Exit code 0 when training and scoring work here, else 2.
    """
    from dusnet.doctor import as_text, examine, well

    findings = examine()
    show(as_text(findings))
    raise typer.Exit(0 if well(findings) else 2)
