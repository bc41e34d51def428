"""Groups beside the good surface, recomputed in float64 with NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from guided_parts import bumpy_scan, good_surface, moved, small_guide
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch import Tensor
from warped_parts import plane_distances, tensor

from dusnet.detectors.dusnet.groups import (
    CENTER_CHANNELS,
    HEIGHT,
    PLACE_CHANNELS,
    SCAN_CHANNELS,
    GuidedGroups,
    GuidedScan,
)
from dusnet.registration.good_surface import GoodSurface

Array = NDArray[np.float64]
GUIDE = small_guide()
INDEX = torch.tensor([0, 3, 17, 200, 599])
NO_TURNS = torch.zeros(len(INDEX))


def squashed(values: Array) -> Array:
    """The logarithm beyond one, value by value."""
    return np.array([v if abs(v) <= 1 else np.copysign(1 + np.log(abs(v)), v) for v in values.ravel()]).reshape(
        values.shape
    )


def spread(values: Tensor) -> Array:
    """The inverse of what squashes."""
    given = values.double().numpy()
    return np.where(np.abs(given) > 1, np.sign(given) * np.exp(np.abs(given) - 1), given)


@pytest.fixture(scope="module")
def good() -> GoodSurface:
    return good_surface()


@pytest.fixture(scope="module")
def scan(good: GoodSurface) -> GuidedScan:
    return GuidedScan.of(good.compare(tensor(bumpy_scan())), good, GUIDE, seed=0)


@pytest.fixture(scope="module")
def groups(scan: GuidedScan) -> GuidedGroups:
    return scan.groups(INDEX, torch.linspace(0, 5, len(INDEX)))


def by_hand(normals: Array, distance: Array | None = None) -> GuidedScan:
    """A scan of a few points with chosen normals and distances, each its own and only neighbour."""
    count = len(normals)
    points = torch.arange(3.0 * count).view(count, 3)
    own = torch.arange(count, dtype=torch.int32).view(count, 1)
    given = np.zeros(count) if distance is None else distance
    return GuidedScan(
        points, tensor(given), tensor(normals), torch.ones(count), own, points, torch.zeros(count), own, 1.0, 1.0
    )


@pytest.fixture(scope="module")
def reference(good: GoodSurface) -> dict[str, Array]:
    """Distances, feet and neighbours of SciPy, in float64."""
    points = tensor(bumpy_scan()).double().numpy()
    places, normals = good.points.double().numpy(), good.planes.normals.double().numpy()
    distance, normal = plane_distances(points, places, normals, 6)
    tree = cKDTree(points)
    return {
        "points": points,
        "places": places,
        "distance": distance,
        "normal": normal,
        "foot": points - distance[:, None] * normal,
        "spacing": tree.query(points, k=2)[0][:, 1].mean(),
        "around": tree.query(points, k=24)[1][:, ::2],
        "empty": np.sqrt(((places[:, None] - points[None]) ** 2).sum(axis=2)).min(axis=1),
    }


def tolerance_at(good: GoodSurface, reference: dict[str, Array], index: Array | torch.Tensor) -> Array:
    """Between the three nearest places, by the inverse of the distance."""
    assert good.tolerance is not None
    away, near = cKDTree(reference["places"]).query(reference["points"][index], k=3)
    weights = 1 / away
    values = good.tolerance.values.double().numpy()[near]
    return (weights * values).sum(axis=1) / weights.sum(axis=1)


class TestValues:
    """What a group holds, from points, planes and neighbours of SciPy alone."""

    def test_shapes(self, groups: GuidedGroups) -> None:
        shapes = [tuple(part.shape) for part in groups.tensors(torch.device("cpu"))]
        count = len(INDEX)
        assert shapes == [
            (1, count, 3),
            (1, count, 3),
            (1, count, 3, 3),
            (1, count, 12, SCAN_CHANNELS),
            (1, count, 24, PLACE_CHANNELS),
            (1, count, CENTER_CHANNELS),
        ]

    def test_centres_go_to_their_feet(self, groups: GuidedGroups, reference: dict[str, Array]) -> None:
        np.testing.assert_allclose(groups.centers[0], reference["points"][INDEX], atol=1e-6)
        foot = (groups.centers + groups.displacement)[0]
        np.testing.assert_allclose(foot, reference["foot"][INDEX], atol=1e-6)

    def test_empty_is_the_distance_to_the_nearest_point(self, scan: GuidedScan, reference: dict[str, Array]) -> None:
        np.testing.assert_allclose(scan.empty, reference["empty"], atol=1e-6)

    def test_points_around_a_centre(self, groups: GuidedGroups, good: GoodSurface, reference: dict[str, Array]) -> None:
        tolerance = tolerance_at(good, reference, np.arange(len(reference["points"])))
        unusual = np.abs(reference["distance"]) / (tolerance + 0.6 * 0.004)
        axes = groups.axes[0].double().numpy()
        units = np.array([reference["spacing"], reference["spacing"], HEIGHT])
        for row, own in enumerate(INDEX.tolist()):
            around = reference["around"][own]
            local = (reference["points"][around] - reference["foot"][own]) @ axes[row].T / units
            agree = reference["normal"][around] @ reference["normal"][own]
            off = reference["distance"][around] * np.where(agree < 0, -1, 1) / HEIGHT
            expected = np.column_stack([local, off, np.abs(agree), unusual[around]])
            np.testing.assert_allclose(groups.scan[0, row], squashed(expected), atol=2e-4)

    def test_places_around_a_foot(self, groups: GuidedGroups, reference: dict[str, Array]) -> None:
        axes = groups.axes[0].double().numpy()
        units = np.array([reference["spacing"], reference["spacing"], HEIGHT])
        for row, own in enumerate(INDEX.tolist()):
            beside = np.argsort(np.linalg.norm(reference["places"] - reference["foot"][own], axis=1))[:24]
            local = (reference["places"][beside] - reference["foot"][own]) @ axes[row].T / units
            expected = np.column_stack([local, reference["empty"][beside] / reference["spacing"]])
            np.testing.assert_allclose(groups.places[0, row], squashed(expected), atol=2e-4)

    def test_numbers_of_the_centre(self, groups: GuidedGroups, good: GoodSurface, reference: dict[str, Array]) -> None:
        tolerance = tolerance_at(good, reference, INDEX)
        distance = reference["distance"][INDEX]
        level = np.full(len(INDEX), 0.004)
        spacing = np.full(len(INDEX), reference["spacing"])
        ratio = np.abs(distance) / (tolerance + 0.6 * level)
        expected = np.column_stack([np.stack([distance, tolerance, level, spacing], axis=1) / HEIGHT, ratio])
        np.testing.assert_allclose(spread(groups.about[0]), expected, rtol=1e-4, atol=1e-4)

    def test_without_a_tolerance_there_is_a_floor(self, good: GoodSurface) -> None:
        single = GoodSurface(good.planes, good.sizes, None, good.settings, 0)
        found = GuidedScan.of(single.compare(tensor(bumpy_scan())), single, GUIDE, seed=0)
        assert found.level == pytest.approx(1e-6)
        assert torch.equal(found.tolerance, torch.full((600,), 1e-6))
        assert found.groups(INDEX, NO_TURNS).about.isfinite().all()


class TestAxes:
    def test_are_right_handed_and_orthonormal_for_every_normal(self) -> None:
        """Also where the helper that they are made with is nearly the normal."""
        rng = np.random.default_rng(0)
        random = rng.normal(size=(200, 3))
        edges = [(0.6 + step, (1 - (0.6 + step) ** 2) ** 0.5, 0.0) for step in (-1e-6, 0.0, 1e-6)]
        normals = np.concatenate([np.eye(3), -np.eye(3), edges, random])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        turns = tensor(rng.uniform(0, 2 * np.pi, len(normals)))
        axes = by_hand(normals).groups(torch.arange(len(normals)), turns).axes[0].double()
        torch.testing.assert_close(axes @ axes.mT, torch.eye(3, dtype=torch.float64).expand_as(axes), atol=1e-5, rtol=0)
        np.testing.assert_allclose(torch.linalg.det(axes), 1.0, atol=1e-5)
        np.testing.assert_allclose(axes[:, 2], normals, atol=1e-6)

    def test_a_turn_rotates_the_tangential_coordinates_and_nothing_else(self, scan: GuidedScan) -> None:
        turns = torch.tensor([0.3, 1.0, 2.0, 3.0, 6.0])
        straight, turned = scan.groups(INDEX, NO_TURNS), scan.groups(INDEX, turns)
        for name in ("scan", "places"):
            before, after = spread(vars(straight)[name][0]), spread(vars(turned)[name][0])
            for row, angle in enumerate(turns.tolist()):
                first, second = before[row, :, 0], before[row, :, 1]
                cos, sin = np.cos(angle), np.sin(angle)
                expected = np.stack([cos * first + sin * second, cos * second - sin * first], axis=1)
                np.testing.assert_allclose(after[row, :, :2], expected, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(after[..., 2:], before[..., 2:], rtol=1e-5, atol=1e-6)
        assert torch.equal(turned.about, straight.about)
        assert torch.equal(turned.centers, straight.centers)

    def test_a_rigid_motion_of_scan_and_surface_leaves_what_is_local(self, good: GoodSurface, scan: GuidedScan) -> None:
        """Up to the turn of the tangents, whose zero is an axis of the frame; the test finds it and turns back."""
        rotation = tensor(Rotation.from_rotvec([0.5, -1.1, 0.8]).as_matrix())
        found = good.compare(tensor(bumpy_scan()))
        there, beside = moved(good, found, rotation, torch.tensor([0.3, -0.2, 0.5]))
        other = GuidedScan.of(beside, there, GUIDE, seed=0)
        here = scan.groups(INDEX, NO_TURNS)
        raw = other.groups(INDEX, NO_TURNS).axes[0]
        wanted = here.axes[0] @ rotation.T
        turns = torch.atan2((wanted[:, 0] * raw[:, 1]).sum(1), (wanted[:, 0] * raw[:, 0]).sum(1))
        after = other.groups(INDEX, turns)
        torch.testing.assert_close(after.axes[0], wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(after.displacement, here.displacement @ rotation.T, atol=1e-6, rtol=0)
        for name in ("scan", "places", "about"):
            torch.testing.assert_close(vars(after)[name], vars(here)[name], atol=2e-3, rtol=0)
        assert (other.groups(INDEX, NO_TURNS).scan - here.scan).abs().max() > 0.1


def test_far_off_values_grow_like_the_logarithm() -> None:
    distance = np.concatenate([-np.logspace(1, -5, 60), np.logspace(-5, 1, 60)])
    scan = by_hand(np.tile([0.0, 0.0, 1.0], (120, 1)), distance)
    found = scan.groups(torch.arange(120), torch.zeros(120)).about[0, :, 0].double().numpy()
    np.testing.assert_allclose(found, squashed(distance / HEIGHT), rtol=1e-5)
    assert (np.diff(found) > 0).all()
    assert found[-1] == pytest.approx(1 + np.log(1000))


def test_a_dense_surface_is_thinned_to_the_density_of_the_scan() -> None:
    """Four good scans lie upon each other; shown are about as many places as one scan has points."""
    dense = good_surface(600, clouds=4)
    scan = GuidedScan.of(dense.compare(tensor(bumpy_scan())), dense, GUIDE, seed=0)
    assert 480 < len(scan.places) < 640
    known = {tuple(place) for place in dense.points.tolist()}
    assert all(tuple(place) in known for place in scan.places.tolist())
    assert len(scan.empty) == len(scan.places)
    assert int(scan.beside.max()) < len(scan.places)


def test_fewer_points_than_a_group_wants() -> None:
    few = good_surface(10)
    scan = GuidedScan.of(few.compare(tensor(bumpy_scan(15))), few, GUIDE, seed=0)
    made = scan.groups(torch.arange(15), torch.zeros(15))
    assert made.scan.shape == (1, 15, 8, SCAN_CHANNELS)
    assert made.places.shape == (1, 15, 10, PLACE_CHANNELS)


def test_stacked_groups_are_one_batch(scan: GuidedScan) -> None:
    parts = [scan.groups(INDEX, NO_TURNS), scan.groups(INDEX.flip(0), NO_TURNS + 1)]
    both = GuidedGroups.stack(parts)
    for name, value in vars(both).items():
        assert torch.equal(value, torch.cat([vars(part)[name] for part in parts]))
        assert value.shape[0] == 2
