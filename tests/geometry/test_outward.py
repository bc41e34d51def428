"""Which side is outside: shapes whose outward normals are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dusnet.geometry.outward import outward_normals


def on_sphere(count: int, seed: int = 0) -> np.ndarray:
    direction = np.random.default_rng(seed).normal(size=(count, 3))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True)


def torus(count: int) -> tuple[np.ndarray, np.ndarray]:
    around, across = np.random.default_rng(1).uniform(0, 2 * np.pi, (2, count))
    normals = np.column_stack([np.cos(around) * np.cos(across), np.sin(around) * np.cos(across), np.sin(across)])
    ring = np.column_stack([np.cos(around), np.sin(around), np.zeros(count)])
    return 0.7 * ring + 0.25 * normals, normals


def box(count: int, size: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    side = rng.choice(
        6,
        count,
        p=np.repeat([size[1] * size[2], size[0] * size[2], size[0] * size[1]], 2)
        / (2 * (size[1] * size[2] + size[0] * size[2] + size[0] * size[1])),
    )
    points = rng.uniform(-0.5, 0.5, (count, 3))
    normals = np.zeros((count, 3))
    axis, sign = side // 2, np.where(side % 2, 1.0, -1.0)
    points[np.arange(count), axis] = 0.5 * sign
    normals[np.arange(count), axis] = sign
    return points * size, normals


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).float()


@pytest.mark.parametrize("shape", ["sphere", "torus", "box", "plate"])
def test_normals_of_closed_parts_point_away_from_the_material(shape: str) -> None:
    if shape == "sphere":
        points = normals = on_sphere(8000)
    elif shape == "torus":
        points, normals = torus(8000)
    else:
        points, normals = box(8000, (1.0, 0.8, 0.5) if shape == "box" else (1.0, 0.8, 0.1))
    found = outward_normals(tensor(points)).numpy()
    along = (found * normals).sum(axis=1)
    flat = np.abs(along) > 0.9  # a normal at an edge is neither face's
    assert flat.mean() > 0.85
    assert (along[flat] > 0).mean() > 0.99


def test_of_a_scan_of_one_side_the_side_that_was_seen_is_outside() -> None:
    points = on_sphere(8000)
    points = points[points[:, 2] > 0.1]
    found = outward_normals(tensor(points)).numpy()
    assert ((found * points).sum(axis=1) > 0).mean() > 0.99
