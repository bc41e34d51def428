"""Slits: long thin voids are found, accidental ones and the edges of what was seen are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dusnet.geometry import slits as module
from dusnet.geometry.coverage import Coverage
from dusnet.geometry.neighbors import Neighbors
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.slits import longest_paths, slits

DENSITY = 1000
"""Points per unit of area; half of the places then have a point within sqrt(ln 2 / (pi 1000)) = 0.0149."""
USUAL = 0.0149


def sheet(seed: int, density: int = DENSITY) -> torch.Tensor:
    """Random points of a 4 x 2 sheet."""
    rng = np.random.default_rng(seed)
    flat = rng.uniform((0, 0), (4, 2), (8 * density, 2))
    return torch.from_numpy(np.column_stack([flat, np.zeros(len(flat))])).float()


def wave(x: torch.Tensor) -> torch.Tensor:
    return 1 + 0.04 * torch.sin(5 * x)


def cracked(seed: int, *, length: float = 1.2, width: float = 0.08) -> tuple[torch.Tensor, torch.Tensor]:
    """A sheet with a wandering slit from x = 1, and each point's distance to it."""
    points = sheet(seed)
    x = points[:, 0].clamp(1, 1 + length)
    offset = torch.hypot(points[:, 0] - x, points[:, 1] - wave(x))
    kept = offset > width / 2
    return points[kept], offset[kept]


