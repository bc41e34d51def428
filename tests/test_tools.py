"""The scripts under their usual names, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dusnet.io.tensors import read_tensors

TOOLS = Path(__file__).resolve().parent.parent / "tools"
TINY = (
    "training.down.steps=3",
    "training.up.steps=2",
    "training.points=128",
    "grouping.groups=16",
    "grouping.neighbors=9",
    "down_net.layers=0",
    "down_net.width=8",
    "down_net.heads=1",
    "registration.method=none",
    "calibration.replicas=1",
)
TINY_WORDS = [word for setting in TINY for word in ("--set", setting)]


def run(tool: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / tool), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", sorted(path.name for path in TOOLS.glob("*.py")))
def test_every_script_has_help(tool):
    done = run(tool, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize(("tool", "stage", "network"), [("train_down.py", 1, "Down-Net"), ("train_up.py", 2, "Up-Net")])
def test_the_help_of_a_stage_says_which_one_it_is(tool, stage, network):
    first, _, rest = run(tool, "--help").stdout.partition("\n")
    assert first.startswith(f"Stage {stage} of the paper's networks: the {network} learns")
    assert "dusnet_paper" in rest


@pytest.mark.long
def test_the_two_stages_one_after_the_other(tmp_path):
    """The second script keeps the Down-Net of the first to the bit and trains the Up-Net."""
    rng = np.random.default_rng(0)
    for index in range(2):
        directions = rng.normal(size=(300, 3)) * (1, 2, 3)
        path = tmp_path / "scans" / f"{index}.xyz"
        path.parent.mkdir(exist_ok=True)
        np.savetxt(path, directions / np.linalg.norm(directions / (1, 2, 3), axis=1, keepdims=True))
    common = [tmp_path / "scans", *TINY_WORDS, "--quiet"]
    down, both = tmp_path / "a: down.safetensors", tmp_path / "both.safetensors"
    first = run("train_down.py", *common, "--out", down)
    assert first.returncode == 0, first.stderr
    second = run("train_up.py", *common, "--init", down, "--out", both)
    assert second.returncode == 0, second.stderr
    before, after = (read_tensors(path)[0] for path in (down, both))
    names = {
        half: [name for name in before if f".{half}." in name or name.startswith(f"{half}.")] for half in ("down", "up")
    }
    assert all(names.values()), sorted(before)
    assert all(bool((before[name] == after[name]).all()) for name in names["down"])
    assert any(bool((before[name] != after[name]).any()) for name in names["up"])


def test_the_up_net_without_a_down_net_is_refused(tmp_path):
    done = run("train_up.py", tmp_path, "--out", tmp_path / "m.safetensors")
    assert done.returncode == 2
    assert done.stderr == "train_up.py: the Up-Net needs a trained Down-Net; name it with --init FILE.\n"
