"""Timing: turns, medians, spread, ratios."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dusnet.evaluation.speed import as_markdown, peers, timing
from dusnet.evaluation.speed.ops import knot
from dusnet.evaluation.speed.timing import Timing, race


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only moves when it is told to."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def test_everybody_takes_turns_and_the_middle_counts(clock: list[float]) -> None:
    order: list[str] = []
    lasts = {"ours": [9.0, 0.1, 0.2, 0.3, 0.4, 0.5], "peer": [9.0, 1.0, 1.0, 0.6, 1.0, 1.4]}

    def runner(name: str):
        turns = iter(lasts[name])

        def run() -> None:
            order.append(name)
            clock[0] += next(turns)

        return run

    ours, peer = race("sort", "5", {name: runner(name) for name in lasts}, device="cpu", repeats=5)
    assert order == ["ours", "peer"] * 6
    assert (ours.seconds, ours.ratio) == (pytest.approx(0.3), 1.0)
    assert ours.spread == pytest.approx((0.4 - 0.2) / 2 / 0.3)
    assert (peer.seconds, peer.ratio) == (pytest.approx(1.0), pytest.approx(1.0 / 0.3))


def test_who_is_slow_runs_twice(clock: list[float]) -> None:
    runs = {"ours": 0, "peer": 0}

    def run(name: str, seconds: float) -> None:
        runs[name] += 1
        clock[0] += seconds

    race("x", "1", {"ours": lambda: run("ours", 0.1), "peer": lambda: run("peer", 2.1)}, device="cpu", repeats=5)
    assert runs == {"ours": 6, "peer": 3}


def test_memory_is_what_a_run_adds() -> None:
    def run() -> None:
        # Straight from the system: malloc would hand out again what other tests have freed.
        with mmap.mmap(-1, 40 << 20) as held:
            for page in range(0, len(held), mmap.PAGESIZE):
                held[page] = 1

    (found,) = race("fill", "1", {"ours": run}, device="cpu", repeats=1)
    assert 30 < found.memory < 60


def test_markdown_has_a_row_per_measurement() -> None:
    made = as_markdown([Timing("knn", "16 of 64", "ours", 0.0125, 0.04, 3.2, None)])
    assert made.splitlines()[0] == "| what | size | by | ms | ± | MiB | ratio |"
    assert made.splitlines()[2] == "| knn | 16 of 64 | ours | 12.50 | 4 % | 3 |  |"


def test_points_of_the_knot_lie_on_its_tube() -> None:
    points = knot(500, 0)
    turn = np.linspace(0, 2 * np.pi, 20_000)
    middle = [np.sin(turn) + 2 * np.sin(2 * turn), np.cos(turn) - 2 * np.cos(2 * turn), -np.sin(3 * turn)]
    distance, _ = cKDTree(np.stack(middle, axis=1) / 3).query(points)
    assert distance.max() < 0.1201
    assert points.dtype == np.float32


def test_peers_find_the_same_neighbours() -> None:
    cloud = knot(800, 3)
    expected = cKDTree(cloud).query(cloud[:50], k=4)[1]
    for name, run in peers.neighbors(cloud[:50], cloud, 4, 1).items():
        assert np.array_equal(np.asarray(run()[1]), expected), name
