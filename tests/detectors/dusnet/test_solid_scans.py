"""Kinds of scanning that the networks learn from: each has what it is named after."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dusnet.cloud import PointCloud
from dusnet.detectors.dusnet import solid_scans as module
from dusnet.detectors.dusnet.solid_scans import SHARES, SolidScans
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.surface import Floats


def only(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(module, "SHARES", {name: float(name == kind) for name in SHARES})


def drawn(number: int) -> SolidScans:
    return SolidScans.draw("solid", 100 + number, np.random.default_rng(number))


def evenness(points: Floats) -> float:
    """Spread of the distance to the nearest point over its mean: .52 for random points on a plane, 0 for a grid."""
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    return float(nearest.std() / nearest.mean())


def settings_of(monkeypatch: pytest.MonkeyPatch, kind: str, numbers: range) -> list[BenchmarkSettings]:
    """What the scans of some solids are asked for with, a training scan and a damaged one of each."""
    asked: list[BenchmarkSettings] = []

    def record(*given, **_: bool):
        asked.append(given[3])
        return PointCloud(np.zeros((1, 3)))

    only(monkeypatch, kind)
    monkeypatch.setattr(module, "make_scan", record)
    for number in numbers:
        solid, rng = drawn(number), np.random.default_rng(number)
        solid.good(rng)
        solid.test(rng)
    return asked


def test_equal_parts_do_not_vary_and_are_seen_from_all_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in settings_of(monkeypatch, "equal", range(6)):
        assert (asked.variation, asked.jitter, asked.even, asked.test_view) == (0.0, 0.0, True, "full")
        assert module.LITTLE_NOISE[0] <= asked.noise <= module.LITTLE_NOISE[1]


def test_points_of_equal_parts_lie_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "equal")
    # Five solids .28 to .35; the same points drawn at random have .52.
    assert all(evenness(drawn(number).test(np.random.default_rng(1))) < 0.44 for number in range(2))


def test_varied_parts_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = settings_of(monkeypatch, "varied", range(20))
    assert all(0.0 < one.variation <= module.VARIATION for one in asked)
    assert all(module.NOISE[0] <= one.noise <= module.NOISE[1] for one in asked)
    assert {one.even for one in asked} == {True, False}
    assert {one.jitter > 0.0 for one in asked} == {True, False}
    assert {one.test_view for one in asked[1::2]} == {"full", "single"}
    assert {one.test_view for one in asked[::2]} == {"full"}


@pytest.mark.parametrize(("kind", "shallow"), [("varied", False), ("equal", True), ("turntable", True)])
def test_some_scans_show_shallow_defects_alone(kind: str, shallow: bool) -> None:
    solid = SolidScans(lambda _: np.zeros((1, 3)), lambda _: np.zeros((1, 3)), kind)
    depths = [solid.depths(np.random.default_rng(seed)) for seed in range(200)]
    assert {least for least, _ in depths} == {module.LEAST_DEPTH[kind]}
    assert all(2 * least <= most <= module.MOST_DEPTH for least, most in depths)
    assert (min(most for _, most in depths) < 0.03) == shallow


@pytest.mark.parametrize("number", range(2))
def test_a_turntable_shows_one_side_and_a_template_both(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    only(monkeypatch, "turntable")
    solid = drawn(number)
    template = solid.good(np.random.default_rng(0))
    scans = [solid.test(np.random.default_rng(seed)) for seed in range(4)]
    reach = 0.05 * float(np.ptp(template, axis=0).max())
    shown = [float((cKDTree(scan).query(template)[0] < reach).mean()) for scan in scans]
    assert max(shown) < 0.9
    assert all(float((cKDTree(template).query(scan)[0] < reach).mean()) > 0.99 for scan in scans)


def test_seeds_decide_and_nothing_else() -> None:
    one, other = (drawn(3).good(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_the_kinds_are_drawn_as_often_as_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "random_solid", lambda _: None)
    monkeypatch.setattr(module, "_on_turntable", lambda *_: ("turntable", None))
    monkeypatch.setattr(module, "_all_around", lambda *given: ("varied" if given[3] else "equal", None))
    rng = np.random.default_rng(0)
    found = [str(SolidScans.draw("solid", 0, rng).good) for _ in range(2000)]
    for kind, share in SHARES.items():
        # Five standard deviations of a share of 2000 draws.
        assert abs(found.count(kind) / 2000 - share) < 5 * np.sqrt(share * (1 - share) / 2000)


def test_sizes_of_some_solids_differ_from_specimen_to_specimen(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def similar(*given):
        asked.append(given[-1])
        return given[1]

    only(monkeypatch, "varied")
    monkeypatch.setattr(module, "similar_solid", similar)
    for share, times in ((0.0, 0), (1.0, 2)):
        monkeypatch.setattr(module, "JITTERED", share)
        solid = drawn(0)
        solid.good(np.random.default_rng(0))
        solid.test(np.random.default_rng(1))
        assert len(asked) == times, "good scans and damaged ones are scans of different specimens"
    assert len(set(asked)) == 1
    assert module.JITTER[0] <= asked[0] <= module.JITTER[1]
