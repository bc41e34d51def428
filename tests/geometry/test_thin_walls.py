"""Parts of thin walls: which face a scan shows, and what one camera cannot see of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dusnet.geometry import coverage
from dusnet.geometry.coverage import Coverage
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.thin_walls import Layers
from dusnet.geometry.visibility import Eye

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

COUNT = 9000
THICKNESS = 1.0
NOISE = 0.02


class Sheets:
    """Rectangles of sheet metal: corner, two edges at right angles, and where the inner face looks."""

    def __init__(self, *sheets: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]) -> None:
        self.sheets = [tuple(np.array(vector, dtype=float) for vector in sheet) for sheet in sheets]

    def scan(self, count: int, seed: int, *, camera: tuple[float, float, float] | None = None) -> tuple[Array, Array]:
        """Even points of both faces, or of what a camera far away sees, and their normals."""
        rng = np.random.default_rng(seed)
        areas = np.array([np.linalg.norm(u) * np.linalg.norm(v) for _, u, v in self.sheets])
        points, normals = [], []
        for (corner, u, v), share in zip(self.sheets, areas / areas.sum(), strict=True):
            a, b, face = rng.random((3, int(8 * count * share)))
            side = np.round(face)[:, None]
            across = np.cross(u, v) / np.linalg.norm(np.cross(u, v))
            points.append(corner + a[:, None] * u + b[:, None] * v + THICKNESS * side * across)
            normals.append((2 * side - 1) * across)
        made, facing = np.concatenate(points), np.concatenate(normals)
        if camera is not None:
            direction = np.array(camera) / np.linalg.norm(camera)
            seen = (facing @ direction > 0.05) & ~self._shaded(made, direction)
            made, facing, count = made[seen], facing[seen], count // 2
        chosen = thin_to(made, count, rng)
        return made[chosen] + NOISE * rng.normal(size=(len(chosen), 3)), facing[chosen]

    def _shaded(self, points: Array, direction: Array) -> Mask:
        """Whose ray towards the camera meets a sheet beyond its own thickness."""
        shaded = np.zeros(len(points), dtype=bool)
        for corner, u, v in self.sheets:
            across = np.cross(u, v) / np.linalg.norm(np.cross(u, v))
            along = ((corner - points) @ across) / (direction @ across)
            met = points + along[:, None] * direction - corner
            inside = [(met @ w / (w @ w) > 0) & (met @ w / (w @ w) < 1) for w in (u, v)]
            shaded |= (along > 3 * THICKNESS) & inside[0] & inside[1]
        return shaded


CHANNEL = Sheets(
    ((0, 0, 0), (100, 0, 0), (0, 50, 0)), ((0, 0, 0), (0, 0, 30), (100, 0, 0)), ((0, 50, 0), (100, 0, 0), (0, 0, 40))
)
ANGLE = Sheets(((0, 0, 0), (90, 0, 0), (0, 70, 0)), ((0, 70, 0), (70, 0, 0), (0, 0, 50)))
STEP = Sheets(
    ((0, 0, 0), (80, 0, 0), (0, 40, 0)), ((0, 40, 0), (80, 0, 0), (0, 0, 35)), ((0, 40, 35), (80, 0, 0), (0, 45, 0))
)


def beside(part: Array, scan: Array) -> Coverage:
    points, places = torch.from_numpy(scan).float(), torch.from_numpy(part).float()
    return Coverage.of(points, places)


def layers(part: Array, scan: Array) -> Layers:
    covered = beside(part, scan)
    return Layers.of(scan, part, covered.empty.numpy(), coverage.REACH * covered.usual)


class TestLayers:
    @pytest.mark.parametrize("part", [CHANNEL, ANGLE, STEP])
    def test_a_scan_of_both_faces_and_a_view_of_one(self, part: Sheets) -> None:
        places = part.scan(2 * COUNT, 0)[0]
        both, one = (layers(places, part.scan(COUNT, 1, camera=eye)[0]) for eye in (None, (0.3, -0.4, 0.9)))
        assert both.both_faces
        assert not both.one_face
        assert one.one_face
        assert not one.both_faces

    def test_thick_parts_have_no_layers(self) -> None:
        rng = np.random.default_rng(0)
        ball = rng.normal(size=(COUNT, 3))
        ball *= 30 / np.linalg.norm(ball, axis=1, keepdims=True)
        ball += 0.1 * rng.normal(size=ball.shape)
        found = layers(ball[::2], ball[1::2])
        assert found.thin < 0.1
        assert not found.one_face
        assert not found.both_faces

    def test_a_scan_with_less_noise_does_not_look_like_one_face(self) -> None:
        rng = np.random.default_rng(0)
        flat = rng.uniform(0, 100, (COUNT, 3)) * (1, 1, 0)
        found = layers(flat + 0.2 * rng.normal(size=flat.shape), flat[::2] + 0.02 * rng.normal(size=flat[::2].shape))
        assert not found.one_face

    def test_too_few_points_say_nothing(self) -> None:
        places = np.random.default_rng(0).random((50, 3))
        assert Layers.of(places[:5], places, np.zeros(50, dtype=bool), 1.0) == Layers(0.0, 0.0)
        assert Layers.of(places, places, np.ones(50, dtype=bool), 1.0) == Layers(0.0, 0.0)


class TestOneCamera:
    """Nothing is missing of a good part in a view; what is missing in a view of a damaged one is its hole."""

    @pytest.mark.parametrize(
        ("part", "camera", "middle"),
        [
            (CHANNEL, (-0.4, 0.3, 0.9), (55, 18)),
            pytest.param(CHANNEL, (0.3, -0.5, 0.8), (50, 34), marks=pytest.mark.slow),
            pytest.param(ANGLE, (0.2, -0.5, 0.8), (45, 30), marks=pytest.mark.slow),
            (STEP, (0.3, 0.6, 0.7), (40, 68)),
        ],
    )
    def test_what_the_part_itself_hides_is_not_missing_and_a_hole_is(
        self, part: Sheets, camera: tuple[float, float, float], middle: tuple[float, float]
    ) -> None:
        places = part.scan(3 * COUNT, 0)[0]
        view = part.scan(COUNT, 1, camera=camera)[0]
        assert Eye.all_of(view)[0].one_sided
        covered = beside(places, view)
        assert not covered.missing.any()
        covered = beside(places, view[np.linalg.norm(view[:, :2] - middle, axis=1) > 10])
        hole = np.linalg.norm(places[:, :2] - middle, axis=1) < 10
        lost = covered.missing.numpy()
        assert (hole & covered.empty.numpy()).sum() > 10
        assert np.array_equal(lost, hole & covered.empty.numpy())

    def test_a_narrow_shadow_that_hidden_point_removal_sees_through_is_not_missing(self) -> None:
        """Where the shadow ends, a few places may pass for seen; without the layers all of it is missing."""
        places = CHANNEL.scan(3 * COUNT, 0)[0]
        covered = beside(places, CHANNEL.scan(COUNT, 1, camera=(0.4, 0.25, 0.9))[0])
        assert covered.empty.sum() > 30  # 75, deviation 11 over five seeds, three kernels
        assert covered.missing.sum() < covered.empty.sum() / 2  # .06 times, deviation .08

    def test_both_faces_of_a_channel_with_a_hole(self) -> None:
        places, scan = CHANNEL.scan(3 * COUNT, 0)[0], CHANNEL.scan(COUNT, 1)[0]
        middle = (50, 25)
        covered = beside(places, scan[np.linalg.norm(scan[:, :2] - middle, axis=1) > 9])
        lost = covered.missing.numpy()
        assert lost.sum() > 20
        assert np.array_equal(lost, covered.empty.numpy())
        assert set(np.round(places[lost][:, 2])) == {0.0, 1.0}
