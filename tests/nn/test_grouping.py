"""Groups against brute force: which neighbours, which centres, which chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from dusnet.config import GroupingSettings
from dusnet.nn.grouping import Support, draw_centers, neighbor_index


def cloud(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


class TestNeighborIndex:
    @pytest.mark.parametrize("stride", [1, 2, 4, 5])
    @pytest.mark.parametrize("neighbors", [3, 12])
    def test_of_points_of_the_cloud(self, neighbors: int, stride: int) -> None:
        points = cloud(60)
        found = neighbor_index(points, points, GroupingSettings(neighbors=neighbors, stride=stride))
        distance = cdist(points.double(), points.double())
        np.fill_diagonal(distance, np.inf)
        expected = np.argsort(distance, axis=1)[:, :neighbors][:, ::stride]
        np.testing.assert_array_equal(found.numpy(), expected)
        assert found.shape[1] == -(-neighbors // stride)

    def test_of_centres_beside_the_cloud_keeps_the_nearest(self) -> None:
        """Only a coincident point is the centre itself; any other nearest point is a neighbour."""
        points, centers = cloud(60), cloud(20, seed=1)
        found = neighbor_index(centers, points, GroupingSettings(neighbors=7, stride=1))
        expected = np.argsort(cdist(centers.double(), points.double()), axis=1)[:, :7]
        np.testing.assert_array_equal(found.numpy(), expected)

    def test_both_kinds_of_centres_at_once(self) -> None:
        points = cloud(30)
        centers = torch.cat([points[:3], cloud(3, seed=1)])
        found = neighbor_index(centers, points, GroupingSettings(neighbors=4, stride=1))
        distance = cdist(centers.double(), points.double())
        distance[range(3), range(3)] = np.inf
        np.testing.assert_array_equal(found.numpy(), np.argsort(distance, axis=1)[:, :4])

    def test_a_small_cloud_has_only_its_other_points(self) -> None:
        points = cloud(6)
        found = neighbor_index(points, points, GroupingSettings(neighbors=64, stride=1))
        assert [sorted(row) for row in found.tolist()] == [[j for j in range(6) if j != i] for i in range(6)]

    def test_a_duplicate_of_the_centre_is_a_neighbour(self) -> None:
        points = torch.cat([cloud(10), cloud(10)[:1]])
        found = neighbor_index(points[:1], points, GroupingSettings(neighbors=3, stride=1))
        assert int(found[0, 0]) == 10


def test_support_measures_neighbours_radius_and_normals() -> None:
    source = torch.Generator().manual_seed(0)
    flat = torch.rand(200, 3, generator=source) * torch.tensor([1.0, 1.0, 0.0])
    settings = GroupingSettings(neighbors=9, stride=3)
    support = Support.of(flat, settings)
    distance = np.sort(cdist(flat.double(), flat.double()), axis=1)[:, 1:10][:, ::3]
    assert support.patch_radius == pytest.approx(distance.mean(), rel=1e-5)
    assert support.around(torch.arange(200)).shape == (200, support.width) == (200, 3)
    torch.testing.assert_close(support.normals[:, 2].abs(), torch.ones(200))


class TestDrawCenters:
    @pytest.mark.parametrize("groups", [8, 50, 99, 100, 1000])
    def test_are_distinct_and_capped(self, groups: int) -> None:
        picked = draw_centers(cloud(100), groups, torch.Generator().manual_seed(1))
        assert len(picked) == min(groups, 100) == len(set(picked.tolist()))
        assert 0 <= int(picked.min()) <= int(picked.max()) < 100

    def test_are_well_spread(self) -> None:
        points = cloud(400)
        picked = draw_centers(points, 20, torch.Generator().manual_seed(1))
        at_random = torch.randperm(400, generator=torch.Generator().manual_seed(1))[:20]

        def least_gap(index: Tensor) -> float:
            distance = cdist(points[index].double(), points[index].double())
            np.fill_diagonal(distance, np.inf)
            return float(distance.min())

        assert least_gap(picked) > 2 * least_gap(at_random)

    def test_are_farthest_points_of_a_random_half(self) -> None:
        points = cloud(100)
        picked = draw_centers(points, 10, torch.Generator().manual_seed(1)).tolist()
        pool = torch.randperm(100, generator=torch.Generator().manual_seed(1))[:50].tolist()
        distance = cdist(points.double(), points.double())
        chosen = [pool[0]]
        while len(chosen) < 10:
            chosen.append(max(pool, key=lambda i: min(distance[i, j] for j in chosen)))
        assert picked == chosen

    def test_differ_from_draw_to_draw_and_repeat_with_the_seed(self) -> None:
        generator = torch.Generator().manual_seed(1)
        first, second = (draw_centers(cloud(100), 20, generator) for _ in range(2))
        assert set(first.tolist()) != set(second.tolist())
        assert torch.equal(first, draw_centers(cloud(100), 20, torch.Generator().manual_seed(1)))

    def test_every_point_can_become_a_centre(self) -> None:
        generator = torch.Generator().manual_seed(1)
        seen = {index for _ in range(1000) for index in draw_centers(cloud(60), 8, generator).tolist()}
        assert seen == set(range(60))
