"""`dusnet view --web`: the viewer as a page, for machines that are reached over a network."""

from __future__ import annotations

import contextlib
import errno
import io
import ipaddress
import socket
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from dusnet.display.loaded_result import read_loaded_result, viewable_files
from dusnet.display.web.gate import Gate, guarded
from dusnet.display.web.page import Page
from dusnet.errors import BadInput, MissingDependency

HOST, PORT = "127.0.0.1", 8080


def serve(
    paths: Sequence[Path],
    *,
    host: str = HOST,
    port: int = PORT,
    reconstruction: bool = True,
    announce: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """Serve scans and results as a page until the process is interrupted.

    Args:
        paths: at least one of: scans, meshes, results (`STEM.scored.ply` or `STEM.json`), or folders of either.
        host: name or address of this machine to listen on.
        port: to listen on; 0 takes a free one.
        reconstruction: offer the surface without defects of results that have one.
        announce: gets the address of the page when it can be opened.
        say: gets what else there is to know, line by line.

    Raises:
        BadInput: a path cannot be shown, or the host or port cannot be used.
        MissingDependency: viser is absent.
    """
    viser = _viser()
    files = viewable_files(paths)
    first = read_loaded_result(files[0], reconstruction=reconstruction)
    address, free = listening_place(host, port)
    server = _start(viser, address, free, host)
    try:
        page = Page(server, files, first, reconstruction=reconstruction)
        url = f"http://{f'[{address}]' if ':' in address else address}:{free}"
        local = ipaddress.ip_address(address).is_loopback
        if not local:
            warnings.warn(f"Anybody who can reach {address}:{free} can see these scans.", stacklevel=2)
        announce(url)
        if local:
            say(f"from another machine: ssh -L {free}:{url.removeprefix('http://')} {socket.gethostname()}")
        say("Ctrl-C ends.")
        page.run()
    except KeyboardInterrupt:  # how a server is meant to end
        say("stopped.")
    finally:
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()


def listening_place(host: str, port: int) -> tuple[str, int]:
    """The numeric address and the port to listen on, tried out; for port 0 one that is free.

    Raises:
        BadInput: the host is not this machine, or the port is in use or not allowed.
    """
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM) if host else []
    except (OSError, UnicodeError):
        places = []
    refused: OSError | None = None
    for family, kind, protocol, _, place in places:
        try:
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(place)
                return str(place[0]), int(trial.getsockname()[1])
        except OSError as error:
            refused = error
    if refused is not None and refused.errno == errno.EADDRINUSE:
        raise BadInput(f"Port {port} of {host} is in use; choose another with --port, 0 takes a free one.")
    if refused is not None and refused.errno == errno.EACCES:
        raise BadInput(f"Port {port} needs the rights of the administrator; choose one above 1023 with --port.")
    raise BadInput(f"{host!r} is no address of this machine; use --host 127.0.0.1, or 0.0.0.0 for all networks.")


def _viser() -> ModuleType:
    try:
        import viser
    except ModuleNotFoundError as error:
        if error.name != "viser":
            raise
        raise MissingDependency('viser is not installed; run `pip install "dusnet[web]"`.') from error
    return viser


def _start(viser: ModuleType, address: str, port: int, host: str = HOST) -> Any:
    gate = Gate(host, address, port)
    with contextlib.redirect_stdout(io.StringIO()), guarded(gate) as asking:  # its banner; ours says the same
        server = viser.ViserServer(host=address, port=port, label="dusnet", verbose=False)
    if server.get_port() != port:  # it goes on to the next one when somebody was faster
        server.stop()
        raise BadInput(f"Port {port} of {address} is in use; choose another with --port, 0 takes a free one.")
    if not asking:
        server.stop()
        raise MissingDependency(
            'This version of viser answers pages of anybody; run `pip install "viser>=1.1,<1.2"` or use --png.'
        )
    # Its page could ask for a tunnel that shows everything under a public address.
    server.request_share_url = lambda verbose=True: None  # noqa: ARG005
    return server