def found(points: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return slits(Coverage.of(points, places))


@pytest.fixture(scope="module")
def places() -> torch.Tensor:
    return torch.cat([sheet(seed) for seed in range(100, 104)])


@pytest.mark.parametrize("seed", range(3))
def test_a_crack_is_found_at_its_rim(places: torch.Tensor, seed: int) -> None:
    points, offset = cracked(seed)
    scores = found(points, places)
    assert scores.max() > 2 * USUAL  # three times what is usual there
    assert offset[scores > 2 * USUAL].max() < 0.25  # .14, deviation .02; the sheet reaches 2.0
    beside = (offset < 0.06) & (points[:, 0] > 1.2) & (points[:, 0] < 2.0)
    assert (scores[beside] > 0).float().mean() > 0.7  # .94, deviation .05


def test_accidental_voids_hardly_count(places: torch.Tensor) -> None:
    """A sheet as wide as this has many of them."""
    highest = np.array([float(found(sheet(seed), places).max()) for seed in range(10)])
    assert (highest > 0).mean() <= 0.8  # .30, deviation .15; of sheets with a crack all
    assert highest.max() < 2.1 * USUAL


@pytest.mark.parametrize("length", [0.6, 1.6])
def test_a_crack_of_any_length_counts_three_usual_distances(places: torch.Tensor, length: float) -> None:
    """What is usual beside it is a little more than in the whole sheet."""
    for seed in range(3):
        assert 3 * USUAL < float(found(cracked(seed, length=length)[0], places).max()) < 6.3 * USUAL


def test_the_edge_of_a_view_is_no_slit(places: torch.Tensor) -> None:
    """All places beyond the edge are empty, in a line as long as the sheet."""
    for seed in range(4):
        points = sheet(seed)
        assert not found(points[points[:, 1] < 1.1], places).any()


def test_none_where_a_side_was_not_scanned(places: torch.Tensor) -> None:
    """Beside what is hidden, long and thin shadows are no cracks."""
    points, _ = cracked(0)
    assert found(points, places).any()
    assert not found(points[points[:, 0] < 3.4], places).any()


def test_a_piece_that_good_scans_leave_out_is_no_slit(places: torch.Tensor) -> None:
    """A gap of .2 by 1.2 is one where good scans have none; a crack far from such a piece is one everywhere."""
    sheets = [sheet(seed) for seed in range(6)]
    inside = [(points[:, 0] - 2).abs().lt(0.6) & (points[:, 1] - 1).abs().lt(0.1) for points in sheets]
    usual, excused = (
        [
            float(slits(Coverage.of(points[~gone], PartPlaces(places, lost=lost))).max())
            for points, gone in zip(sheets, inside, strict=True)
        ]
        for lost in (0.0, 0.06)
    )
    assert min(usual) > 5 * USUAL  # 11.8 and more over five seeds
    assert (np.array(excused) > 0).mean() <= 0.8  # as of a whole sheet
    assert max(excused) < 2.1 * USUAL
    points, _ = cracked(0)
    points = points[(points[:, 0] - 3.5).abs().gt(0.2) | (points[:, 1] - 1).abs().gt(0.2)]
    assert float(slits(Coverage.of(points, PartPlaces(places, lost=0.02))).max()) > 2 * USUAL


def test_a_side_with_fewer_points_is_no_slit(places: torch.Tensor) -> None:
    rng = np.random.default_rng(0)
    highest = []
    for seed in range(10):
        points = sheet(seed)
        kept = torch.from_numpy(rng.random(len(points)) < 0.25) | (points[:, 1] < 1)
        highest.append(float(found(points[kept], places).max()))
    assert (np.array(highest) > 0).mean() <= 0.7  # .20, deviation .13; of sheets with a crack all


def test_unit_of_length_does_not_matter(places: torch.Tensor) -> None:
    points, _ = cracked(0)
    np.testing.assert_allclose(found(0.01 * points, 0.01 * places), 0.01 * found(points, places), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("count", [2, 5])
def test_few_points_or_places_have_none(count: int) -> None:
    points = sheet(0)
    for few in ((points[:count], points[:200]), (points[:200], points[:count]), (points[:count], points[:count])):
        scores = found(*few)
        assert scores.shape == (len(few[0]),)
        assert not scores.any()


class TestLongestPaths:
    """Places on a line one usual distance apart that only steps of two or three may join."""

    def measure(self, places: list[tuple[float, float]], *points: tuple[float, float]) -> np.ndarray:
        flat = np.array([(*place, 0.0) for place in places])
        cloud = Neighbors(np.array([(*point, 0.0) for point in points or ((1000.0, 1000.0),)]))
        return longest_paths(cloud, flat, np.ones(len(flat)), 1.8)

    def test_every_place_of_a_straight_row_knows_its_whole_length(self) -> None:
        np.testing.assert_allclose(self.measure([(2.0 * k, 0.0) for k in range(6)]), 10.0)

    def test_a_path_turns_a_little_but_not_much(self) -> None:
        def bent(degrees: float) -> float:
            turn = np.deg2rad(degrees)
            corner = [(4.0 + 2.0 * k * np.cos(turn), 2.0 * k * np.sin(turn)) for k in (1, 2)]
            return float(self.measure([(0.0, 0.0), (2.0, 0.0), (4.0, 0.0), *corner]).max())

        assert bent(15) == pytest.approx(8.0)
        assert bent(60) < 7.0

    def test_a_point_in_the_middle_of_a_step_ends_the_path(self) -> None:
        row = [(3.0 * k, 0.0) for k in range(5)]
        np.testing.assert_allclose(self.measure(row), 12.0)
        np.testing.assert_allclose(self.measure(row, (7.5, 0.5)), [6.0, 6.0, 6.0, 3.0, 3.0])

    def test_places_without_neighbours_have_no_length(self) -> None:
        np.testing.assert_array_equal(self.measure([(0.0, 0.0), (50.0, 0.0)]), 0.0)
        np.testing.assert_array_equal(self.measure([(0.0, 0.0)]), 0.0)

    def test_it_ends_on_a_closed_ring(self) -> None:
        """A ring of gentle turns can be walked for ever."""
        angles = 2 * np.pi * np.arange(40) / 40
        radius = 2.0 / (2 * np.sin(np.pi / 40))
        ring = [(float(radius * np.cos(a)), float(radius * np.sin(a))) for a in angles]
        longest = self.measure(ring).max()
        assert 20.0 < longest < 2 * 2.0 * (module.MOST_STEPS + 2)
