"""Time and peak memory of scoring one scan at the size of the paper: G 8192, K 640, gamma 8.

The weights are random: what the networks cost does not depend on what they have learned. The scan is a closed surface
in the frame of its class, so registration and files are not part of it.

Example:
    python benchmarks/paper_cost.py --points 400000 --runs 3
    python benchmarks/paper_cost.py --device cuda --runs 20
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np
import torch

from dusnet import ops
from dusnet.detectors import scoring
from dusnet.detectors.dusnet_paper.networks import Networks, measure
from dusnet.detectors.dusnet_paper.reconstruction import Reconstructor
from dusnet.detectors.settings import Settings, load_settings
from dusnet.nn.grouping import supports_of


def wavy_sphere(points: int, seed: int) -> np.ndarray:
    """A closed surface, (N, 3)."""
    direction = np.random.default_rng(seed).normal(size=(points, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * (0.9 + 0.1 * np.sin(5 * direction[:, :1]))


def networks(settings: Settings) -> Networks:
    """Random networks with the lengths of a small cloud: training keeps neighbours of all points, scoring does not."""
    supports, cell = supports_of([wavy_sphere(20_000, 0)], settings.grouping, settings.training.points, seed=0)
    return Networks(settings, measure(supports, cell, settings), seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=400_000)
    parser.add_argument("--config", default="paper")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    settings = load_settings(chosen.config)
    reconstructor = Reconstructor(networks(settings), settings, device=torch.device(chosen.device), seed=0)
    scan = torch.from_numpy(wavy_sphere(chosen.points, 1)).float()
    taken: dict[str, list[float]] = {"Down-Net": [], "Up-Net": [], "scores": [], "all": []}
    for _ in range(chosen.runs):
        start = time.perf_counter()
        centers = reconstructor.centers(scan)
        down = time.perf_counter()
        dense = reconstructor.dense(centers.predicted)
        up = time.perf_counter()
        with torch.inference_mode():
            scores = scoring.softmax_weight(scan, dense, scoring.nearest_distance(scan, dense))
            scoring.pool(scores, settings.scoring)
        end = time.perf_counter()
        for name, seconds in zip(taken, (down - start, up - down, end - up, end - start), strict=True):
            taken[name].append(seconds)
    print(f"{chosen.config}, {chosen.points} points, {chosen.device}, ops {ops.status().simd or ops.status().backend}")
    print("| part | median s |\n|---|---:|")
    for name, seconds in taken.items():
        print(f"| {name} | {statistics.median(seconds):.2f} |")
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if chosen.device.startswith("cuda"):
        print(f"peak device memory {torch.cuda.max_memory_allocated(chosen.device) / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
