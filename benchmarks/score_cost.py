"""Time and peak memory of the command `dusnet score` on scans of growing size.

Every size is scored several times in fresh processes, sizes interleaved; the table shows the median of the wall time
(start of Python, reading and writing included) and the largest resident memory of the process.

Example:
    python benchmarks/score_cost.py --config cpu-small --sizes 10000,100000,1000000 --runs 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.io import sample_mesh, write_cloud
from dusnet.synthesis.shapes import make_part

NOISE = 0.05  # mm


def scan(part: str, count: int, seed: int) -> PointCloud:
    rng = np.random.default_rng(seed)
    points, _ = sample_mesh(make_part(part, rng, 0.0), count, rng)
    return PointCloud(points + rng.normal(scale=NOISE, size=points.shape))


def command(*arguments: str) -> tuple[float, float]:
    """Seconds and MiB of one `dusnet` process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "dusnet", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"dusnet {' '.join(arguments)} failed; run it by hand to see why")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="bracket")
    parser.add_argument("--config", default="cpu-small")
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(4):
            write_cloud(folder / "good" / f"{seed}.ply", scan(chosen.part, 10_000, seed))
        for size in sizes:
            write_cloud(folder / f"{size}.ply", scan(chosen.part, size, 99))
        model = str(folder / "model.safetensors")
        seconds, memory = command("train", str(folder / "good"), "--out", model, "--config", chosen.config)
        print(f"train on 4 scans of 10000 points: {seconds:.1f} s, {memory:.0f} MiB")
        taken: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
        for _ in range(chosen.runs):
            for size in sizes:
                taken[size].append(command("score", model, str(folder / f"{size}.ply"), "--out", str(folder / "out")))
    print("| points | seconds | peak MiB |\n|---:|---:|---:|")
    for size, found in taken.items():
        print(f"| {size} | {statistics.median(t for t, _ in found):.1f} | {max(m for _, m in found):.0f} |")


if __name__ == "__main__":
    main()
