"""Rigid registration against motions that are known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dusnet.config import RegistrationSettings
from dusnet.errors import BadInput
from dusnet.geometry.surface import DiscSurface
from dusnet.geometry.visibility import Eye, directions, visible
from dusnet.registration import Aligner, Alignment
from dusnet.registration.icp import rotations
from dusnet.registration.sweep import trimmed

SETTINGS = RegistrationSettings(points=2000)


def box(generator: np.random.Generator, count: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Points on the six faces of a box."""
    size = high - low
    points = generator.random((count, 3))
    area = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    axis = generator.choice(3, count, p=area / area.sum())
    points[np.arange(count), axis] = generator.integers(0, 2, count)
    return low + points * size


def bracket(generator: np.random.Generator, count: int = 8000) -> np.ndarray:
    """A plate, an off-centre upright and a boss: no symmetry. About 200 units long."""
    parts = [
        box(generator, count // 2, np.array([0.0, 0, 0]), np.array([200.0, 120, 20])),
        box(generator, count // 3, np.array([0.0, 20, 20]), np.array([25.0, 100, 110])),
        box(generator, count - count // 2 - count // 3, np.array([120.0, 10, 20]), np.array([170.0, 50, 60])),
    ]
    return np.concatenate(parts)


def radius(points: np.ndarray) -> float:
    return float(np.linalg.norm(points - (points.min(0) + points.max(0)) / 2, axis=1).max())


def motion(vector: np.ndarray, translation: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_rotvec(vector).as_matrix(), translation
    return matrix


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def errors(found: Alignment, true_inverse: np.ndarray, points: np.ndarray) -> tuple[float, float]:
    """Rotation error in degrees, and mean displacement of the points against the true motion."""
    relative = found.matrix[:3, :3] @ true_inverse[:3, :3].T
    angle = np.degrees(Rotation.from_matrix(relative).magnitude())
    return angle, float(np.linalg.norm(move(found.matrix, points) - move(true_inverse, points), axis=1).mean())


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return bracket(np.random.default_rng(1))


@pytest.fixture(scope="module")
def aligner(reference) -> Aligner:
    return Aligner(reference, SETTINGS, scale=radius(reference), seed=0)


@pytest.mark.parametrize("offset", [np.zeros(3), np.array([450_000.0, 5_200_000.0, 300.0])])
def test_small_motion_is_recovered_by_icp_alone(reference, offset, rng):
    aligner = Aligner(reference + offset, SETTINGS, scale=radius(reference), seed=0)
    scan = bracket(rng, 5000)
    matrix = motion(np.radians([6.0, -4.0, 8.0]), np.array([5.0, -3.0, 4.0]))
    moved = move(matrix, scan) + offset
    found = aligner.align(moved)
    assert found.method == "icp"
    # .091 times the limit, deviation .04 over five seeds, three kernels.
    assert np.linalg.norm(move(found.matrix, moved) - (scan + offset), axis=1).mean() < 0.003 * radius(reference)
    assert found.residual < 0.005
    assert found.fitness > 0.99


@pytest.mark.parametrize("seed", [0, 1])
def test_any_pose_falls_back_to_the_search(aligner, reference, seed):
    generator = np.random.default_rng(seed)
    scan = bracket(generator, 5000) + generator.normal(size=(5000, 3)) * 0.2
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    matrix[:3, 3] = generator.normal(size=3) * 500
    moved = move(matrix, scan)
    found = aligner.align(moved)
    assert found.method == "global"
    angle, gap = errors(found, np.linalg.inv(matrix), moved)
    assert angle < 0.5
    assert gap < 0.005 * radius(reference)  # .054 times the limit, deviation .02 over five seeds, three kernels


@pytest.mark.parametrize("seed", [0, 1])
def test_a_single_view_in_any_pose_is_recovered(aligner, reference, seed):
    generator = np.random.default_rng(seed)
    scan = bracket(generator, 12_000)
    eye = generator.normal(size=3) + np.array([0.0, 0.0, 1.5])
    scan = scan[visible(scan, eye / np.linalg.norm(eye))]
    matrix = motion(generator.normal(size=3) * 2, generator.normal(size=3) * 300)
    moved = move(matrix, scan)
    found = aligner.align(moved)
    angle, gap = errors(found, np.linalg.inv(matrix), moved)
    assert angle < 1.0
    assert gap < 0.01 * radius(reference)  # .033 times the limit, deviation .022 over five seeds, three kernels


@pytest.mark.parametrize(
    ("name", "one_sided"),
    [
        ("featuretype_bracket", True),
        ("toy_airplane", True),
        ("vase_goblet", False),
        ("camera_mount", False),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in ("gear_side", "vase_goblet", "camera_mount")),
    ],
)
def test_real_parts_end_on_their_surface(shared_data, name, one_sided):
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.load(shared_data / "meshes" / f"{name}.ply")
    reference = np.asarray(trimesh.sample.sample_surface(mesh, 10_000, seed=0)[0])
    scan = np.asarray(trimesh.sample.sample_surface(mesh, 12_000, seed=1)[0])
    if one_sided:
        scan = scan[visible(scan, directions(7)[2])]
    scale = radius(reference)
    aligner = Aligner(reference, SETTINGS, scale=scale, seed=0)
    in_place = Aligner(reference, SETTINGS.model_copy(update={"method": "none"}), scale=scale, seed=0).align(scan)
    moved = scan @ Rotation.random(random_state=3).as_matrix().T + np.array([3.0, -2.0, 1.0]) * scale
    found = aligner.align(moved)
    # several of these parts are (nearly) symmetric: the surface must coincide, whichever of the equal poses it is
    # .68 times the limit, deviation .021 over five seeds, three kernels.
    assert found.residual < 1.3 * in_place.residual + 5e-4
    assert found.fitness > 0.99


def test_none_leaves_the_scan_and_still_measures(reference):
    aligner = Aligner(reference, RegistrationSettings(method="none"), scale=radius(reference), seed=0)
    moved = move(motion(np.radians([0.0, 0.0, 40.0]), np.array([30.0, 0.0, 0.0])), reference)
    np.testing.assert_array_equal(aligner.align(moved).matrix, np.eye(4))
    assert aligner.align(moved).method == "none"
    assert aligner.align(reference).residual < 1e-3 < 0.03 < aligner.align(moved).residual


def test_residual_tells_a_misregistered_scan(reference, rng):
    settings = SETTINGS.model_copy(update={"method": "icp"})
    aligner = Aligner(reference, settings, scale=radius(reference), seed=0)
    scan = bracket(rng, 4000)
    good = aligner.align(scan)
    stuck = aligner.align(move(motion(np.array([0.0, 2.5, 0.4]), np.zeros(3)), scan))
    assert stuck.method == "icp"
    assert stuck.residual > 5 * good.residual  # 47 times the limit, deviation 24 over five seeds, three kernels
    assert stuck.residual > SETTINGS.accept_residual > good.residual
    assert stuck.fitness < good.fitness


def test_a_defect_does_not_move_the_pose(aligner, reference, rng):
    scan = bracket(rng, 6000)
    top = (scan[:, 2] > 100) & (scan[:, 0] < 26)
    assert 50 < top.sum() < 600
    dented = scan - np.outer(top, [0.0, 0.0, 15.0])
    angle, gap = errors(aligner.align(dented), np.eye(4), scan)
    assert angle < 0.2  # .022, deviation .015 over five seeds, three kernels
    assert gap < 0.003 * radius(reference)  # .086 times the limit, deviation .035 over five seeds, three kernels


def test_the_same_call_gives_the_same_bits(reference, rng):
    scan = move(motion(np.array([2.0, 0.5, -1.0]), np.array([5.0, 5.0, 5.0])), bracket(rng, 4000))
    found = [Aligner(reference, SETTINGS, scale=radius(reference), seed=4).align(scan) for _ in range(2)]
    assert found[0].method == "global"
    assert found[0].matrix.tobytes() == found[1].matrix.tobytes()
    assert found[0].residual == found[1].residual


@pytest.mark.slow
def test_the_bits_do_not_depend_on_the_number_of_threads():
    code = (
        "import sys; sys.path[:0] = ['.', '..']; import numpy as np; from test_registration import *;"
        "r = bracket(np.random.default_rng(1)); s = bracket(np.random.default_rng(2), 4000);"
        "m = move(motion(np.array([2.0, 0.5, -1.0]), np.ones(3)), s);"
        "print(Aligner(r, SETTINGS, scale=radius(r), seed=4).align(m).matrix.tobytes().hex())"
    )
    seen = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        root = Path(__file__).resolve().parent
        run = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, check=True)
        seen.add(run.stdout)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((0, 3)), "no points"),
        (np.ones((50, 3)), "identical"),
        (np.outer(np.arange(50.0), [1.0, 2.0, 3.0]), "straight line"),
        (np.full((50, 3), np.nan), "NaN"),
        (np.eye(3), "at least"),
    ],
)
def test_unusable_clouds_are_named(aligner, points, words):
    with pytest.raises(BadInput, match=words):
        aligner.align(points)
    with pytest.raises(BadInput, match=words):
        Aligner(points, SETTINGS, scale=1.0, seed=0)


