"""Searches against brute force, and the two engines against each other, to the bit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dusnet.geometry.neighbors import Neighbors, connected


@pytest.mark.parametrize("far", [0.0, 5e6])
@pytest.mark.parametrize("count", [1, 7])
def test_distances_are_those_of_a_tree_to_the_bit(rng: np.random.Generator, count: int, far: float) -> None:
    points, query = rng.normal(size=(3000, 3)) + far, rng.normal(size=(500, 3)) + far
    distance, index = Neighbors(points).knn(query, count)
    expected, places = (found.reshape(500, count) for found in cKDTree(points).query(query, count))
    np.testing.assert_array_equal(distance, expected)
    np.testing.assert_array_equal(index, places)


def test_equally_near_points_are_told_by_their_index() -> None:
    points = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 0.5]])
    distance, index = Neighbors(points).knn(np.zeros((1, 3)), 4)
    np.testing.assert_array_equal(index, [[3, 0, 1, 2]])
    np.testing.assert_array_equal(distance, [[0.5, 1, 1, 1]])
    assert Neighbors(points).nearest(np.zeros((1, 3)))[1].tolist() == [3]


def test_no_query_and_arrays_that_cannot_be_written(rng: np.random.Generator) -> None:
    points = rng.normal(size=(40, 3))[::2]
    points.flags.writeable = False
    distance, index = Neighbors(points).knn(np.zeros((0, 3)), 3)
    assert distance.shape == index.shape == (0, 3)
    assert Neighbors(points).nearest(points)[1].tolist() == list(range(20))
    assert len(Neighbors(points)) == 20


def test_without_torch_the_answer_is_the_same_and_torch_stays_unloaded() -> None:
    code = """
import sys
import numpy as np
from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.normals import estimate_normals, planes
points, query = np.random.default_rng(3).normal(size=(2, 900, 3))
def found():
    searched = Neighbors(points)
    return [*searched.knn(query, 5), *searched.nearest(query), estimate_normals(points), *planes(query, points)]
before = found()
assert "torch" not in sys.modules
import torch
assert all(np.array_equal(one, other) for one, other in zip(before, found(), strict=True))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_groups_hang_together_within_the_reach() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 0, 0], [5.9, 0, 0]])
    number = connected(points, 1.0)
    assert number[0] == number[1] == number[2] != number[3] == number[4]
