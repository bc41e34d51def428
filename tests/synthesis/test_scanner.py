from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dusnet.io import sample_mesh
from dusnet.synthesis.scanner import Reach, Scanner, random_pose, scan, thin_out, view, visible_points
from dusnet.synthesis.shapes import make_part
from dusnet.synthesis.surface import LabelledSurface


def sphere(count: int = 20_000, radius: float = 50.0) -> LabelledSurface:
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return LabelledSurface.clean(radius * normals, normals)


def part(name: str, count: int = 20_000) -> LabelledSurface:
    mesh = make_part(name, np.random.default_rng(0), 0.0)
    return LabelledSurface.clean(*sample_mesh(mesh, count, np.random.default_rng(1)))


def test_hidden_point_removal_sees_the_analytic_cap_of_a_sphere() -> None:
    surface = sphere()
    viewpoint = np.array([0.0, 0.0, 250.0])
    seen = visible_points(surface.points, viewpoint)
    # A viewer at 5 radii sees what lies above z = r / 5: a share of (1 - 1/5) / 2.
    truth = surface.points[:, 2] > 10.0
    assert seen.mean() == pytest.approx(0.4, abs=0.03)
    assert (seen & ~truth).mean() < 0.03
    assert (truth & ~seen).mean() < 0.01


def test_near_sphere_hides_the_far_one() -> None:
    near, far = sphere(8000), sphere(8000, 20.0)
    points = np.vstack([near.points, far.points - [0.0, 0.0, 100.0]])
    seen = visible_points(points, np.array([0.0, 0.0, 400.0]))
    assert seen[:8000].mean() > 0.35
    assert not seen[8000:].any()


def test_view_of_a_thin_wall_shows_its_near_side_only() -> None:
    generator = np.random.default_rng(3)
    top = np.column_stack([generator.uniform(-50, 50, (5000, 2)), np.full(5000, 1.0)])
    bottom = top * [1, 1, -1]
    up = np.tile([0.0, 0.0, 1.0], (5000, 1))
    plate = LabelledSurface.clean(np.vstack([top, bottom]), np.vstack([up, -up]))
    seen = view(plate, np.array([0.2, 0.1, 1.0]))
    assert len(seen) > 4900
    assert (seen.points[:, 2] > 0).all()
    # As an open sheet both faces count as surface; the near one still hides most of the far one.
    assert len(view(plate, np.array([0.2, 0.1, 1.0]), closed=False)) >= len(seen)


def test_viewpoint_on_a_point_is_refused() -> None:
    with pytest.raises(ValueError, match="viewpoint"):
        visible_points(np.eye(3), np.array([1.0, 0.0, 0.0]))


def test_inside_of_a_bottle_is_out_of_reach_and_the_inside_of_a_bowl_is_not() -> None:
    bottle, bowl = part("bottle", 6000), part("bowl", 6000)
    reach = Reach.of(bottle)
    inside = (
        (np.linalg.norm(bottle.points[:, :2], axis=1) < 30.5) & (bottle.points[:, 2] > 10) & (bottle.points[:, 2] < 100)
    )
    outside = np.linalg.norm(bottle.points[:, :2], axis=1) > 31.0
    assert reach.seen[inside].mean() < 0.05
    assert reach.seen[outside].mean() > 0.99
    assert Reach.of(bowl).seen.mean() > 0.95
    mesh = make_part("bottle", np.random.default_rng(0), 0.0)
    points, normals = sample_mesh(reach.visible_faces(mesh), 5000, np.random.default_rng(2))
    deep = (points[:, 2] > 10) & (points[:, 2] < 100)
    outward = np.einsum("ij,ij->i", points[deep, :2], normals[deep, :2]) > 0
    assert outward.mean() > 0.97


def test_even_sampling_keeps_points_apart() -> None:
    surface = sphere(8000)
    even = thin_out(surface.points, 2000, np.random.default_rng(1), even=True)
    plain = thin_out(surface.points, 2000, np.random.default_rng(1))
    assert len(np.unique(even)) == len(even) == len(plain) == 2000
    gaps = [cKDTree(surface.points[i]).query(surface.points[i], k=2)[0][:, 1] for i in (even, plain)]
    assert np.quantile(gaps[0], 0.05) > 3.0 * np.quantile(gaps[1], 0.05)


def test_labels_follow_points_through_everything() -> None:
    surface = part("bracket")
    marked = surface.marked(surface.points[:, 2] > 60.0)
    cloud = scan(
        marked,
        np.random.default_rng(5),
        Scanner(points=4000, noise=0.0, outliers=0.1, missing=0.2, pose="fixed"),
        direction=np.array([1.0, -0.4, 0.7]),
    )
    assert cloud.labels is not None
    assert len(cloud.labels) == len(cloud)
    distance, nearest = cKDTree(marked.points).query(cloud.points)
    own = distance < 1e-9
    np.testing.assert_array_equal(cloud.labels[own], marked.labels[nearest[own]])
    assert cloud.labels[own].any()
    assert not cloud.labels[~own].any()
    assert (~own).mean() == pytest.approx(0.1 / 1.1, abs=0.005)


def test_noise_has_the_stated_size_and_count_varies() -> None:
    surface = sphere()
    clouds = [
        scan(surface, np.random.default_rng(i), Scanner(points=5000, noise=0.002, pose="fixed")) for i in range(4)
    ]
    error = np.linalg.norm(clouds[0].points, axis=1) - 50.0
    assert error.std() == pytest.approx(0.002 * 50.0, rel=0.05)
    counts = [len(cloud) for cloud in clouds]
    assert len(set(counts)) > 1
    assert all(4250 <= count <= 5750 for count in counts)


def test_missing_patches_take_the_stated_share() -> None:
    surface = sphere(10_000)
    full = scan(surface, np.random.default_rng(1), Scanner(points=100_000, spread=0.0, pose="fixed"))
    holed = scan(surface, np.random.default_rng(1), Scanner(points=100_000, spread=0.0, missing=0.15, pose="fixed"))
    assert len(full) == 10_000
    assert len(holed) == pytest.approx(8500, abs=2)


@pytest.mark.parametrize(("kind", "degrees", "shift"), [("fixed", 0.0, 0.0), ("near", 5.0, 3.0), ("any", 180.0, 100.0)])
def test_poses_are_rigid_and_within_their_range(kind: str, degrees: float, shift: float) -> None:
    generator = np.random.default_rng(2)
    angles, shifts = [], []
    for _ in range(200):
        matrix = random_pose(kind, generator, 100.0)  # type: ignore[arg-type]
        rotation = matrix[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        angles.append(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
        shifts.append(np.linalg.norm(matrix[:3, 3]))
    assert 0.9 * degrees <= max(angles) <= degrees + 1e-6
    assert 0.9 * shift <= max(shifts) <= shift + 1e-9
