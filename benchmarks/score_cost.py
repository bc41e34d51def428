"""Time and peak memory of the command `dusnet score` on scans of growing size.

Every size is scored several times in fresh processes, sizes and source trees interleaved; the table shows the median of
the wall time (start of Python, reading and writing included) and the largest resident memory of the process.

Example:
    python benchmarks/score_cost.py --config cpu-small --sizes 10000,100000,1000000 --runs 3
    python benchmarks/score_cost.py --sizes 10000 --runs 7 --trees ../before .
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Cost:
    """What one process took.

    Attributes:
        wall: seconds from its start to its end.
        busy: seconds of processor time, all threads together.
        memory: largest resident size, MiB.
    """

    wall: float
    busy: float
    memory: float


def command(tree: Path | None, *arguments: str) -> Cost:
    """Run one `dusnet` process with the code of a source tree, None for the installed one."""
    environment = os.environ | ({} if tree is None else {"PYTHONPATH": str(tree.resolve())})
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "dusnet", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"dusnet {' '.join(arguments)} failed; run it by hand to see why")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="bracket")
    parser.add_argument("--config", default="cpu-small")
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--trees", type=Path, nargs="+", default=[None], help="source trees to compare, the old one first"
    )
    chosen = parser.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(4):
            write_cloud(folder / "good" / f"{seed}.ply", scan(chosen.part, 10_000, seed))
        for size in sizes:
            write_cloud(folder / f"{size}.ply", scan(chosen.part, size, 99))
        for number, tree in enumerate(chosen.trees):
            model = str(folder / f"{number}.safetensors")
            cost = command(tree, "train", str(folder / "good"), "--out", model, "--config", chosen.config)
            print(f"train on 4 scans of 10000 points{_of(tree)}: {cost.wall:.1f} s, {cost.memory:.0f} MiB", flush=True)
        taken: dict[tuple[int, int], list[Cost]] = {
            (size, tree): [] for size in sizes for tree in range(len(chosen.trees))
        }
        for _ in range(chosen.runs):
            for (size, number), costs in taken.items():
                model, scanned = str(folder / f"{number}.safetensors"), str(folder / f"{size}.ply")
                costs.append(command(chosen.trees[number], "score", model, scanned, "--out", str(folder / "out")))
    print("| points | tree | seconds | processor seconds | times as fast | peak MiB |\n|---:|---|---:|---:|---:|---:|")
    for (size, number), costs in taken.items():
        ratio = median(taken[size, 0], "wall") / median(costs, "wall")
        print(
            f"| {size} |{_of(chosen.trees[number])} | {median(costs, 'wall'):.1f} | {median(costs, 'busy'):.1f} "
            f"| {ratio:.2f} | {max(cost.memory for cost in costs):.0f} |"
        )


def median(costs: list[Cost], what: str) -> float:
    return statistics.median(getattr(cost, what) for cost in costs)


def _of(tree: Path | None) -> str:
    return "" if tree is None else f" {tree}"


if __name__ == "__main__":
    main()
