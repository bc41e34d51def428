"""The page of `dusnet view --web`: in a real browser, and what the command says before there is one."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, console_errors, screenshot
from interrupts import heed_interrupts
from view_results import THRESHOLD, scores_of, sphere, write_result

from dusnet.cli import main
from dusnet.cloud import PointCloud
from dusnet.display.loaded_result import read_loaded_result
from dusnet.display.scene import Layer
from dusnet.display.web.page import Page
from dusnet.display.web.server import _start, listening_place
from dusnet.errors import BadInput
from dusnet.io import write_cloud

REPOSITORY = Path(__file__).resolve().parent.parent.parent
needs_viser = pytest.mark.skipif(
    importlib.util.find_spec("viser") is None, reason='viser is not installed (pip install "dusnet[web]")'
)
STAGE = np.s_[100:650, 330:800]  # of a screenshot: the scan, without notices and controls


def serve(*words: str) -> tuple[subprocess.Popen[str], str]:
    """The command, started, and the first line that it printed."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "dusnet", "view", "--web", "--port", "0", *words]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=environment, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_interrupts
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code after Ctrl-C, and what was written on standard error."""
    process.send_signal(signal.SIGINT)
    return process.wait(20), process.communicate()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two results, one of them with a damaged record after them, and a plain scan."""
    folder = tmp_path_factory.mktemp("web")
    write_result(folder, "a")
    write_result(folder, "b", count=900, region_count=12)
    write_result(folder, "c")
    (folder / "c.json").write_text("{")
    write_cloud(folder / "plain.ply", PointCloud(sphere(400), colors=np.full((400, 3), (10, 120, 30), np.uint8)))
    return folder


@pytest.fixture(scope="module")
def page(folder) -> Iterator[Any]:
    """The page of the first scan in a browser; the server ends cleanly after the tests."""
    pytest.importorskip("viser", reason='viser is not installed (pip install "dusnet[web]")')
    with chromium(width=1250, height=900) as driver:
        names = ("a.scored.ply", "b.scored.ply", "c.json", "plain.ply")
        process, address = serve(*(str(folder / name) for name in names))
        try:
            driver.get(address)
            until(lambda: "1 defect" in text(driver, "dusnet-count"))
            until(lambda: stage(driver).std() > 10)
            yield driver
        finally:
            code, said = end(process)
    assert code == 0, said
    assert said.splitlines()[-1] == "stopped."
    assert re.search(r"ssh -L (\d+):127\.0\.0\.1:\1 \S+", said)
    assert "Traceback" not in said


def until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "the page does not get there"
        time.sleep(0.2)


def text(driver: Any, name: str) -> str:
    return driver.execute_script("return (document.getElementById(arguments[0]) || {innerText: ''}).innerText", name)


def stage(driver: Any) -> np.ndarray:
    return screenshot(driver)[STAGE].astype(int)


def redness(picture: np.ndarray) -> int:
    return int((picture[..., 0] - picture[..., 1] > 40).sum())


def key(driver: Any, letter: str) -> None:
    driver.find_element("tag name", "body").send_keys(letter)


def enter_threshold(driver: Any, value: str) -> None:
    """Type into the number beside the slider."""
    label = "//label[normalize-space()='Point limit']/ancestor::*[.//input][1]//input"
    field = next(field for field in driver.find_elements("xpath", label) if field.is_displayed())
    from selenium.webdriver.common.keys import Keys

    field.send_keys(Keys.CONTROL + "a")
    field.send_keys(value + Keys.ENTER)
    driver.execute_script("document.activeElement.blur()")


def buttons(driver: Any) -> list[str]:
    return driver.execute_script("return [...document.querySelectorAll('button')].map(one => one.innerText)")


