"""Who may talk to the page of `dusnet view --web`: browsers that opened it, and no page of somebody else in them.

A browser lets any page connect to any server of this machine. It tells the truth about two things: which page asks
(Origin), and under which name it found the server (Host). Without the first check a page could read the scans through a
websocket; without the second it could do so after its own name was made to point here (DNS rebinding).
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_USUAL_PORT = 80


@dataclass(frozen=True)
class Gate:
    """The names under which a page is served.

    Attributes:
        host: what the user asked to listen on.
        address: the numeric address that it stands for.
        port: listened on.
    """

    host: str
    address: str
    port: int

    def refusal(self, hosts: list[str], origins: list[str]) -> str | None:
        """Why a request is not answered, None when it is.

        Args:
            hosts: values of its Host headers.
            origins: values of its Origin headers; only browsers send one.
        """
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return (
                f"This page is served under its own address only, port {self.port}; open the address that "
                "`dusnet view --web` printed."
            )
        if len(origins) > 1 or (origins and origins[0].lower() != f"http://{hosts[0].lower()}"):
            return "Pages of other origins are not answered; open the address that `dusnet view --web` printed."
        return None

    def _is_own(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None or int(found["port"] or _USUAL_PORT) != self.port:
            return False
        name = found["name"].lower().strip("[]")
        loopback = ipaddress.ip_address(self.address).is_loopback
        try:
            # No name can be made to point here by somebody else when it is the address itself.
            return ipaddress.ip_address(name).is_loopback or not loopback
        except ValueError:
            names = {"localhost", self.host.lower()} | (set() if loopback else {socket.gethostname().lower()})
            return name in names


@contextlib.contextmanager
def guarded(gate: Gate) -> Iterator[list[None]]:
    """Every websockets server that is started inside the block asks the gate before it answers anything.

    viser makes its server itself and hands nothing through to it.

    Yields:
        A list that gets an entry for every server that asks.
    """
    import websockets.asyncio.server as websockets

    original: Callable[..., Any] = websockets.serve
    asking: list[None] = []

    @functools.wraps(original)
    def serve(*arguments: Any, process_request: Callable[..., Any] | None = None, **options: Any) -> Any:
        asking.append(None)
        return original(*arguments, process_request=_asked(gate, process_request), **options)

    websockets.serve = serve  # type: ignore[assignment, misc]
    try:
        yield asking
    finally:
        websockets.serve = original  # type: ignore[assignment, misc]


def _asked(gate: Gate, answer: Callable[..., Any] | None) -> Callable[..., Any]:
    """A handler of requests that asks the gate before `answer`."""

    def process(connection: Any, request: Any) -> Any:
        reason = gate.refusal(request.headers.get_all("Host"), request.headers.get_all("Origin"))
        if reason is not None:
            return connection.respond(HTTPStatus.FORBIDDEN, f"{reason}\n")
        response = None if answer is None else answer(connection, request)
        if response is not None:
            response.headers["X-Frame-Options"] = "DENY"
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return process
