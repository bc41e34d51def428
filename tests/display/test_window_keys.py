"""The keys of the window, pressed on a virtual display."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from view_results import write_result

from dusnet.display.window.keys import HELP

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("press_keys.py")
REPOSITORY = SCRIPT.parent.parent.parent
SHOWN = ["start", "heat", "defects", "input", "reconstruction", "truth", "help", "next", "previous", "everything"]
PRESSED = ["h", "d", "i", "r", "g", "question", "n", "p", "a"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> tuple[list[str], dict[str, np.ndarray]]:
    """What was said, and a picture of the start and of the window after each key."""
    if shutil.which("xvfb-run") is None:
        pytest.skip("xvfb-run is not installed (apt-get install xvfb)")
    if importlib.util.find_spec("open3d") is None:
        pytest.skip("Open3D is not installed")
    try:
        ctypes.CDLL("libXtst.so.6")
    except OSError:
        pytest.skip("libXtst is not installed (apt-get install libxtst6)")
    folder = tmp_path_factory.mktemp("window")
    write_result(folder / "results", "a")
    write_result(folder / "results", "b", count=800)
    for number in range(4):  # a long column, from which one scan is picked
        write_result(folder / "results", f"c{number}", count=300)
    environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    command = ["xvfb-run", "-a", sys.executable, str(SCRIPT), str(folder / "results"), str(folder), *PRESSED]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    pictures = [np.asarray(Image.open(folder / f"{number}.png").convert("RGB")) for number in range(len(SHOWN))]
    return run.stdout.splitlines(), dict(zip(SHOWN, (picture.astype(int) for picture in pictures), strict=True))


def test_each_key_says_what_is_shown(seen):
    said = seen[0][2:]
    assert seen[0][1] == said[5] == HELP
    assert [line.split(":")[0] for line in said[:4]] == [
        f"a (1 of 6), {layer}" for layer in ("heat map", "defects", "input", "reconstruction")
    ]
    assert "points above 0.9123, 1 defect" in said[1]
    assert said[4] == "a has no ground truth."
    assert [line.split(":")[0] for line in said[6:]] == [
        "b (2 of 6), reconstruction",
        "a (1 of 6), reconstruction",
        "everything side by side",
    ]


def test_each_layer_has_its_colours(seen):
    pictures = seen[1]
    ink = {name: (picture < 250).any(axis=-1) for name, picture in pictures.items()}
    red = {name: (ink[name] & (picture[..., 0] - picture[..., 1] > 40)).sum() for name, picture in pictures.items()}
    assert min(inked.sum() for inked in ink.values()) > 1000
    assert red["heat"] > 500
    assert red["defects"] > 500
    assert red["input"] == red["reconstruction"] == 0


@pytest.mark.parametrize("name", ["heat", "input", "next", "previous"])
def test_one_scan_fills_the_window(seen, name):
    rows, columns = np.nonzero((seen[1][name] < 250).any(axis=-1))
    assert 0.5 < np.ptp(rows) / 900 < 1
    assert abs((rows.min() + rows.max()) / 2 - 450) < 60
    assert abs((columns.min() + columns.max()) / 2 - 800) < 60


def test_keys_without_effect_leave_the_picture_alone(seen):
    pictures = seen[1]
    for name in ("truth", "help"):
        np.testing.assert_array_equal(pictures[name], pictures["reconstruction"])
    assert (np.abs(pictures["next"] - pictures["reconstruction"]) > 20).any()
    # it is fitted to the reconstruction now, and was to the scan before
    assert (np.abs(pictures["previous"] - pictures["reconstruction"]) > 20).any(axis=-1).mean() < 0.05
    assert (np.abs(pictures["everything"] - pictures["start"]) > 20).any(axis=-1).mean() < 0.01