@needs_viser
@pytest.mark.slow
class TestPage:
    """One browser; the tests follow each other."""

    def test_it_loads_without_errors_and_shows_the_verdict(self, page):
        assert console_errors(page) == []
        said = text(page, "dusnet-verdict")
        assert said.splitlines()[0].startswith("NG: defect, ")
        assert "score 2.5 (limit 1)" in said
        assert "The score 2.5 is above <1>." in said
        assert "1,500 points, mm" in said
        assert text(page, "dusnet-notice") == "all 1,500 points drawn"
        assert "point limit 0.912" in text(page, "dusnet-legend")

    def test_layers_look_different(self, page):
        heat = stage(page)
        key(page, "d")
        until(lambda: np.abs(stage(page) - heat).max() > 40)
        defects = stage(page)
        assert redness(heat) > 500
        assert redness(defects) > 500
        key(page, "i")
        until(lambda: redness(stage(page)) == 0)
        assert stage(page).std() > 10
        key(page, "r")
        until(lambda: text(page, "dusnet-notice") == "all 500 points drawn")
        key(page, "d")
        until(lambda: redness(stage(page)) > 500)

    def test_the_threshold_changes_what_is_counted_and_marked(self, page):
        scores = scores_of(sphere())
        before = redness(stage(page))
        enter_threshold(page, "2.8")
        expected = f"{int((scores > 2.8).sum()):,} of 1,500 points above 2.8, 1 defect"
        until(lambda: text(page, "dusnet-count") == expected)
        until(lambda: redness(stage(page)) < 0.7 * before)
        next(one for one in page.find_elements("tag name", "button") if one.text == "Reset limit").click()
        expected = f"{int((scores > THRESHOLD).sum()):,} of 1,500 points above {THRESHOLD:.4g}, 1 defect"
        until(lambda: text(page, "dusnet-count") == expected)

    def test_a_defect_of_the_list_comes_into_view(self, page):
        until(lambda: redness(stage(page)) > 500)
        before = redness(stage(page))
        next(one for one in page.find_elements("tag name", "button") if one.text.startswith("1:")).click()
        until(lambda: redness(stage(page)) > 1.5 * before)

    def test_the_list_of_scans_is_gone_through(self, page, folder):
        peak = json.loads((folder / "b.json").read_text())["regions"][0]["peak_score"]
        next(one for one in page.find_elements("tag name", "button") if one.text == "Next").click()
        until(lambda: "900 points" in text(page, "dusnet-verdict"))
        until(lambda: any(one.startswith("1:") and f", peak {peak:.3g}" in one for one in buttons(page)))
        until(lambda: "12 defects" in text(page, "dusnet-count"))  # the record says that it lists fewer than there are
        key(page, "n")
        until(lambda: "c.json is no valid JSON" in text(page, "dusnet-error"))
        key(page, "n")
        until(lambda: "400 points" in text(page, "dusnet-verdict"))
        until(lambda: text(page, "dusnet-count") == "not scored")
        assert not any(one.startswith("1") for one in buttons(page))
        until(lambda: bool((stage(page)[..., 1] - stage(page)[..., 0] > 40).sum() > 500))  # its own green
        key(page, "n")
        until(lambda: "1,500 points" in text(page, "dusnet-verdict"))
        key(page, "p")
        until(lambda: "400 points" in text(page, "dusnet-verdict"))

    def test_nothing_of_that_was_an_error(self, page):
        assert console_errors(page) == []


@needs_viser
def test_the_network_is_warned_of(folder):
    process, address = serve(str(folder / "a.scored.ply"), "--host", "0.0.0.0", "--quiet")
    code, said = end(process)
    assert (code, address[:15]) == (0, "http://0.0.0.0:")
    assert re.fullmatch(r"dusnet: Anybody who can reach 0\.0\.0\.0:\d+ can see these scans\.\n", said)


def test_a_free_port_is_found_and_a_busy_one_named():
    address, port = listening_place("localhost", 0)
    assert address in ("127.0.0.1", "::1")
    assert port > 0
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        with pytest.raises(BadInput, match=r"Port \d+ of 127\.0\.0\.1 is in use; choose another with --port"):
            listening_place("127.0.0.1", busy.getsockname()[1])


@pytest.mark.parametrize("host", ["", "no such host", "203.0.113.7", "a" * 300, "ä\x00"])
def test_a_host_that_is_not_this_machine_is_named(host):
    with pytest.raises(BadInput, match="is no address of this machine"):
        listening_place(host, 0)


