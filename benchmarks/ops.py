"""Race of the point-cloud ops against every installed peer, on a closed surface in random order.

    python benchmarks/ops.py [--sizes small|full] [--threads N] [--repeats 5]

Ours and the peers take turns in one process; each figure is the median of the repeats and includes building whatever
index the tool needs. A peer that is not installed is left out by name. Nothing is asserted: the tests do that.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from dusnet import ops

Runs = dict[str, Callable[[], Any]]
SIZES = {
    "small": {"fps": [(16_000, 1024)], "knn": [(16_000, 1024, 64)], "one": [(16_000, 16_000)], "emd": [512]},
    "full": {
        "fps": [(16_000, 1024), (100_000, 8192), (400_000, 8192)],
        "knn": [(16_000, 1024, 64), (100_000, 8192, 640), (400_000, 8192, 640)],
        "one": [(65_000, 400_000), (400_000, 65_000)],
        "emd": [1024, 2048, 4096],
    },
}


def knot(count: int, seed: int) -> np.ndarray:
    """Points on the tube around a trefoil knot inside the unit box, (N, 3) float32."""
    rng = np.random.default_rng(seed)
    turn = rng.random(count) * 2 * np.pi
    middle = [np.sin(turn) + 2 * np.sin(2 * turn), np.cos(turn) - 2 * np.cos(2 * turn), -np.sin(3 * turn)]
    outward = rng.normal(size=(count, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return (np.stack(middle, axis=1) / 3 + 0.12 * outward).astype(np.float32)


def peer(name: str) -> Any:
    """An installed package, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def farthest(count: int, k: int) -> Runs:
    cloud = knot(count, 0)
    tensor = torch.from_numpy(cloud)[None]
    runs: Runs = {"dusnet": lambda: ops.farthest_point_sample(tensor, k)}
    if (fpsample := peer("fpsample")) is not None:
        runs["fpsample"] = lambda: fpsample.bucket_fps_kdline_sampling(cloud, k, h=7 if count < 200_000 else 9)
    if (open3d := peer("open3d")) is not None:
        legacy = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.astype(np.float64)))
        runs["open3d"] = lambda: legacy.farthest_point_down_sample(k)
    return runs


def neighbors(query: np.ndarray, cloud: np.ndarray, k: int, threads: int) -> Runs:
    first, second = torch.from_numpy(query)[None], torch.from_numpy(cloud)[None]

    def scipy() -> Any:
        tree = cKDTree(cloud, balanced_tree=False, compact_nodes=False)
        return tree.query(query, k=k, workers=threads)

    runs: Runs = {"dusnet": lambda: ops.knn(first, second, k), "scipy": scipy}
    if (pykdtree := peer("pykdtree.kdtree")) is not None:
        runs["pykdtree"] = lambda: pykdtree.KDTree(cloud).query(query, k=k)
    if (nanoflann := peer("pynanoflann")) is not None:

        def flann() -> Any:
            index = nanoflann.KDTree(n_neighbors=k)
            index.fit(cloud)
            return index.kneighbors(query, n_jobs=threads)

        runs["nanoflann"] = flann
    return runs


def match(count: int) -> Runs:
    x, y = knot(count, 1), knot(count, 2)
    first, second = torch.from_numpy(x)[None], torch.from_numpy(y)[None]
    runs: Runs = {
        "dusnet, eps 1e-3": lambda: ops.earth_movers_distance(first, second, eps=1e-3),
        "dusnet, eps 1e-5": lambda: ops.earth_movers_distance(first, second, eps=1e-5),
        "scipy, exact": lambda: linear_sum_assignment(cdist(x, y)),
    }
    if (ot := peer("ot")) is not None:
        weights = np.full(count, 1.0 / count)
        runs["POT, exact"] = lambda: ot.emd2(weights, weights, cdist(x, y))
    return runs


def race(title: str, runs: Runs, repeats: int) -> None:
    """Let everybody run in turn and print medians."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn > 0:
                seconds[name].append(time.perf_counter() - start)
    ours = statistics.median(seconds["dusnet"] if "dusnet" in seconds else seconds["dusnet, eps 1e-3"])
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(f"{title:<34} {name:<18} {1000 * middle:>10.2f} ms  {middle / ours:>7.1f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", choices=SIZES, default="small")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    status = ops.status()
    print(f"torch {torch.__version__}, {arguments.threads} threads, ops: {status.backend}: {status.reason}")
    sizes: dict[str, Any] = SIZES[arguments.sizes]
    for count, k in sizes["fps"]:
        race(f"farthest {k} of {count}", farthest(count, k), arguments.repeats)
    for count, rows, k in sizes["knn"]:
        cloud = knot(count, 0)
        race(
            f"{k} nearest of {count} for {rows}",
            neighbors(cloud[:rows], cloud, k, arguments.threads),
            arguments.repeats,
        )
    for rows, count in sizes["one"]:
        for k in (1, 3):
            runs = neighbors(knot(rows, 1), knot(count, 2), k, arguments.threads)
            race(f"{k} nearest of {count} for {rows}", runs, arguments.repeats)
    for count in sizes["emd"]:
        race(f"match of {count}", match(count), arguments.repeats)


if __name__ == "__main__":
    main()
