"""Two processes on the CPU: one training, averaged gradients, equal weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from distributed_worker import SEED, STEPS, make_stage
from torch import Tensor

from dusnet.io.tensors import read_tensors
from dusnet.training.loop import learning_rate

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*torchrun, str(HERE / "distributed_worker.py"), str(folder), *arguments],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": f"{HERE.parents[1]}:{HERE.parent}",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def by_hand() -> dict[str, Tensor]:
    """The same training in one process: both ranks' losses, the mean of their gradients, one AdamW."""
    stage = make_stage()
    model = stage.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=STEPS.weight_decay)
    generators = [torch.Generator().manual_seed(SEED * 1000 + rank) for rank in range(2)]
    for step in range(STEPS.steps):
        optimizer.param_groups[0]["lr"] = learning_rate(STEPS, step)
        optimizer.zero_grad()
        torch.stack([stage.loss(model, generator).total for generator in generators]).mean().backward()
        optimizer.step()
    return model.state_dict()


def test_two_processes_end_with_the_weights_of_the_averaged_gradients(tmp_path: Path) -> None:
    done = launch(tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (read_tensors(tmp_path / f"rank{rank}.safetensors")[0] for rank in range(2))
    expected = by_hand()
    assert first.keys() == second.keys() == expected.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-4, msg=name)
    assert not torch.allclose(first["join.weight"], make_stage().model.state_dict()["join.weight"], atol=1e-3)


def test_resuming_continues_every_process_and_refuses_what_does_not_belong_together(tmp_path: Path) -> None:
    assert launch(tmp_path).returncode == 0
    expected = read_tensors(tmp_path / "rank0.safetensors")[0]
    again = launch(tmp_path, "resume")
    assert again.returncode == 0, again.stderr[-3000:]
    found = read_tensors(tmp_path / "rank0.safetensors")[0]
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    (tmp_path / "work" / "down-net.checkpoint.1.safetensors").unlink()
    refused = launch(tmp_path, "resume")
    assert refused.returncode != 0
    assert "do not belong together (the processes would start at steps 0 and 6)" in refused.stderr
