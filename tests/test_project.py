"""The files around the package: set-up, make and continuous integration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPTS = [".ci/run", "tools/setup_environment.sh"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_executable_and_valid_bash(script):
    path = REPOSITORY / script
    assert os.access(path, os.X_OK)
    assert path.read_text().splitlines()[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in path.read_text()
    subprocess.run(["bash", "-n", str(path)], check=True)


def _make(folder: Path, *words: str) -> str:
    # The tests may themselves be run by make, which passes its own flags on.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, check=True, env=env).stdout


@pytest.fixture
def copy(tmp_path):
    """The files that make looks at, in a folder with a space in its name."""
    if shutil.which("make") is None:
        pytest.skip("GNU make is not installed; install it to test the Makefile")
    folder = tmp_path / "a folder"
    for name in ("Makefile", "pyproject.toml", "setup.py", "requirements/torch.txt", "tools/setup_environment.sh"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, folder / name)
    (folder / "cuda_ops").mkdir()
    (folder / "cuda_ops" / "a.cpp").write_text("")
    return folder


def test_everything_is_set_up_before_it_is_used(copy):
    commands = _make(copy, "-n", "test").splitlines()
    assert "setup_environment.sh" in commands[0]
    assert [re.findall(r"-m (\w+)", line) for line in commands[2:]] == [["ruff"], ["ruff"], ["mypy"], ["pytest"]]


def test_a_second_run_sets_nothing_up_until_a_source_changes(copy):
    stamp = copy / ".venv" / ".dusnet-ready"
    stamp.parent.mkdir()
    stamp.touch()
    assert "setup_environment.sh" not in _make(copy, "-n", "test")
    later = stamp.stat().st_mtime + 10
    os.utime(copy / "cuda_ops" / "a.cpp", (later, later))
    assert "setup_environment.sh" in _make(copy, "-n", "test")


def test_demo_goes_where_it_is_told(copy):
    assert 'demo --out "my demo" --budget "short"' in _make(copy, "-n", "demo", "DEMO_OUT=my demo", "DEMO_BUDGET=short")


def test_pinned_torch_is_one_that_the_package_accepts():
    pinned = re.search(r"^torch==(\d+)\.(\d+)", (REPOSITORY / "requirements" / "torch.txt").read_text(), re.MULTILINE)
    least = re.search(r'"torch>=(\d+)\.(\d+)"', (REPOSITORY / "pyproject.toml").read_text())
    assert pinned
    assert least
    assert [int(part) for part in pinned.groups()] >= [int(part) for part in least.groups()]
