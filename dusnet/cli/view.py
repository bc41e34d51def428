"""`dusnet view`: scans and results in a window, as a picture, or as a page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._options import Quiet
from dusnet.cli._streams import tell
from dusnet.errors import BadInput


def require_picture(path: Path) -> None:
    """Refuse a picture that could not be written, or would replace a file that is none.

    A picture of others is replaced: the user named that very file.
    """
    from dusnet.io.marks import FileKind, is_png, require_replaceable
    from dusnet.io.places import require_file

    require_file(path, option="--png")
    if not is_png(path):
        require_replaceable(path, FileKind.PICTURE, named=True)


def view(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="SCAN_OR_RESULT...", show_default=False, help="Scans, scored scans, or result folders."),
    ],
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Draw a picture instead of opening a window.")
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Serve a page for a browser instead of opening a window.")] = False,
    host: Annotated[
        str | None,
        typer.Option("--host", help="With --web: the address to listen on, 127.0.0.1 unless given: this machine only."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="With --web: the port, 8080 unless given; 0 takes a free one."),
    ] = None,
    only_scans: Annotated[
        bool, typer.Option("--only-scans", help="Leave out the surface without defects beside each result.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Show scans and results: in a window with keys, as a picture, or as a page for a browser.

    A result is STEM.scored.ply, STEM.json or a folder of them. A window needs a display; --png and --web need none.
    """
    from dusnet.progress import for_terminal

    progress = for_terminal(quiet=quiet)
    if not web:
        if host is not None or port is not None:
            raise BadInput("--host and --port belong to --web; add it or leave them out.")
        from dusnet.display.view import view as draw

        if png is not None:
            require_picture(png)

        draw(results, png=png, reconstruction=not only_scans, progress=progress)
        return
    if png is not None:
        raise BadInput("--png draws a picture and --web serves a page; give one of them.")
    from dusnet.display.web.server import HOST, PORT, serve

    serve(
        results,
        host=HOST if host is None else host,
        port=PORT if port is None else port,
        reconstruction=not only_scans,
        announce=tell,
        say=progress.log,
    )
