"""Closed, full and abandoned standard streams, and full disks: the work is kept and the exit code is right."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from batches import ByHeight, scan
from cli_parts import everything_in

import dusnet
from dusnet.errors import BadInput
from dusnet.io.tensors import write_tensors
from dusnet.summary import read_summary

HERE = Path(__file__).parent
TALKER = (
    "import sys, typer; from dusnet import cli\n"
    "from dusnet.cli._streams import tell\n"
    "from dusnet.progress import for_terminal\n"
    "def work():\n"
    "    progress = for_terminal()\n"
    "    for number in range(5000):\n"
    "        tell(f'line {number}'); progress.log('done')\n"
    "    open(sys.argv[1], 'w').write('all'); raise typer.Exit(1)\n"
    "cli.app.command('work')(work); sys.exit(cli.main(['work']))\n"
)
BATCH = (
    "import sys, typer; from pathlib import Path; from batches import ByHeight; from dusnet import cli\n"
    "from dusnet.cli._judge import judge\n"
    "def work(): judge(ByHeight(Path(sys.argv[1])), [Path(sys.argv[2])], gate=True)\n"
    "cli.app.command('work')(work); sys.exit(cli.main(['work']))\n"
)


def shell(script: str, words: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    """A script in a shell of its own, its streams redirected."""
    command = " ".join([f"'{sys.executable}' -c \"$SCRIPT\"", *(f"'{word}'" for word in words)])
    path = os.pathsep.join([str(HERE), str(HERE.parent), str(Path(dusnet.__file__).parents[1])])
    return subprocess.run(
        ["bash", "-c", f"{command} {redirection}"],
        env={**os.environ, "SCRIPT": script, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    "redirection",
    [
        "| head -1; exit ${PIPESTATUS[0]}",
        "2>&-",
        ">&-",
        ">&- 2>&- <&-",
        "2> >(true)",
        "> /dev/full",
        "2> /dev/full",
    ],
)
def test_the_work_goes_on_whatever_becomes_of_the_streams(tmp_path, redirection):
    done = shell(TALKER, [str(tmp_path / "file")], redirection)
    assert done.returncode == 1
    assert (tmp_path / "file").read_text() == "all"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_output_that_is_lost_on_a_full_disk_is_said():
    done = shell("import sys; from dusnet import cli; sys.exit(cli.main(['--version']))", [], "> /dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "dusnet: standard output cannot be written (No space left on device), so lines are missing there."
    ]


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["| head -1; exit ${PIPESTATUS[0]}", ">&- 2>&-", "> /dev/full"])
def test_a_batch_is_finished_whatever_becomes_of_the_streams(tmp_path, redirection):
    for number in range(4):
        scan(tmp_path / "scans" / f"{number}.ply", 0.5)
    done = shell(BATCH, [str(tmp_path / "out"), str(tmp_path / "scans")], redirection)
    assert done.returncode == 0, done.stderr
    assert len(read_summary(tmp_path / "out" / "summary.csv")) == 4
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_files():
    """Files of this process may not grow beyond 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_files_that_may_not_grow_are_one_sentence_each(tmp_path):
    scan(tmp_path / "scans" / "small.ply", 0.5)
    large = np.random.default_rng(0).normal(size=(8000, 3))
    np.save(tmp_path / "scans" / "large.npy", large.astype(np.float32)[:8000])
    outcome = ByHeight(tmp_path / "out").run([tmp_path / "scans"])
    (sentence,) = outcome.failures
    assert "large.scored.ply cannot be written (File too large)" in sentence
    assert everything_in(tmp_path / "out") == {"small.json", "small.scored.ply", "summary.csv"}


@pytest.mark.usefixtures("small_files")
def test_weights_that_cannot_be_written_are_one_sentence_and_leave_the_old_file(tmp_path):
    target = tmp_path / "m.safetensors"
    target.write_text("old")
    with pytest.raises(BadInput, match=r"m\.safetensors cannot be written \(File too large\)"):
        write_tensors(target, {"a": torch.zeros(100_000)}, {})
    assert everything_in(tmp_path) == {"m.safetensors"}
    assert target.read_text() == "old"
