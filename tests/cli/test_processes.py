"""`dusnet train` under `torchrun`: two processes, one model."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from cli_parts import TINY_WORDS, everything_in

from dusnet.detectors import load_model
from dusnet.io.tensors import read_tensors


def _torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, "-m", "dusnet", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.long
def test_two_processes_write_one_model(parts, tmp_path):
    target = tmp_path / "block.safetensors"
    done = _torchrun("train", parts, "--out", target, *TINY_WORDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count(f"wrote {target}") == 1
    calibration = load_model(target).calibration
    assert calibration is not None
    assert len(calibration.good) == 3
    curves = {path for path in everything_in(tmp_path) if path.startswith("block.safetensors.curves/")}
    assert everything_in(tmp_path) - curves == {"block.safetensors"}
    assert not [path for path in curves if "checkpoint" in path]


@pytest.mark.long
def test_two_processes_write_one_file_of_weights(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "shapes").mkdir()
    for index in range(2):
        np.savetxt(tmp_path / "shapes" / f"{index}.xyz", rng.normal(size=(300, 3)))
    target = tmp_path / "weights.safetensors"
    done = _torchrun("pretrain", tmp_path / "shapes", "--out", target, *TINY_WORDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count(f"wrote {target}") == 1
    assert read_tensors(target)[1]["shapes"] == 2
    assert (tmp_path / "weights.safetensors.curves" / "down-net.jsonl").is_file()
    assert not (tmp_path / "weights.safetensors.training").exists()
