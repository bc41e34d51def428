"""One training step of each network and one reconstruction at the size of the paper; prints what it took as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
import torch
from tiny_training import make_run

from dusnet.detectors.dusnet_paper.networks import Networks
from dusnet.detectors.dusnet_paper.reconstruction import Reconstructor
from dusnet.detectors.settings import Settings, load_settings

POINTS = 30_000
GIB = 2**20  # ru_maxrss counts KiB


def paper_settings(*overrides: str) -> Settings:
    """The literal system with one step per stage."""
    return load_settings("paper", ["training.down.steps=1", "training.up.steps=1", *overrides])


def wavy_sphere(points: int) -> np.ndarray:
    """A closed surface in the frame, (N, 3)."""
    direction = np.random.default_rng(0).normal(size=(points, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * (0.9 + 0.1 * np.sin(5 * direction[:, :1]))


def main() -> None:
    """Train, reconstruct, report."""
    settings, cloud, report = paper_settings(*sys.argv[1:]), wavy_sphere(POINTS), {}
    start = time.perf_counter()
    networks = Networks.fit([cloud], settings, make_run(precision=settings.training.precision))
    report["train_s"] = time.perf_counter() - start
    start = time.perf_counter()
    reconstructor = Reconstructor(networks, settings, device=torch.device("cpu"), seed=0)
    centers = reconstructor.centers(torch.from_numpy(cloud).float())
    dense = reconstructor.dense(centers.predicted)
    report["reconstruct_s"] = time.perf_counter() - start
    report |= {"centers": len(centers.points), "dense": len(dense), "finite": bool(torch.isfinite(dense).all())}
    report["weights"] = sum(value.numel() for value in networks.tensors().values())
    report["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB
    print(json.dumps(report))


if __name__ == "__main__":
    main()
