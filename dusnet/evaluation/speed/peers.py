"""The same work by other packages, where they are installed: callables that include building their index."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import MissingDependency

Floats = NDArray[np.floating[Any]]
Runs = dict[str, Callable[[], Any]]
PEERS = ("fpsample", "pykdtree", "pynanoflann", "ot")
_LARGE = 200_000  # points from which fpsample is faster with a deeper tree


def missing() -> list[str]:
    """One line about every peer that cannot be timed."""
    lines = [f"no times of {name}: it is not installed" for name in PEERS if _module(name) is None]
    try:
        _open3d()
    except MissingDependency as error:
        lines.append(f"no times of Open3D: {error}")
    return lines


def farthest(cloud: Floats, k: int) -> Runs:
    """The k farthest points of (N, 3) float32."""
    runs: Runs = {}
    if (fpsample := _module("fpsample")) is not None:
        runs["fpsample"] = lambda: fpsample.bucket_fps_kdline_sampling(cloud, k, h=7 if len(cloud) < _LARGE else 9)
    try:
        open3d = _open3d()
    except MissingDependency:
        return runs
    legacy = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.astype(np.float64)))
    runs["Open3D"] = lambda: legacy.farthest_point_down_sample(k)
    return runs


def neighbors(query: Floats, cloud: Floats, k: int, threads: int) -> Runs:
    """The k nearest points of (N, 3) float32 to (M, 3)."""
    from scipy.spatial import cKDTree

    runs: Runs = {
        "SciPy": lambda: cKDTree(cloud, balanced_tree=False, compact_nodes=False).query(query, k=k, workers=threads)
    }
    if (pykdtree := _module("pykdtree.kdtree")) is not None:
        runs["pykdtree"] = lambda: pykdtree.KDTree(cloud).query(query, k=k)
    if (nanoflann := _module("pynanoflann")) is not None:

        def flann() -> Any:
            index = nanoflann.KDTree(n_neighbors=k)
            index.fit(cloud)
            return index.kneighbors(query, n_jobs=threads)

        runs["pynanoflann"] = flann
    return runs


def matches(x: Floats, y: Floats) -> Runs:
    """The cheapest one-to-one match of two (N, 3) float32, exactly."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    runs: Runs = {"SciPy, exact": lambda: linear_sum_assignment(cdist(x, y))}
    if (transport := _module("ot")) is not None:
        weights = np.full(len(x), 1.0 / len(x))
        runs["POT, exact"] = lambda: transport.emd2(weights, weights, cdist(x, y), numItermax=10_000_000)
    return runs


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _open3d() -> Any:
    from dusnet.open3d_import import open3d

    return open3d()
