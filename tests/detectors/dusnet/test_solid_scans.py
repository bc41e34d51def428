"""Kinds of scanning that the networks learn from: each has what it is named after."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dusnet.detectors.dusnet import solid_scans as module
from dusnet.detectors.dusnet.solid_scans import SHARES, SolidScans
from dusnet.synthesis.surface import Floats


def only(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(module, "SHARES", {name: float(name == kind) for name in SHARES})


def drawn(number: int) -> SolidScans:
    return SolidScans.draw("solid", 100 + number, np.random.default_rng(number))


def evenness(points: Floats) -> float:
    """Spread of the distance to the nearest point over its mean: .52 for random points on a plane, 0 for a grid."""
    nearest = cKDTree(points).query(points, k=2)[0][:, 1]
    return float(nearest.std() / nearest.mean())


def beside(points: Floats, others: Floats) -> Floats:
    """Distances from points to the nearest of others, in units of the others' point distance."""
    spacing = np.median(cKDTree(others).query(others, k=2)[0][:, 1])
    return np.asarray(cKDTree(others).query(points)[0] / spacing)


def test_equal_parts_are_even_and_do_not_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "equal")
    for number in range(3):
        solid = drawn(number)
        one, other = (solid.test(np.random.default_rng(seed)) for seed in (1, 2))
        assert evenness(one) < 0.4
        # Points of equal surfaces are within about one point distance of each other.
        assert np.quantile(beside(one, other), 0.99) < 2.0


def test_varied_parts_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "varied")
    monkeypatch.setattr(module, "VARIATION", 0.05)
    apart = []
    for number in range(4):
        solid = drawn(number)
        one, other = (solid.good(np.random.default_rng(seed)) for seed in (1, 2))
        radius = np.linalg.norm(np.ptp(other, axis=0)) / 2.0
        apart.append(float(np.quantile(cKDTree(other).query(one)[0], 0.9) / radius))
    assert max(apart) > 0.01


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
