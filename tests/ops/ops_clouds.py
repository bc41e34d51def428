"""Clouds that break careless implementations, and brute force in float64 to compare with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(sum(map(ord, name)))


def cloud(name: str) -> NDArray[np.float64]:
    """(B, N, 3) coordinates."""
    rng = _rng(name)
    if name == "random":
        return rng.normal(size=(2, 331, 3))
    if name == "grid":  # many exact ties
        return rng.integers(0, 5, size=(2, 260, 3)).astype(float)
    if name == "duplicates":
        return np.repeat(rng.normal(size=(1, 25, 3)), 8, axis=1)
    if name == "identical":
        return np.full((1, 90, 3), 0.3)
    if name == "collinear":
        return np.arange(200.0)[None, :, None] * np.array([1.0, 2.0, -3.0])
    if name == "outlier":
        points = rng.random((1, 300, 3))
        points[0, 17] = 1e6
        return points
    if name == "utm":  # a scan in a national grid: large coordinates, small differences
        return rng.random((1, 300, 3)) * 50.0 + np.array([691608.0, 5334760.0, 512.0])
    if name == "two":
        return rng.random((3, 2, 3))
    if name == "one":
        return rng.random((2, 1, 3))
    raise KeyError(name)


NAMES = ("random", "grid", "duplicates", "identical", "collinear", "outlier", "utm", "two", "one")
EXACT = ("grid", "identical", "collinear")  # squared distances are exact in float32, ties included


def tensor(name: str, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(cloud(name), dtype=dtype)


def squared(query: Tensor, points: Tensor) -> NDArray[np.float64]:
    """Exact-as-can-be squared distances of the values as they are stored, (M, 3) and (N, 3) -> (M, N)."""
    difference = query.double().numpy()[:, None] - points.double().numpy()[None]
    return (difference**2).sum(axis=-1)


def nearest(query: Tensor, points: Tensor, k: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The k nearest by a stable sort of all distances, equal ones by index."""
    distances = squared(query, points)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, axis=1), order


def farthest(points: Tensor, k: int, start: int) -> list[int]:
    """Farthest point sampling from its definition, in float64; no point twice."""
    distances = squared(points, points)
    chosen = [start]
    while len(chosen) < k:
        reach = distances[chosen].min(axis=0)
        reach[chosen] = -1.0
        chosen.append(int(np.argmax(reach)))
    return chosen
