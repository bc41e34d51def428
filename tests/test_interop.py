"""PyTorch3D: clouds there and back, and our ops beside its own where it is installed."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from dusnet import ops
from dusnet.cloud import PointCloud
from dusnet.errors import MissingDependency
from dusnet.interop import from_pytorch3d, to_pytorch3d


class Pointclouds:
    """What of `pytorch3d.structures.Pointclouds` is used, as its documentation describes it."""

    def __init__(self, points: Any, normals: Any = None, features: Any = None) -> None:
        self._lists = points, normals, features

    def points_list(self) -> Any:
        return self._lists[0]

    def normals_list(self) -> Any:
        return self._lists[1]

    def features_list(self) -> Any:
        return self._lists[2]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    package, structures = ModuleType("pytorch3d"), ModuleType("pytorch3d.structures")
    structures.Pointclouds = Pointclouds  # type: ignore[attr-defined]
    package.structures = structures  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch3d", package)
    monkeypatch.setitem(sys.modules, "pytorch3d.structures", structures)


def _cloud(seed: int, count: int, **others: Any) -> PointCloud:
    return PointCloud(np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32).astype(float), **others)


@pytest.mark.usefixtures("stand_in")
def test_clouds_survive_the_way_there_and_back() -> None:
    normals = np.eye(3)[[0, 1, 2, 0]].astype(float)
    colors = np.array([[0, 128, 255], [1, 2, 3], [254, 253, 252], [7, 77, 177]], np.uint8)
    made = to_pytorch3d([_cloud(1, 4, normals=normals, colors=colors), _cloud(2, 4, normals=normals, colors=colors)])
    assert [len(points) for points in made.points_list()] == [4, 4]
    assert made.points_list()[0].dtype == torch.float32
    first, second = from_pytorch3d(made)
    assert np.array_equal(first.points, _cloud(1, 4).points)
    assert np.array_equal(second.points, _cloud(2, 4).points)
    assert np.array_equal(first.normals, normals)
    assert np.array_equal(first.colors, colors)


@pytest.mark.usefixtures("stand_in")
def test_what_only_some_clouds_have_is_left_behind() -> None:
    made = to_pytorch3d([_cloud(1, 3, normals=np.eye(3)), _cloud(2, 5)])
    assert made.normals_list() is None
    assert [cloud.normals for cloud in from_pytorch3d(made)] == [None, None]


@pytest.mark.usefixtures("stand_in")
def test_features_that_are_no_colours_are_left_behind() -> None:
    made = Pointclouds([torch.zeros(2, 3), torch.zeros(2, 3)], None, [torch.zeros(2, 5), torch.full((2, 3), 4.0)])
    assert [cloud.colors for cloud in from_pytorch3d(made)] == [None, None]


@pytest.mark.usefixtures("stand_in")
def test_no_cloud_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one cloud"):
        to_pytorch3d([])


def test_without_pytorch3d_the_message_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    with pytest.raises(MissingDependency, match=r"PyTorch3D is not installed; see https://.*INSTALL.md"):
        to_pytorch3d([_cloud(1, 4)])


def test_ops_agree_with_those_of_pytorch3d() -> None:
    theirs = pytest.importorskip("pytorch3d.ops", reason="PyTorch3D is not installed")
    loss = pytest.importorskip("pytorch3d.loss", reason="PyTorch3D is not installed")
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 90, 3, generator=generator), torch.rand(2, 70, 3, generator=generator)
    lengths = torch.tensor([40, 70])
    found, expected = ops.knn(x, y, 5, lengths=lengths), theirs.knn_points(x, y, lengths2=lengths, K=5)
    assert torch.equal(found[1], expected.idx)
    torch.testing.assert_close(found[0], expected.dists)
    assert torch.equal(ops.farthest_point_sample(x, 12), theirs.sample_farthest_points(x, K=12)[1])
    # Theirs takes the first K by index, ours the nearest: with room for all both are the same set.
    _, inside, _ = theirs.ball_query(x, y, K=70, radius=0.4)
    index, _ = ops.ball_query(x, y, 0.4, 70)
    assert torch.equal(index.sort(dim=-1).values, inside.sort(dim=-1).values)
    torch.testing.assert_close(ops.chamfer_distance(x, y), loss.chamfer_distance(x, y)[0])
