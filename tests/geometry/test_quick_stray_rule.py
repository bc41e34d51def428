"""The quick way to see that no point of a scan is stray never differs from the whole rule, and needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dusnet.geometry.clean_scan import STRAY_NEIGHBORS, _none_is_stray, stray_points

Points = NDArray[np.float64]

CHECK = """
import json, sys
from dusnet.geometry.clean_scan import CleanScan
from pathlib import Path
from dusnet.cli import main
from dusnet.io import read_cloud
main(["check", sys.argv[1]])
loaded = "torch" in sys.modules
clean = CleanScan.of(read_cloud(Path(sys.argv[1])))
print(json.dumps([loaded, clean.stray, clean.repeated]))
"""


def sphere(count: int, seed: int) -> Points:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def grid(rows: int, columns: int, *, sheared: bool) -> Points:
    """A grid, where distances are equal; sheared, all six neighbours are equally far."""
    x, y = np.meshgrid(np.arange(columns, dtype=float), np.arange(rows, dtype=float))
    if sheared:
        x, y = x + 0.5 * y, y * np.sqrt(0.75)
    return np.c_[x.ravel(), y.ravel(), np.zeros(x.size)] / max(rows, columns)


def unit(points: Points) -> Points:
    """As the rule sees a scan."""
    center = np.median(points, axis=0)
    return np.asarray((points - center) / np.abs(points - center).max())


@settings(max_examples=120, deadline=None)
@given(
    count=st.integers(12, 400),
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(["sphere", "box", "line", "clumps", "grid", "sheared", "near"]),
    strays=st.integers(0, 7),
    away=st.sampled_from([0.01, 0.1, 0.5, 3.0, 1e4]),
)
def test_what_the_quick_way_passes_has_no_stray_point(
    count: int, seed: int, shape: str, strays: int, away: float
) -> None:
    rng = np.random.default_rng(seed)
    made = {
        "sphere": lambda: sphere(count, seed),
        "box": lambda: rng.uniform(size=(count, 3)),
        "line": lambda: np.c_[np.sort(rng.uniform(size=count)), np.zeros((count, 2))],
        "clumps": lambda: (rng.uniform(size=(count // 4 + 1, 1, 3)) + rng.normal(scale=1e-3, size=(1, 4, 3))).reshape(
            -1, 3
        ),
        "grid": lambda: grid(5, count // 4 + 3, sheared=False),
        "sheared": lambda: grid(5, count // 4 + 3, sheared=True),
        "near": lambda: np.concatenate([sphere(count, seed), sphere(count, seed) * (1 + 1e-15)]),
    }[shape]()
    place = rng.normal(size=3)
    place *= (1 + away) / np.linalg.norm(place)
    points = unit(np.concatenate([made, place + rng.normal(scale=0.003, size=(strays, 3))]))
    if _none_is_stray(points):
        assert not stray_points(points).any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [500, 4000])
def test_usual_scans_are_passed_and_stray_points_never(count: int, seed: int) -> None:
    points = sphere(count, seed)
    assert _none_is_stray(points)
    assert _none_is_stray(unit(grid(30, 40, sheared=False)))
    for strays in range(1, STRAY_NEIGHBORS + 1):
        far = np.array([2.0, 0, 0]) + 0.01 * sphere(strays, seed)
        assert not _none_is_stray(unit(np.concatenate([points, far])))


@pytest.mark.parametrize(("strays", "loaded"), [(0, False), (2, True)])
def test_check_loads_torch_only_where_a_point_may_be_stray(tmp_path: Path, strays: int, loaded: bool) -> None:
    part, far = 50 * sphere(2000, 1), np.array([[0.0, 0.0, 300.0], [1.0, 0.0, 300.0]])
    np.save(tmp_path / "scan.npy", np.concatenate([part, part[:30], far[:strays]]))
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path / "scan.npy")], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [loaded, strays, 30]