@needs_viser
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--web", "--png", "p.png"], "--png draws a picture and --web serves a page"),
        (["--port", "80"], "--host and --port belong to --web"),
        (["--host", "::1"], "--host and --port belong to --web"),
        (["--web", "--port", "99999"], "'--port'"),
        (["--web", "--host", "203.0.113.7"], "'203.0.113.7' is no address of this machine"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(folder, capsys, words, sentence):
    assert main(["view", str(folder / "a.scored.ply"), *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@needs_viser
def test_a_busy_port_and_a_bad_scan_are_one_sentence(folder, capsys):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        assert main(["view", "--web", "--port", port, str(folder / "a.scored.ply")]) == 2
        assert f"Port {port} of 127.0.0.1 is in use" in capsys.readouterr().err
    assert main(["view", "--web", str(folder / "c.json")]) == 2
    assert "c.json is no valid JSON" in capsys.readouterr().err
    assert main(["view", "--web", str(folder / "nothing.ply")]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.fixture
def quiet_page(folder) -> Iterator[Page]:
    """A page of two scans that nobody has open and nothing follows, with the first of them shown."""
    viser = pytest.importorskip("viser", reason='viser is not installed (pip install "dusnet[web]")')
    server = _start(viser, *listening_place("127.0.0.1", 0))
    files = [folder / "a.scored.ply", folder / "b.scored.ply"]
    page = Page(server, files, read_loaded_result(files[0]), reconstruction=True)
    page._open(page._first_scan)
    try:
        yield page
    finally:
        server.stop()


def send(control: Any, value: object) -> None:
    """What a browser does that holds `value` in a control, whether it was offered or not."""
    from viser._messages import GuiUpdateMessage

    message = GuiUpdateMessage(control._impl.uuid, {"value": value})
    asyncio.run(control._impl.gui_api._handle_gui_updates(0, message))
    assert repr(control.value) == repr(value)


def test_names_that_are_not_offered_are_put_back(quiet_page):
    page = quiet_page
    send(page._layers, Layer.DEFECTS.value)
    page._follow()
    for control, shown in ((page._scans, "1. a.scored.ply"), (page._layers, "defects")):
        for name in ("no such name", "", Layer.TRUTH.value):
            send(control, name)
            page._follow()
            assert control.value == shown
    send(page._scans, "no such name")
    page._step(1)
    page._follow()
    assert (page._scans.value, page._scene.loaded.name) == ("2. b.scored.ply", "b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
def test_a_slider_counts_inside_of_its_range(quiet_page, value):
    page = quiet_page
    for slider in (page._slider, page._size):
        send(slider, value)
    page._follow()
    page._find_defects()
    assert page._counted == page._threshold()
    assert page._slider.min <= page._threshold() <= page._slider.max
    spacing = page._painted.spacing
    assert 0.2 * spacing <= page._node.point_size <= 5.0 * spacing


def test_a_record_that_cannot_be_read_does_not_end_the_page(quiet_page, monkeypatch):
    read = Path.read_bytes

    def refused(file: Path) -> bytes:
        if file.suffix == ".json":
            raise PermissionError(13, "Permission denied")
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", refused)
    quiet_page._step(1)
    quiet_page._follow()
    assert "b.json cannot be read (Permission denied)" in quiet_page._verdict.content
    monkeypatch.undo()
    quiet_page._step(1)
    quiet_page._follow()
    assert "1,500 points" in quiet_page._verdict.content


@needs_viser
def test_no_tunnel_to_the_internet_can_be_asked_for():
    import viser

    server = _start(viser, *listening_place("127.0.0.1", 0))
    try:
        assert server.request_share_url() is None
    finally:
        server.stop()


def test_without_viser_the_way_to_it_is_named(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    assert main(["view", "--web", str(folder / "a.scored.ply")]) == 2
    assert capsys.readouterr().err == 'dusnet: viser is not installed; run `pip install "dusnet[web]"`.\n'


def test_a_server_is_not_loaded_for_a_picture(folder):
    code = (
        "import sys, json; from dusnet.cli import main;"
        "main(['view', sys.argv[1], '--png', sys.argv[2], '--quiet']); print(json.dumps(sorted(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(folder / "a.scored.ply"), str(folder / "a.png")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert not {"viser", "websockets", "open3d"} & set(json.loads(run.stdout))
