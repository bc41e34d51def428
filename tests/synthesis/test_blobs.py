from __future__ import annotations

import numpy as np
import pytest

from dusnet.synthesis.blobs import Blob

UP = np.array([0.0, 0.0, 1.0])


def plane(count: int = 200_000, half: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    flat = np.random.default_rng(0).uniform(-half, half, size=(count, 2))
    return np.column_stack([flat, np.zeros(count)]), np.tile(UP, (count, 1))


def draw(seed: int, *, length: float = 3.0, depth: float = 0.2) -> Blob:
    return Blob.draw(
        np.random.default_rng(seed), np.zeros(3), UP, radius=15.0, length=length, depth=depth, roughness=0.1
    )


def test_blob_has_its_length_depth_and_a_plateau() -> None:
    points, normals = plane()
    for seed in range(12):
        blob = draw(seed)
        weight = blob.weight(points, normals)
        marked = blob.marked(points, normals)
        height = np.abs(blob.heights(points, weight))
        assert weight.max() == pytest.approx(1.0, abs=0.02)
        assert 0.15 < np.quantile(height, 0.9999) < 0.30
        along = points[marked] @ blob.first
        assert 0.55 < np.ptp(along) / 3.0 < 1.2
        # A cone has a third; a plateau has one.
        assert 0.4 < height[marked].mean() / np.quantile(height[marked], 0.99) < 0.85
        assert not (height[~marked] > 0.3 * 0.2).any()


def test_labels_grow_and_shrink_by_area() -> None:
    points, normals = plane()
    blob = draw(3)
    exact = blob.marked(points, normals).sum()
    for grown in (0.7, 1.3):
        assert blob.marked(points, normals, grown=grown).sum() / exact == pytest.approx(grown, abs=0.03)


def test_small_blob_is_not_steeper_than_allowed() -> None:
    for seed in range(12):
        blob = draw(seed, length=0.5, depth=-1.5)
        assert -1.5 * 0.25 - 1e-9 <= blob.depth < 0.0
        flank = (1.0 - blob.plateau) * blob.half[1]
        assert abs(blob.depth) / flank <= 1.5 + 1e-9


def test_far_side_of_a_wall_stays_as_it_is() -> None:
    points, normals = plane(1000)
    blob = draw(0)
    assert (blob.weight(points - [0.0, 0.0, 0.4], -normals) == 0.0).all()
    assert not blob.marked(points - [0.0, 0.0, 0.4], -normals).any()
