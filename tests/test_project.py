"""The files around the package: set-up, make and continuous integration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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


def test_the_numeric_tests_run_with_a_second_kernel(copy):
    shutil.copytree(REPOSITORY / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    told = _make(copy, "-n", "unit-blas")
    assert 'OPENBLAS_CORETYPE="$kernel"' in told
    named = re.findall(r"tests/\S+", told)
    assert {
        "tests/detectors",
        "tests/nn",
        "tests/geometry",
        "tests/registration",
    } <= set(named)
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_each_test_process_has_one_thread_unless_told_otherwise(copy, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert "OMP_NUM_THREADS=1 " in _make(copy, "-n", "unit")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert "OMP_NUM_THREADS=2 " in _make(copy, "-n", "unit")


def test_a_second_kernel_computes_otherwise_than_the_own():
    """Where NumPy has an OpenBLAS that can choose; the name is one of those that this machine can run."""
    found = subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "second_blas.py")], capture_output=True, text=True, check=False
    )
    if found.returncode == 1:
        pytest.skip(found.stderr.strip())
    code = "import numpy as np; a = np.random.default_rng(1).normal(size=(300, 300)); print((a @ a).tobytes())"
    own, other = (
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout
        for env in (
            {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"},
            {**os.environ, "OPENBLAS_CORETYPE": found.stdout.strip()},
        )
    )
    assert own != other


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


def test_the_site_is_built_in_continuous_integration(copy):
    assert "mkdocs build" in _make(copy, "-n", "docs")
    assert "make docs" in (REPOSITORY / ".ci" / "run").read_text().splitlines()
    assert "strict: true" in (REPOSITORY / "mkdocs.yml").read_text().splitlines()


def test_pinned_torch_is_one_that_the_package_accepts():
    pinned = re.search(r"^torch==(\d+)\.(\d+)", (REPOSITORY / "requirements" / "torch.txt").read_text(), re.MULTILINE)
    least = re.search(r'"torch>=(\d+)\.(\d+)"', (REPOSITORY / "pyproject.toml").read_text())
    assert pinned
    assert least
    assert [int(part) for part in pinned.groups()] >= [int(part) for part in least.groups()]
