"""The literal system of the paper: that it runs at its full size within 16 GiB, and how that is made sure of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from paper_worker import paper_settings, wavy_sphere
from tiny_training import make_run

from dusnet.detectors.dusnet_paper.networks import Networks
from dusnet.detectors.dusnet_paper.reconstruction import Reconstructor
from dusnet.detectors.settings import load_settings
from dusnet.nn.blocks import MiniPointNet

HERE = Path(__file__).resolve().parent
LIMIT_GIB = 16


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_step_of_both_networks_and_a_reconstruction_fit_into_16_gib() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "paper_worker.py")],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": f"{HERE.parents[2]}:{HERE.parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    print(report)
    assert report["peak_gib"] < LIMIT_GIB
    assert report["centers"] == 8192
    assert report["dense"] == 8192 * 8
    assert report["finite"]


def test_at_paper_size_the_patch_encoder_works_in_chunks() -> None:
    """8192 patches of 641 points are 20 times what is encoded at once; one chunk is 409 patches."""
    grouping = load_settings("paper").grouping
    budget = MiniPointNet((4, 4, 4)).budget
    assert grouping.groups * (grouping.neighbors + 1) > 16 * budget


def test_small_chunks_train_both_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The literal system with fewer and smaller groups, and a budget as much smaller."""
    settings = paper_settings("grouping.groups=64", "grouping.neighbors=32", "down_net.layers=1", "up_net.neighbors=8")
    limit, sizes = 10, []
    encode = MiniPointNet._encode

    def counting(self: MiniPointNet, patches: torch.Tensor) -> torch.Tensor:
        sizes.append(len(patches))
        return encode(self, patches)

    original = MiniPointNet.__init__

    def small(self: MiniPointNet, widths: tuple[int, int, int]) -> None:
        original(self, widths, budget=limit * 33)

    monkeypatch.setattr(MiniPointNet, "_encode", counting)
    monkeypatch.setattr(MiniPointNet, "__init__", small)
    cloud = wavy_sphere(600)
    networks = Networks.fit([cloud], settings, make_run(precision=settings.training.precision))
    # One step of stage 1 encodes every patch twice (its activations are recomputed), one of stage 2 once.
    assert max(sizes) == limit
    assert sum(sizes) == 3 * 64
    start = Networks(settings, networks.measured, seed=3).tensors()
    learned = networks.tensors()
    still = [name for name in learned if torch.equal(learned[name], start[name]) and name.startswith(("down.", "up."))]
    assert set(still) <= {"down.patch_radius", "up.spacing"}
    sizes.clear()
    reconstructor = Reconstructor(networks, settings, device=torch.device("cpu"), seed=0)
    centers = reconstructor.centers(torch.from_numpy(cloud).float())
    assert (max(sizes), sum(sizes)) == (limit, 64)
    assert reconstructor.dense(centers.predicted).shape == (64 * 8, 3)