def test_a_flat_scan_and_a_tiny_scan_give_a_rigid_motion(aligner, rng):
    flat = np.column_stack([rng.random((500, 2)) * 100, np.zeros(500)])
    for scan in (flat, flat[:4] + rng.random((4, 3)), flat * 1e6, flat * 1e-6):
        rotation = aligner.align(scan).matrix[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) > 0


def test_scale_must_be_a_length(reference):
    with pytest.raises(ValueError, match="scale"):
        Aligner(reference, SETTINGS, scale=0.0, seed=0)


def test_trimmed_mean_by_hand():
    np.testing.assert_allclose(trimmed(np.arange(10.0), 0.9), 4.0)
    np.testing.assert_allclose(trimmed(np.array([[3.0, 1.0], [5.0, 9.0]]), 0.5), [1.0, 5.0])


def test_rotations_agree_with_scipy(rng):
    vectors = np.concatenate([rng.normal(size=(20, 3)), np.zeros((1, 3)), [[np.pi, 0.0, 0.0]]])
    np.testing.assert_allclose(rotations(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)


def test_distance_is_to_the_surface_not_to_its_samples(rng):
    surface = DiscSurface.of(np.column_stack([rng.random((2000, 2)), np.zeros(2000)]))
    inside = np.column_stack([rng.random((500, 2)) * 0.8 + 0.1, np.full(500, 0.03)])
    # In five times 500 draws one lies above a gap of the discs.
    assert np.quantile(np.abs(surface.distance(inside) - 0.03), 0.98) < 2e-3
    beyond = surface.distance(np.array([[1.5, 0.5, 0.0]]))  # beside the plate, in its plane
    assert 0.4 < beyond[0] <= 0.52


def test_the_eye_sees_half_a_sphere_and_all_of_a_view(rng):
    points = rng.normal(size=(3000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    top = points[visible(points, np.array([0.0, 0.0, 1.0]))]
    assert top[:, 2].min() > -0.1
    assert 0.4 < len(top) / len(points) < 0.6  # .44, deviation .0077 over five seeds, three kernels
    assert Eye.all_of(points)[0].share < 0.65
    up, down = sorted(Eye.all_of(top), key=lambda eye: -eye.direction[2])  # a dome is seen from above and from inside
    assert up.one_sided
    assert up.direction[2] > 0.9
    assert down.direction[2] < -0.9
