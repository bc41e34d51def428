"""Which side a scan was taken from: thin parts scanned on both faces, thick ones, and views of one side."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dusnet.geometry import part_places, sides
from dusnet.geometry.coverage import Coverage
from dusnet.geometry.outward import outward_normals
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.sides import CoveredPart, OneSidedScan, one_side

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Maker = Callable[[int, np.random.Generator], tuple[Array, Array]]

COUNT = 1500
NOISE = 0.02
SHEET = (120.0, 80.0)
SPACING = 0.5 * (2 * SHEET[0] * SHEET[1] / COUNT) ** 0.5
"""Mean distance of random points of both faces of the sheet to the nearest other one."""


def evenly(make: Maker, count: int, seed: int) -> tuple[Array, Array]:
    """Points with their normals, one per cell: random ones leave voids by accident."""
    rng = np.random.default_rng(seed)
    points, normals = make(10 * count, rng)
    chosen = thin_to(points, count, rng)
    return points[chosen], normals[chosen]


def sheet(thickness: float) -> Maker:
    """Both faces of a sheet that is bent up at one end, so that it has no symmetry."""

    def make(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        x, y, side = rng.random((3, count))
        x, y, side = x * SHEET[0], y * SHEET[1], np.round(side)
        slope = np.where(x > 100, 0.8, 0.0)
        normals = np.column_stack([-slope, np.zeros(count), np.ones(count)]) * (2.0 * side - 1.0)[:, None]
        return np.column_stack([x, y, slope * (x - 100) + thickness * side]), normals

    return make


def bowl(thickness: float) -> Maker:
    """Inner and outer face of a bowl with half of its sphere's height."""

    def make(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        turn, height, inner = rng.random((3, count))
        turn, height, inner = 2 * np.pi * turn, -0.3 - 0.7 * height, np.round(inner)
        ring = np.sqrt(1 - height**2)
        outward = np.column_stack([ring * np.cos(turn), ring * np.sin(turn), height])
        return outward * (50 - thickness * inner)[:, None], outward * (1.0 - 2.0 * inner)[:, None]

    return make


def tube(thickness: float) -> Maker:
    """Inner and outer face of a tube, or the rod for a thickness of zero."""

    def make(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        turn, along, inner = rng.random((3, count))
        turn, along, inner = 2 * np.pi * turn, 120 * along, np.round(inner) * (thickness > 0)
        outward = np.column_stack([np.cos(turn), np.sin(turn), np.zeros(count)])
        points = outward * (15 - thickness * inner)[:, None]
        points[:, 2] = along
        return points, outward * (1.0 - 2.0 * inner)[:, None]

    return make


def ball(points: Array, middle: tuple[float, float, float], radius: float) -> Mask:
    return np.asarray(np.linalg.norm(points - middle, axis=1) < radius)


def drill(points: Array, middle: tuple[float, float], radius: float) -> Mask:
    return np.asarray(np.linalg.norm(points[:, :2] - middle, axis=1) < radius)


def beside(part: tuple[Array, Array], scan: tuple[Array, Array]) -> Coverage:
    """A scan with noise and what it covers of the part."""
    noisy = scan[0] + NOISE * np.random.default_rng(9).normal(size=scan[0].shape)
    points, places = torch.from_numpy(noisy).float(), torch.from_numpy(part[0]).float()
    return Coverage.of(points, places)


def kept(made: tuple[Array, Array], which: Mask) -> tuple[Array, Array]:
    return made[0][which], made[1][which]


def seen_of_convex(made: tuple[Array, Array], eye: tuple[float, float, float]) -> tuple[Array, Array]:
    """What a scanner far away sees of a part that hides nothing but what faces away."""
    return kept(made, made[1] @ eye > 0)


class TestBothFaces:
    """Scans of all faces: nothing is missing of a good part, and whatever was cut out of a damaged one is."""

    PARTS: ClassVar[dict[str, tuple[Maker, Callable[[Array], Mask]]]] = {
        "sheet, 0.05 spacings": (sheet(0.05 * SPACING), lambda p: drill(p, (60, 50), 18)),
        "sheet, 0.25 spacings": (sheet(0.25 * SPACING), lambda p: drill(p, (30, 30), 18)),
        "sheet, 0.5 spacings": (sheet(0.5 * SPACING), lambda p: drill(p, (0, 0), 28)),
        "sheet, 1 spacing": (sheet(SPACING), lambda p: drill(p, (60, 50), 18)),
        "sheet, 2 spacings": (sheet(2 * SPACING), lambda p: drill(p, (60, 40), 18)),
        "plate": (sheet(4 * SPACING), lambda p: drill(p, (60, 40), 18)),
        "bowl": (bowl(1.5), lambda p: ball(p, (30, 0, -40), 17)),
        "thick bowl": (bowl(9.0), lambda p: ball(p, (30, 0, -36), 17)),
        "tube": (tube(1.0), lambda p: ball(p, (15, 0, 60), 13)),
        "rod": (tube(0.0), lambda p: ball(p, (0, -15, 60), 11)),
    }

    @pytest.mark.parametrize("name", PARTS)
    def test_a_hole_is_missing_and_a_good_part_is_whole(self, name: str) -> None:
        make, cut = self.PARTS[name]
        part, scan = evenly(make, 2 * COUNT, 0), evenly(make, COUNT, 1)
        covered = beside(part, scan)
        assert not covered.missing.any()
        covered = beside(part, kept(scan, ~cut(scan[0])))
        lost = covered.missing.numpy()
        assert covered.empty.sum() > 10  # of the tube 35, deviation 6 over five seeds, three kernels
        assert np.array_equal(lost, covered.empty.numpy())
        assert cut(part[0][lost]).all()

    def test_both_faces_of_a_hole_are_one_region_of_its_size(self) -> None:
        make = sheet(0.5)
        part, scan = evenly(make, 4 * COUNT, 0), evenly(make, 2 * COUNT, 1)
        covered = beside(part, kept(scan, ~drill(scan[0], (60, 40), 18)))
        places = part[0][covered.missing.numpy()]
        middle = (places.min(axis=0) + places.max(axis=0)) / 2
        np.testing.assert_allclose(middle[:2], (60, 40), atol=2.0)
        margin = float(covered.limit.median())
        assert np.ptp(places[:, 0]) == pytest.approx(2 * (18 - margin), abs=4.0)
        assert set(np.round(places[:, 2], 3)) == {0.0, 0.5}


class TestOneSide:
    """Views of one side keep what the part hides."""

    def test_the_far_face_of_a_plate_is_not_missing_and_a_hole_in_the_near_one_is(self) -> None:
        make = sheet(15.0)
        part, scan = evenly(make, 2 * COUNT, 0), evenly(make, 2 * COUNT, 1)
        view = seen_of_convex(scan, (0.1, 0.2, 1.0))
        covered = beside(part, view)
        assert not covered.missing.any()
        covered = beside(part, kept(view, ~drill(view[0], (60, 40), 14)))
        lost = covered.missing.numpy()
        assert lost.sum() > 10  # 24 to 28 over two seeds
        assert (part[1][lost, 2] > 0).all()
        assert drill(part[0][lost], (60, 40), 14).all()

    def test_the_hidden_end_of_a_rod_seen_from_one_side_is_not_missing(self) -> None:
        """A disc of less than a tenth of the part closes the end that faces away."""
        rng = np.random.default_rng(3)
        radius, turn = 15 * np.sqrt(rng.random(400)), 2 * np.pi * rng.random(400)
        disc = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), np.zeros(400)])
        whole, down = evenly(tube(0.0), 2 * COUNT, 0), np.tile([0.0, 0.0, -1.0], (400, 1))
        part = np.concatenate([whole[0], disc]), np.concatenate([whole[1], down])
        view = seen_of_convex(evenly(tube(0.0), 2 * COUNT, 1), (0.8, 0.0, 0.6))
        covered = beside(part, view)
        assert covered.empty[2 * COUNT :].sum() > 20
        assert not covered.missing.any()

    def test_a_hole_through_a_thin_sheet_seen_from_one_side(self) -> None:
        """The scan cannot tell the faces: both have a hole."""
        make = sheet(0.5)
        part, scan = evenly(make, 2 * COUNT, 0), evenly(make, 2 * COUNT, 1)
        view = kept(scan, scan[1][:, 2] > 0)
        covered = beside(part, view)
        assert not covered.missing.any()
        covered = beside(part, kept(view, ~drill(view[0], (60, 40), 14)))
        lost = covered.missing.numpy()
        assert np.array_equal(lost, covered.empty.numpy())
        # One of 103 lies at the edge of the sheet: chance leaves wider voids there, and no good scans tell how wide.
        assert drill(part[0][lost], (60, 40), 14).mean() > 0.95

    def test_the_inner_face_of_a_thick_bowl(self) -> None:
        """Its points can be seen from below as well as from above; the part says that they were seen from above."""
        make = bowl(12.0)
        part, scan = evenly(make, 3 * COUNT, 0), evenly(make, 2 * COUNT, 1)
        view = kept(scan, np.linalg.norm(scan[0], axis=1) < 45)
        covered = beside(part, view)
        assert not covered.missing.any()
        covered = beside(part, kept(view, ~ball(view[0], (20, 0, -32), 15)))
        lost = covered.missing.numpy()
        assert lost.sum() > 10
        assert ball(part[0][lost], (20, 0, -32), 15).all()

    def test_a_model_of_one_side_is_not_asked_what_it_hides(self) -> None:
        places = evenly(sheet(0.0), COUNT, 0)[0]
        empty = np.zeros(len(places), dtype=bool)
        up = np.tile([0.0, 0.0, 1.0], (len(places), 1))
        part = CoveredPart(places, lambda: up, empty, 4 * SPACING, SPACING)
        assert isinstance(one_side(places, part), OneSidedScan)

    def test_normals_are_asked_only_where_a_scan_may_be_one_of_one_side(self) -> None:
        points = np.random.default_rng(0).normal(size=(COUNT, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)

        def refuse() -> Array:
            raise AssertionError("nobody needs normals")

        assert one_side(points, CoveredPart(points, refuse, np.zeros(COUNT, dtype=bool), 1.0, 1.0)) is None


class TestPieces:
    """Pieces on a line: which of them a scanner has looked at."""

    @staticmethod
    def side(seen: list[int], places: Array, normals: Array) -> OneSidedScan:
        mask = np.zeros(len(places), dtype=bool)
        mask[seen] = True
        return OneSidedScan(CoveredPart(places, lambda: normals, np.ones(len(places), dtype=bool), 1.0, 0.1), mask)

    def faces(self, apart: float, count: int = 20) -> tuple[Array, Array]:
        """Places on two rows that look away from each other, the near face first."""
        x = np.arange(count) * 0.3
        near, far = (np.column_stack([x, np.zeros(count), np.full(count, z)]) for z in (0.0, -apart))
        normals = np.repeat([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], count, axis=0)
        return np.concatenate([near, far]), normals

    @pytest.mark.parametrize(("apart", "shown"), [(0.02, True), (0.5, True), (0.95, True), (1.2, False)])
    def test_a_hole_goes_through_a_wall_thinner_than_the_reach(self, apart: float, shown: bool) -> None:
        side = self.side(list(range(20)), *self.faces(apart))
        assert side.shows(np.zeros(40, dtype=np.intp), np.array([True])).tolist() == [shown]

    def test_what_lies_beside_the_seen_places_of_the_same_face_stays_hidden(self) -> None:
        places, normals = self.faces(0.5)
        normals[:] = normals[0]
        side = self.side(list(range(20)), places, normals)
        assert side.shows(np.zeros(40, dtype=np.intp), np.array([True])).tolist() == [False]

    def test_a_piece_that_is_hidden_for_the_most_part_stays_hidden(self) -> None:
        side = self.side(list(range(8)), *self.faces(0.5))
        assert side.shows(np.zeros(40, dtype=np.intp), np.array([True])).tolist() == [False]

    def test_only_the_pieces_asked_for_are_answered(self) -> None:
        side = self.side(list(range(20)), *self.faces(0.5))
        piece = np.repeat([0, 1], 20)
        assert side.shows(piece, np.array([True, True])).tolist() == [True, False]
        assert side.shows(piece, np.array([False, True])).tolist() == [False, False]

    def test_nine_tenths_must_be_visible(self) -> None:
        places, normals = self.faces(5.0, 10)
        for seen, shown in ((9, True), (8, False)):
            side = self.side(list(range(seen)), places[:10], normals[:10])
            assert side.shows(np.zeros(10, dtype=np.intp), np.array([True])).tolist() == [shown]
        assert sides.VISIBLE_SHARE == 0.9


def test_known_normals_of_the_part_are_not_estimated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    part = evenly(sheet(15.0), 2 * COUNT, 0)
    view = seen_of_convex(evenly(sheet(15.0), 2 * COUNT, 1), (0.1, 0.2, 1.0))
    view = kept(view, ~drill(view[0], (60, 40), 14))
    places, points = (torch.from_numpy(made[0]).float() for made in (part, view))
    known = PartPlaces(places, outward_normals(places))
    monkeypatch.setattr(part_places, "outward_normals", None)
    found = Coverage.of(points, known).gap
    monkeypatch.undo()
    assert torch.equal(found, Coverage.of(points, places).gap)
    assert float(found.max()) > 0


def block(count: int, seed: int) -> tuple[Array, Array]:
    """A block of 60 x 40 x 20 with a ledge of 12 x 12 on one side, of which only the lower face is there."""

    def make(number: int, rng: np.random.Generator) -> tuple[Array, Array]:
        size = np.array([60.0, 40.0, 20.0])
        areas = np.repeat([40.0 * 20.0, 60.0 * 20.0, 60.0 * 40.0], 2)
        face = rng.choice(7, number, p=np.append(areas, 144.0) / (areas.sum() + 144.0))
        points, normals, side = rng.random((number, 3)) * size, np.zeros((number, 3)), face < 6
        axis, end = face[side] // 2, face[side] % 2
        points[side, axis], normals[side, axis] = size[axis] * end, 2.0 * end - 1.0
        points[~side] = rng.random((int((~side).sum()), 3)) * [12.0, 12.0, 0.0] + [62.0, 14.0, 10.0]
        normals[~side, 2] = -1.0
        return points, normals

    return evenly(make, count, seed)


class TestFacingAway:
    """A block on a turntable: cameras go around it and look down."""

    @staticmethod
    def missing(seen: Callable[[tuple[Array, Array]], Mask]) -> Array:
        places, normals = block(4000, 0)
        scan = block(4000, 1)
        shown = scan[0][seen(scan)]
        part = PartPlaces(*(torch.from_numpy(one).float() for one in (places, normals)))
        return places[Coverage.of(torch.from_numpy(shown).float(), part).missing.numpy()]

    def test_what_looks_down_with_an_unseen_bottom_is_not_missing(self) -> None:
        assert not len(self.missing(lambda scan: scan[1][:, 2] > -0.5))

    def test_where_the_bottom_was_seen_it_is(self) -> None:
        lost = self.missing(lambda scan: scan[0][:, 0] < 61)
        assert len(lost) > 20
        assert lost[:, 0].min() > 61

    def test_a_hole_in_a_face_that_was_seen_is_missing_beside_the_ledge(self) -> None:
        def seen(scan: tuple[Array, Array]) -> Mask:
            hole = np.linalg.norm(scan[0] - [30, 20, 20], axis=1) < 7
            return (scan[1][:, 2] > -0.5) & ~hole

        lost = self.missing(seen)
        assert len(lost) > 10
        assert np.linalg.norm(lost - [30, 20, 20], axis=1).max() < 7

    def test_by_hand(self) -> None:
        """Ten places look up, of which eight are seen, ten look down, of which one is, and two pieces are mixed."""
        normals = np.repeat([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], 10, axis=0)
        empty = np.ones(20, dtype=bool)
        empty[[0, 1, 2, 3, 4, 5, 6, 10, 7]] = False
        part = CoveredPart(np.zeros((20, 3)), lambda: normals, empty, 1.0, 0.1)
        # The empty places: two that look up, then nine that look down.
        piece = np.array([0, 1, 0, 0, 0, 0, 1, 2, 2, 2, 2])
        assert sides.facing_away(part, piece).tolist() == [True, False, True]
