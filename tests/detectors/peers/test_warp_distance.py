"""The smooth warp as a detector: blind to what good parts do, and no blinder than the template to a dent."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from brute_coverage import BruteForce
from peer_checks import check_finds_the_dent, check_permutation, check_round_trip, fitted
from scipy.spatial import cKDTree
from small_parts import SIZE_MM, motion, part, tiny
from warped_parts import plane_distances

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create
from dusnet.registration.warp import TangentPlanes, fit_warp

POINTS = 2400
"""Fewer than take part in a fit: whichever order they come in, all do."""


def varied(seed: int, *, dent: float = 0.0, size_mm: float = 1.5, points: int = POINTS) -> PointCloud:
    """A scan of a part that is bent and stretched by about `size_mm`, another way for every seed."""
    cloud = part(seed, points=points, dent=dent)
    a, b, c, d = np.random.default_rng(900 + seed).uniform(-1, 1, size=4)
    x, y, z = cloud.points.T / SIZE_MM
    moved = np.column_stack([a * x + b * y * z, c * y * x + 0.5 * d * z**2, b * x**2 + d * x * y * z])
    return PointCloud(cloud.points + size_mm * moved, labels=cloud.labels)


@pytest.fixture(scope="module")
def several() -> list[PointCloud]:
    return [varied(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def warp(several: list[PointCloud]) -> Detector:
    return fitted("warp", several)


def test_a_good_varied_part_is_nearly_without_distance(warp: Detector, several: list[PointCloud]) -> None:
    template = fitted("template", several)
    cloud = varied(9)
    ours, theirs = warp.score(cloud).distances, template.score(cloud).distances
    assert ours is not None
    assert theirs is not None
    assert np.quantile(ours, 0.99) < 0.5  # mm, at a noise of 0.1
    assert np.quantile(ours, 0.9) < 0.5 * np.quantile(theirs, 0.9)


def test_dents_stand_out_among_varied_parts(warp: Detector, several: list[PointCloud]) -> None:
    """Dents a third deeper than the variation: every dented part above every good one; the template mixes them up."""
    template = fitted("template", several)
    good, dented = [varied(seed) for seed in range(30, 36)], [varied(seed, dent=2.0) for seed in range(40, 46)]
    above = {}
    for detector in (warp, template):
        low = max(detector.score(cloud).object_score for cloud in good)
        above[detector.name] = min(detector.score(cloud).object_score for cloud in dented) / low
    # Over six seeds 3.9 (deviation a factor of 1.4), and 4.9 times as much as the template (a factor of 1.6).
    assert above["warp"] > 1.2
    assert above["warp"] > 1.2 * above["template"]


def test_a_dent_keeps_its_depth(warp: Detector) -> None:
    cloud = varied(50, dent=4)
    assert cloud.labels is not None
    distances = warp.score(cloud).distances
    assert distances is not None
    assert 3 < np.quantile(distances[cloud.labels], 0.95) < 4.5  # 3.7, deviation .08 over five seeds
    assert np.quantile(distances[~cloud.labels], 0.9) < 0.5


def test_the_dent_is_where_the_scores_are_high() -> None:
    check_finds_the_dent("warp", 0.95)


def test_permuted_points_get_permuted_scores(warp: Detector) -> None:
    """All points of a scan this small take part in the fit; only the order of float64 sums differs."""
    cloud = varied(9, dent=3)
    order = np.random.default_rng(0).permutation(len(cloud))
    straight, permuted = warp.score(cloud), warp.score(cloud.select(order))
    np.testing.assert_allclose(permuted.point_scores, straight.point_scores[order], rtol=1e-3, atol=1e-6)
    assert permuted.object_score == pytest.approx(straight.object_score, rel=1e-3)


def test_of_a_big_scan_the_order_decides_little(warp: Detector) -> None:
    cloud = varied(9, dent=3, points=8000)
    order = np.random.default_rng(0).permutation(len(cloud))
    straight, permuted = warp.score(cloud), warp.score(cloud.select(order))
    off = np.abs(permuted.point_scores - straight.point_scores[order])
    assert off.max() < 0.1 * straight.point_scores.max()


def test_without_a_warp_permutation_is_exact(several: list[PointCloud]) -> None:
    check_permutation(fitted("warp", several, warp={"degree": 0}))


def test_a_loaded_model_gives_the_same_scores(warp: Detector, tmp_path) -> None:
    check_round_trip(warp, tmp_path)


def test_a_model_of_a_single_scan_has_no_tolerance(several: list[PointCloud], tmp_path) -> None:
    detector = fitted("warp", several[:1], scoring={"smoothing": 1, "gap": 0})
    check_round_trip(detector, tmp_path)
    scores = detector.score(varied(9))
    assert scores.distances is not None
    scale = detector.class_frame.frame.scale  # type: ignore[attr-defined]
    np.testing.assert_allclose(scores.point_scores * scale, scores.distances, rtol=1e-5)


def test_the_tolerance_can_be_left_out(several: list[PointCloud]) -> None:
    plain = fitted("warp", several[:2], scoring={"smoothing": 1, "gap": 0}, warp={"tolerance": False})
    scores = plain.score(varied(9))
    assert scores.distances is not None
    scale = plain.class_frame.frame.scale  # type: ignore[attr-defined]
    np.testing.assert_allclose(scores.point_scores * scale, scores.distances, rtol=1e-5)
    corrected = fitted("warp", several[:2], scoring={"smoothing": 1, "gap": 0, "tolerance": False}).score(varied(9))
    assert corrected.distances is not None
    np.testing.assert_array_equal(corrected.distances, scores.distances)
    assert np.abs(corrected.point_scores * scale / corrected.distances - 1).max() > 0.01


def test_scores_put_together_from_the_pieces_of_the_model_file(warp: Detector) -> None:
    """From the stored points, normals and tolerance with SciPy; only the fit itself is the package's.

    A dent leaves no gap: its points cover the places that they were pushed away from.
    """
    stored = warp._tensors()  # type: ignore[attr-defined]
    facts = warp._metadata()  # type: ignore[attr-defined]
    level = facts["level"]
    cloud = varied(9, dent=3)
    frame = warp.class_frame.frame  # type: ignore[attr-defined]
    points = torch.from_numpy(frame.apply(cloud.points)).float()
    planes = TangentPlanes(stored["surface.points"], stored["surface.normals"], stored["surface.outward"])
    fitted_warp = fit_warp(points, planes, warp.settings.warp, seed=1, rigid=facts["rigid"])
    shaped = fitted_warp.remove(points).double().numpy()
    surface, normals = (stored[f"surface.{name}"].double().numpy() for name in ("points", "normals"))
    distances = np.abs(plane_distances(shaped, surface, normals, 6)[0])
    far, three = cKDTree(stored["tolerance.places"].double().numpy()).query(shaped, k=3)
    weights = 1 / (far**2 + 1e-8)
    values = stored["tolerance.values"].double().numpy()[three]
    here = (values * weights).sum(axis=1) / weights.sum(axis=1)
    scores = distances * 1.6 * level / (here + 0.6 * level)
    in_frame = points.double().numpy()
    scores = scores[cKDTree(in_frame).query(in_frame, k=8)[1]].mean(axis=1)
    found = warp.score(cloud)
    assert (np.abs(found.distances / frame.scale - distances) < 2e-5).mean() > 0.99
    assert (np.abs(found.point_scores - scores) < 1e-3 * scores.max()).mean() > 0.97
    top = np.sort(scores)[-math.ceil(0.002 * len(scores)) :].mean()
    assert found.object_score == pytest.approx(top, rel=0.01)


def test_a_hole_is_seen_by_the_gap(several: list[PointCloud]) -> None:
    cloud = varied(9)
    hole = np.linalg.norm(cloud.points - [0.0, -8.0, 22.0], axis=1)
    assert hole.min() < 5
    pierced = PointCloud(cloud.points[hole > 11])
    grown = {}
    for gap in (0.0, 0.5):
        detector = fitted("warp", several, scoring={"gap": gap, "smoothing": 8})
        grown[gap] = detector.score(pierced).object_score / detector.score(cloud).object_score
    assert grown[0.5] > 1.5 * grown[0.0]


PLATE_MM = np.array([80.0, 56.0, 6.0])
HOLE_MM = np.array([9.0, -4.0])


def plate(seed: int, points: int = 1900, *, hole: float = 0.0) -> PointCloud:
    """A scan of both faces and the rim of a plate; the hole, a radius in mm, goes through both faces."""
    rng = np.random.default_rng(seed)
    areas = np.prod(PLATE_MM) / PLATE_MM
    across = rng.choice(3, points, p=areas / areas.sum())
    places = rng.uniform(-0.5, 0.5, (points, 3))
    places[np.arange(points), across] = rng.choice([-0.5, 0.5], points)
    places = places * PLATE_MM + rng.normal(scale=0.05, size=(points, 3))
    return PointCloud(places[np.linalg.norm(places[:, :2] - HOLE_MM, axis=1) >= hole])


@pytest.fixture(scope="module")
def of_plates() -> tuple[Detector, Detector]:
    """Without and with the gap."""
    good = [plate(seed) for seed in (0, 1)]
    plain, full = (fitted("warp", good, scoring={"gap": gap, "smoothing": 1}) for gap in (0.0, 1.0))
    return plain, full


@pytest.mark.parametrize("radius", [8.0, 11.0])
def test_the_gap_around_a_round_hole_against_brute_force(of_plates: tuple[Detector, Detector], radius: float) -> None:
    """The places that are missing are those within the hole, which is known; the rest is whole distance matrices."""
    plain, full = of_plates
    cloud = plate(7, hole=radius)
    found = full.score(cloud).point_scores - plain.score(cloud).point_scores

    stored, rigid = full._tensors(), full._metadata()["rigid"]  # type: ignore[attr-defined]
    frame = full.class_frame.frame  # type: ignore[attr-defined]
    places, normals = stored["surface.points"], stored["surface.normals"]
    points = torch.from_numpy(frame.apply(cloud.points)).float()
    planes = TangentPlanes(places, normals, stored["surface.outward"])
    shaped = fit_warp(points, planes, full.settings.warp, seed=1, rigid=rigid).remove(points).double().numpy()
    distance, along = plane_distances(shaped, places.double().numpy(), normals.double().numpy(), 6)
    feet = torch.from_numpy(shaped - distance[:, None] * along)
    beside = BruteForce(feet, places, stored["surface.openness"], stored["surface.voids"])
    axis = np.linalg.norm(frame.invert(places.double().numpy())[:, :2] - HOLE_MM, axis=1)
    lost = np.flatnonzero(beside.empty & (axis < radius))
    assert len(lost) > 20
    expected = beside.carried(lost.tolist())

    # One accidental void elsewhere in eight scans gave 3 of its points a gap that is not of the hole.
    assert (np.abs(found - expected) < 1e-3 * expected.max()).mean() > 0.99
    assert found.max() == pytest.approx(expected.max(), rel=1e-3)
    # The place nearest to the axis is a radius away from the scan, less what it lies off the axis.
    middle = axis.argmin()
    assert -0.1 < beside.distance[middle] * frame.scale - (radius - axis[middle]) < 1.6  # .27, deviation .23 over 8
    # Those that have a gap are the points around the hole.
    away = np.linalg.norm(cloud.points[:, :2] - HOLE_MM, axis=1) - radius
    assert away[found > 0.1 * found.max()].max() < 7.5  # 4.5, deviation .6 over eight scans
    assert (found[away < 0.3] > 0).all()


def test_half_a_part_is_no_defect(warp: Detector) -> None:
    cloud = varied(9, points=2 * POINTS)
    half = PointCloud(cloud.points[cloud.points @ [0.3, 0.2, 1.0] > 0])
    whole, seen = warp.score(varied(9)), warp.score(half)
    # Over five seeds 1.03 (deviation .06) and 1.04 (.04).
    assert np.quantile(seen.distances, 0.99) < 1.3 * np.quantile(whole.distances, 0.99)
    assert seen.object_score < 1.3 * whole.object_score


def test_what_registration_leaves_is_taken_away(several: list[PointCloud]) -> None:
    detector = create("warp", tiny("warp", registration={"method": "icp"}), seed=1)
    detector.fit(several)
    cloud = varied(9, dent=3)
    here, there = detector.score(cloud), detector.score(cloud.transformed(motion(4, (300.0, -20.0, 5.0))))
    assert there.object_score == pytest.approx(here.object_score, rel=0.1)
