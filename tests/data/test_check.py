"""What `check` finds out about scans."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dusnet.cloud import PointCloud
from dusnet.data.check import inspect_scan, inspect_scans, plausible_units
from dusnet.io import write_cloud


def grid(step: float = 1.0, side: int = 30) -> np.ndarray:
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    return np.stack([x.ravel(), y.ravel(), 0.5 * (x.ravel() % 2)], axis=1) * step + 1.0


def save(folder: Path, points: np.ndarray, name: str = "a.ply", **extras: np.ndarray) -> Path:
    path = folder / name
    write_cloud(path, PointCloud(points, **extras))
    return path


def test_a_good_scan(tmp_path: Path) -> None:
    points = grid()
    report = inspect_scan(save(tmp_path, points, normals=np.tile([0, 0, 1.0], (900, 1))))
    assert report.usable
    assert (report.points, report.triangles, report.non_finite, report.duplicates) == (900, 0, 0, 0.0)
    assert report.extent == (29.0, 29.0, 0.5)
    assert report.diagonal == pytest.approx(np.sqrt(29**2 + 29**2 + 0.25))
    assert report.spacing == pytest.approx(1.0)  # along the columns
    assert report.normals
    assert not report.colors
    assert report.warnings == ()
    assert report.plausible_units == ("mm", "cm", "in")
    assert "900 points, normals" in report.lines()[0]
    assert json.loads(json.dumps(report.as_dict()))["usable"] is True


def test_duplicates_and_empty_pixels_are_counted(tmp_path: Path) -> None:
    points = grid()
    points[100:300] = points[300:500]
    points[:50] = np.nan
    report = inspect_scan(save(tmp_path, points))
    assert report.points == 850
    assert report.non_finite == 50
    assert report.duplicates == pytest.approx(200 / 850)
    assert any("24% of the points repeat" in warning for warning in report.warnings)
    assert any("50 of 900" in note for note in report.notes)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (grid(side=10), "only 100 points"),
        (grid(1e6), "no usual part"),
        (grid(1e-7), "no usual part"),
        (np.vstack([grid(), np.full((1000, 3), np.nan)]), "more than half"),
        (np.vstack([grid(), np.zeros((1000, 3))]), "more than half"),
        ((grid(0.02) + 4.3e5).astype(np.float32).astype(np.float64), "single precision with steps of 0.031"),
    ],
)
def test_what_looks_wrong_is_warned_about(tmp_path: Path, points: np.ndarray, says: str) -> None:
    report = inspect_scan(save(tmp_path, points))
    assert report.usable
    assert [warning for warning in report.warnings if says in warning]
    assert [line for line in report.lines() if "warning: " in line and says in line]


def test_doubles_far_from_the_origin_are_fine(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    report = inspect_scan(save(tmp_path, grid(0.02) + 4.3e5 + rng.normal(size=(900, 3)) * 1e-4))
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (grid()[:3], "at least 4"),
        (np.ones((50, 3)), "identical"),
        (np.outer(np.arange(50.0), [1, 2, 3]), "straight line"),
        (np.full((9, 3), np.nan), "all with NaN"),
    ],
)
def test_what_cannot_be_used_is_an_error(tmp_path: Path, points: np.ndarray, says: str) -> None:
    path = save(tmp_path, points)
    report = inspect_scan(path)
    assert not report.usable
    assert report.error is not None
    assert says in report.error
    assert report.lines() == [f"{path}: UNUSABLE", f"  {report.error}"]


def test_meshes(tmp_path: Path) -> None:
    path = tmp_path / "a.off"
    path.write_text("OFF\n4 2 0\n0 0 0\n30 0 0\n0 40 0\n0 0 5\n3 0 1 2\n3 0 1 3\n")
    report = inspect_scan(path)
    assert report.usable
    assert (report.triangles, report.points, report.spacing) == (2, 4, None)
    assert report.warnings == ()
    assert "mesh, 2 triangles, 4 vertices" in report.lines()[0]
    path.write_text("OFF\n4 1 0\n0 0 0\n30 0 0\n0 40 0\n0 0 5\n3 0 1 1\n")
    assert "no surface" in str(inspect_scan(path).error)


def test_several_scans_are_compared(tmp_path: Path) -> None:
    paths = [save(tmp_path, grid() + 0.01 * i, f"s{i}.ply") for i in range(4)]
    assert inspect_scans(paths).warnings == ()
    paths.append(save(tmp_path, grid(0.1), "small.ply"))
    paths.append(save(tmp_path, grid(29 / 299, side=300), "dense.ply"))
    paths.append(save(tmp_path, grid() + 0.01, "copy.pcd"))
    mesh = tmp_path / "mesh.off"
    mesh.write_text("OFF\n3 1 0\n0 0 0\n30 0 0\n0 30 0\n3 0 1 2\n")
    report = inspect_scans(iter([*paths, mesh]))
    assert report.usable
    text = "\n".join(report.warnings)
    assert len(report.warnings) == 4
    assert f"{tmp_path / 'small.ply'} is about 10 times smaller than the median" in text
    assert f"{tmp_path / 'dense.ply'} has 90000 points where the median is 900" in text
    assert f"{tmp_path / 'copy.pcd'} holds the same points as {tmp_path / 's1.ply'}" in text
    assert "1 of 8 files are meshes" in text
    assert report.lines()[-1] == "8 files, 0 unusable"


def test_one_bad_file_makes_the_whole_unusable_but_hides_nothing(tmp_path: Path) -> None:
    good = save(tmp_path, grid())
    bad = tmp_path / "bad.ply"
    bad.write_bytes(good.read_bytes()[:-1])
    report = inspect_scans([bad, tmp_path / "missing.ply", good])
    assert not report.usable
    assert [scan.usable for scan in report.scans] == [False, False, True]
    assert report.lines()[-1] == "3 files, 2 unusable"
    assert json.loads(json.dumps(report.as_dict()))["usable"] is False
    assert not inspect_scans([]).usable


@pytest.mark.parametrize(
    ("diagonal", "units"),
    [(0.001, ()), (0.2, ("in", "m")), (1.0, ("cm", "in", "m")), (300.0, ("mm", "cm")), (1e5, ())],
)
def test_plausible_units(diagonal: float, units: tuple[str, ...]) -> None:
    assert plausible_units(diagonal) == units


def test_repeated_and_stray_points_are_counted_and_do_not_change_the_size(tmp_path):
    points = np.random.default_rng(0).uniform(0, 50, (2000, 3)) * [1.0, 1.0, 0.1]
    plain, odd = tmp_path / "plain.ply", tmp_path / "odd.ply"
    write_cloud(plain, PointCloud(points))
    write_cloud(odd, PointCloud(np.concatenate([points, points[:500], [[4000.0, 0.0, 0.0]]])))
    clean, found = inspect_scan(plain), inspect_scan(odd)
    assert (clean.duplicates, clean.stray) == (0.0, 0)
    assert found.duplicates == pytest.approx(500 / 2501)
    assert found.stray == 1
    assert found.extent == clean.extent
    assert found.spacing == clean.spacing
    assert found.notes == (
        "500 points repeat another point and are left out",
        "1 stray point lies far from all others and is left out",
    )
