"""Who may talk to the page of `dusnet view --web`: its own pages only, whatever name or page asks."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator

import pytest

from dusnet.display.web.gate import Gate, guarded
from dusnet.display.web.server import _start, listening_place

LOCAL = Gate("127.0.0.1", "127.0.0.1", 8080)
ANYWHERE = Gate("0.0.0.0", "0.0.0.0", 8080)


class TestGate:
    @pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"])
    def test_its_own_names_are_answered_with_its_own_origin_or_none(self, host):
        assert LOCAL.refusal([host], []) is None
        assert LOCAL.refusal([host], [f"http://{host}"]) is None

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example:8080",  # a name that was made to point here
            "evil.example",
            "127.0.0.1.evil.example:8080",
            "localhost.evil.example:8080",
            "127.0.0.1:80",
            "127.0.0.1",
            "127.0.0.1:8080@evil.example",
            "evil.example@127.0.0.1:8080",
            "192.168.1.7:8080",
            "127.0.0.1:8080, evil.example",
            " 127.0.0.1:8080",
            "[::1",
            "[fe80::1]:8080",
            "127.0.0.1:99999999999",
            "",
        ],
    )
    def test_other_names_are_not(self, host):
        assert "own address" in str(LOCAL.refusal([host], []))
        assert LOCAL.refusal([host], [f"http://{host}"]) is not None

    @pytest.mark.parametrize("hosts", [[], ["127.0.0.1:8080", "127.0.0.1:8080"], ["127.0.0.1:8080", "evil.example"]])
    def test_there_is_exactly_one_name(self, hosts):
        assert LOCAL.refusal(hosts, []) is not None

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example",
            "https://evil.example:8080",
            "null",
            "",
            "http://127.0.0.1",
            "http://127.0.0.1:3000",
            "http://localhost:8080",  # the page was opened as 127.0.0.1
            "http://127.0.0.1:8080.evil.example",
            "https://127.0.0.1:8080",
            "file://",
            "http://127.0.0.1:8080/",
        ],
    )
    def test_pages_of_others_are_not_answered(self, origin):
        assert "other origins" in str(LOCAL.refusal(["127.0.0.1:8080"], [origin]))

    def test_two_origins_are_not_answered(self):
        assert LOCAL.refusal(["127.0.0.1:8080"], ["http://127.0.0.1:8080"] * 2) is not None

    def test_a_page_for_a_network_is_found_by_its_address_and_by_the_name_of_the_machine(self):
        for host in ("192.168.1.7:8080", "[2001:db8::1]:8080", f"{socket.gethostname()}:8080", "localhost:8080"):
            assert ANYWHERE.refusal([host], [f"http://{host}"]) is None
        assert ANYWHERE.refusal(["evil.example:8080"], []) is not None
        assert Gate("scanner.lan", "10.0.0.5", 8080).refusal(["Scanner.lan:8080"], []) is None

    def test_the_usual_port_is_not_spelled_out(self):
        assert Gate("127.0.0.1", "127.0.0.1", 80).refusal(["localhost"], ["http://localhost"]) is None

    def test_servers_started_later_are_left_alone(self):
        websockets = pytest.importorskip("websockets.asyncio.server")
        before = websockets.serve
        with guarded(LOCAL) as asking:
            assert websockets.serve is not before
        assert websockets.serve is before
        assert asking == []


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a real page is served."""
    viser = pytest.importorskip("viser", reason='viser is not installed (pip install "dusnet[web]")')
    server = _start(viser, *listening_place("127.0.0.1", 0))
    yield server.get_port()
    server.stop()


def answer(port: int, *headers: str, path: str = "/") -> str:
    """The first line of the answer to a request as it goes over the wire."""
    text = "\r\n".join([f"GET {path} HTTP/1.1", *headers, "", ""])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(text.encode())
        return wire.recv(4096).decode("latin-1").splitlines()[0]


def websocket(port: int, *headers: str) -> str:
    key = base64.b64encode(bytes(16)).decode()
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13")
    return answer(port, *headers, *upgrade)


class TestServer:
    def test_its_own_page_gets_what_it_asks_for(self, port):
        own = f"127.0.0.1:{port}"
        assert " 200 " in answer(port, f"Host: {own}")
        assert " 101 " in websocket(port, f"Host: {own}", f"Origin: http://{own}", "Sec-WebSocket-Protocol: viser-v1")

    def test_a_websocket_of_another_page_is_refused(self, port):
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
            assert " 403 " in websocket(port, f"Host: 127.0.0.1:{port}", f"Origin: {origin}")

    def test_another_name_is_refused_for_pages_and_websockets(self, port):
        evil = f"Host: evil.example:{port}"
        assert " 403 " in answer(port, evil)
        assert " 403 " in answer(port, evil, path="/assets/x.js")
        assert " 403 " in websocket(port, evil, f"Origin: http://evil.example:{port}")
        assert " 403 " in websocket(port)
