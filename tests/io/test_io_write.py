"""Writing: round trips, other libraries as readers, atomic replacement."""

from __future__ import annotations

import errno
import json
import stat
from pathlib import Path

import numpy as np
import pytest

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput, MissingDependency
from dusnet.io import atomic_path, read_scalars, write_cloud, write_json, write_text
from dusnet.open3d_import import open3d


@pytest.fixture
def cloud(rng: np.random.Generator) -> PointCloud:
    normals = rng.normal(size=(200, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    colors = rng.integers(0, 256, (200, 3)).astype(np.uint8)
    return PointCloud(rng.normal(size=(200, 3)), normals=normals, colors=colors)


@pytest.mark.parametrize("suffix", [".ply", ".pcd", ".xyz"])
@pytest.mark.parametrize("offset", [0.0, 4_320_978.61])
def test_round_trip(tmp_path: Path, cloud: PointCloud, rng: np.random.Generator, suffix: str, offset: float) -> None:
    cloud = PointCloud(cloud.points + offset, cloud.normals, cloud.colors)
    scores = rng.normal(size=200).astype(np.float32)
    scores[3] = np.nan
    scalars = {"anomaly_score": scores, "region": np.arange(-3, 197), "is_defect": scores > 0}
    path = tmp_path / "new folder" / f"a{suffix}"
    write_cloud(path, cloud, scalars=scalars)
    again, found = read_scalars(path)
    if offset:
        np.testing.assert_array_equal(again.points, cloud.points)
    else:
        np.testing.assert_allclose(again.points, cloud.points, atol=1e-6 * np.ptp(cloud.points))
    assert again.normals is not None
    np.testing.assert_allclose(again.normals, cloud.normals, atol=1e-6)
    np.testing.assert_array_equal(again.colors, cloud.colors)
    assert list(found) == list(scalars)
    for name, values in scalars.items():
        np.testing.assert_array_equal(found[name].astype(np.float32), values.astype(np.float32))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_header_of_a_scored_file(tmp_path: Path, cloud: PointCloud) -> None:
    path = tmp_path / "a.ply"
    write_cloud(path, cloud, scalars={"anomaly_score": np.zeros(200)})
    header = path.read_bytes().split(b"end_header\n")[0].decode()
    assert "format binary_little_endian 1.0\n" in header
    assert "element vertex 200\nproperty float x\n" in header
    assert header.endswith("property uchar blue\nproperty float anomaly_score\n")
    far = PointCloud(cloud.points + 1e6)
    write_cloud(path, far)
    assert b"property double x\n" in path.read_bytes()


def test_trimesh_reads_what_is_written(tmp_path: Path, cloud: PointCloud) -> None:
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / "a.ply"
    write_cloud(path, cloud, scalars={"anomaly_score": np.arange(200.0)})
    read = trimesh.load(path, process=False)
    np.testing.assert_allclose(read.vertices, cloud.points, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(read.colors)[:, :3], cloud.colors)
    stored = read.metadata["_ply_raw"]["vertex"]["data"]["anomaly_score"]
    np.testing.assert_array_equal(np.asarray(stored).ravel(), np.arange(200))


# Doubles in PCD are left out: Open3D reads them as zeros.
@pytest.mark.parametrize(
    ("suffix", "offset"), [(".ply", 0.0), (".ply", 1e6), (".pcd", 0.0), (".xyz", 0.0), (".xyz", 1e6)]
)
def test_open3d_reads_what_is_written(tmp_path: Path, cloud: PointCloud, suffix: str, offset: float) -> None:
    try:
        o3d = open3d()
    except MissingDependency as missing:
        pytest.skip(str(missing))
    path = tmp_path / f"a{suffix}"
    points = cloud.points + offset
    bare = suffix == ".xyz"  # Open3D's XYZ has coordinates only
    write_cloud(path, PointCloud(points) if bare else PointCloud(points, cloud.normals, cloud.colors))
    read = o3d.io.read_point_cloud(str(path))
    np.testing.assert_allclose(np.asarray(read.points), points, atol=1e-6)
    if not bare:
        np.testing.assert_allclose(np.asarray(read.normals), cloud.normals, atol=1e-6)
        np.testing.assert_allclose(np.asarray(read.colors) * 255, cloud.colors, atol=1e-3)


def test_open3d_reads_the_scores(tmp_path: Path, cloud: PointCloud) -> None:
    try:
        o3d = open3d()
    except MissingDependency as missing:
        pytest.skip(str(missing))
    path = tmp_path / "a.ply"
    write_cloud(path, cloud, scalars={"anomaly_score": np.linspace(0, 1, 200)})
    read = o3d.t.io.read_point_cloud(str(path))
    np.testing.assert_allclose(read.point["anomaly_score"].numpy().ravel(), np.linspace(0, 1, 200), atol=1e-6)


@pytest.mark.parametrize(
    ("scalars", "says"),
    [
        ({"x": np.zeros(200)}, "taken"),
        ({"two words": np.zeros(200)}, "taken or has"),
        ({"score": np.zeros(199)}, "must be"),
        ({"score": np.zeros(200, complex)}, "type"),
        ({"score": np.full(200, 2**40)}, "type"),
    ],
)
def test_a_wrong_scalar_leaves_the_old_file(
    tmp_path: Path, cloud: PointCloud, scalars: dict[str, np.ndarray], says: str
) -> None:
    path = tmp_path / "a.ply"
    path.write_text("old")
    with pytest.raises(ValueError, match=says):
        write_cloud(path, cloud, scalars=scalars)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_an_unknown_format_is_refused(tmp_path: Path, cloud: PointCloud) -> None:
    with pytest.raises(BadInput, match=r"\.ply, \.pcd, \.xyz"):
        write_cloud(tmp_path / "a.las", cloud)


def test_an_atomic_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"a": [1, 2.5, None, "ü"]})
    assert json.loads(target.read_text(encoding="utf-8")) == {"a": [1, 2.5, None, "ü"]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, {"a": float("nan")})

    def stop_half_way() -> None:
        with atomic_path(target) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".json"
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        stop_half_way()
    assert json.loads(target.read_text(encoding="utf-8"))["a"][0] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        write_text(tmp_path / "folder.txt", "x")
    with pytest.raises(BadInput, match="make room"), atomic_path(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.txt"]


def test_a_written_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "a.txt", "x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a.txt")}
    assert len(modes) == 1
