"""PointCloud and Frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dusnet.cloud import Frame, PointCloud
from dusnet.errors import BadInput


def rigid(seed: int) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    matrix[:3, 3] = np.random.default_rng(seed).normal(size=3) * 50
    return matrix


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Homogeneous coordinates, one point at a time."""
    return np.array([(matrix @ np.append(point, 1.0))[:3] for point in points])


@pytest.fixture
def cloud(rng: np.random.Generator) -> PointCloud:
    normals = rng.normal(size=(60, 3))
    return PointCloud(
        points=rng.normal(size=(60, 3)) * 20 + 300,
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        colors=rng.integers(0, 256, (60, 3)).astype(np.uint8),
        labels=rng.random(60) > 0.7,
        path=Path("a.ply"),
        notes=("read",),
    )


def test_a_frame_puts_the_cloud_into_the_unit_ball(cloud: PointCloud) -> None:
    inside = Frame.of(cloud.points).apply(cloud.points)
    assert np.linalg.norm(inside, axis=1).max() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(inside.max(axis=0) + inside.min(axis=0), 0, atol=1e-12)


def test_a_frame_by_hand() -> None:
    frame = Frame.of(np.array([[0.0, 0, 0], [2, 0, 0]]))
    assert frame.scale == 1.0
    assert frame.apply(np.array([[3.0, 1, 0]])).tolist() == [[2, 1, 0]]
    assert frame.invert(np.array([[2.0, 1, 0]])).tolist() == [[3, 1, 0]]


@pytest.mark.parametrize("seed", range(4))
def test_a_frame_is_invertible(cloud: PointCloud, seed: int) -> None:
    frame = Frame.of(cloud.points).moved(rigid(seed))
    np.testing.assert_allclose(frame.invert(frame.apply(cloud.points)), cloud.points, atol=1e-9)
    np.testing.assert_allclose(frame.apply(frame.invert(cloud.points)), cloud.points, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_moved_frame_first_moves_then_applies(cloud: PointCloud, seed: int) -> None:
    first, second = rigid(seed), rigid(seed + 100)
    frame = Frame.of(cloud.points)
    np.testing.assert_allclose(
        frame.moved(first).apply(cloud.points), frame.apply(moved(cloud.points, first)), atol=1e-9
    )
    np.testing.assert_allclose(
        frame.moved(first).moved(second).apply(cloud.points),
        frame.apply(moved(moved(cloud.points, second), first)),
        atol=1e-9,
    )
    assert frame.moved(first).scale == frame.scale


def test_a_frame_needs_an_extent() -> None:
    with pytest.raises(ValueError, match="two different points"):
        Frame.of(np.ones((5, 3)))


@pytest.mark.parametrize("as_mask", [False, True])
def test_select_takes_everything_that_belongs_to_a_point(cloud: PointCloud, as_mask: bool) -> None:
    chosen = np.array([3, 17, 42])
    part = cloud.select(np.isin(np.arange(60), chosen) if as_mask else chosen)
    for name in ("points", "normals", "colors", "labels"):
        np.testing.assert_array_equal(getattr(part, name), getattr(cloud, name)[[3, 17, 42]])
    assert part.path == cloud.path
    assert part.notes == cloud.notes
    bare = PointCloud(cloud.points).select(chosen)
    assert bare.normals is None
    assert bare.colors is None
    assert bare.labels is None


def test_transformed_moves_points_and_turns_normals(cloud: PointCloud) -> None:
    matrix = rigid(5)
    result = cloud.transformed(matrix)
    assert result.normals is not None
    assert cloud.normals is not None
    np.testing.assert_allclose(result.points, moved(cloud.points, matrix), atol=1e-9)
    # A normal is the difference of two points, whatever the translation.
    ends = moved(cloud.points + cloud.normals, matrix)
    np.testing.assert_allclose(result.normals, ends - result.points, atol=1e-9)
    np.testing.assert_array_equal(result.labels, cloud.labels)


@pytest.mark.parametrize(
    "parts",
    [
        {"points": np.zeros((4, 2))},
        {"points": np.zeros(12)},
        {"points": np.zeros((4, 3)), "normals": np.zeros((3, 3))},
        {"points": np.zeros((4, 3)), "colors": np.zeros((4, 4), np.uint8)},
        {"points": np.zeros((4, 3)), "labels": np.zeros((4, 1), bool)},
    ],
)
def test_shapes_that_do_not_fit_are_refused(parts: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="must be"):
        PointCloud(**parts)


LINE = np.outer(np.linspace(0, 1, 20), [1.0, 2.0, -3.0])


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (np.zeros((0, 3)), "no points"),
        (np.array([[0, 0, 0], [1, 0, 0], [0, 1, np.nan], [0, np.inf, 0], [1, 1, 1.0]]), "2 points with NaN"),
        (np.eye(3), "3 points but at least 4"),
        (np.full((10, 3), 4320978.61), "all identical"),
        (np.zeros((10, 3)), "all identical"),
        (LINE, "straight line"),
        (LINE * 1e-6 + 3, "straight line"),
        (LINE + 5e5, "straight line"),
    ],
)
def test_clouds_that_cannot_be_used_say_why(points: np.ndarray, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        PointCloud(points, path=Path("folder/part.ply")).require_usable()
    assert str(caught.value).startswith("folder/part.ply ")
    with pytest.raises(BadInput, match=r"^the point cloud "):
        PointCloud(points).require_usable()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 5e5])
def test_flat_and_far_clouds_can_be_used(rng: np.random.Generator, scale: float, offset: float) -> None:
    plane = np.column_stack([rng.random((30, 2)), np.zeros(30)])
    if scale * 1e9 > offset:  # beyond that, doubles themselves have no room for the shape
        PointCloud(plane * scale + offset).require_usable()


def test_the_caller_says_how_many_points_it_needs(rng: np.random.Generator) -> None:
    cloud = PointCloud(rng.random((30, 3)))
    cloud.require_usable(30)
    with pytest.raises(BadInput, match="30 points but at least 31"):
        cloud.require_usable(31)
