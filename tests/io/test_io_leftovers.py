"""Files that hold more, less or other than they say, and rows that are no points."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dusnet.cloud import PointCloud
from dusnet.data.check import inspect_scan
from dusnet.errors import BadInput
from dusnet.io import read_cloud, read_labelled_points, read_mesh, read_scalars, write_cloud

POINTS = np.round(np.random.default_rng(3).normal(size=(30, 3)) * 90, 3)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def pcd(count: int, encoding: str, body: bytes, fields: str = "x y z") -> bytes:
    width = len(fields.split())
    lines = [f"FIELDS {fields}", "SIZE" + " 4" * width, "TYPE" + " F" * width, f"WIDTH {count}", "HEIGHT 1"]
    return "\n".join(["VERSION 0.7", *lines, f"POINTS {count}", f"DATA {encoding}\n"]).encode() + body


def lzf(content: bytes) -> bytes:
    packed = b"".join(bytes([len(content[i : i + 32]) - 1]) + content[i : i + 32] for i in range(0, len(content), 32))
    return struct.pack("<II", len(packed), len(content)) + packed


def text_stl(facets: int, corners: int = 3) -> str:
    rows = "".join(f"vertex {x} {y} {z}\n" for x, y, z in POINTS[:corners])
    return "solid a\n" + f"facet normal 0 0 1\nouter loop\n{rows}endloop\nendfacet\n" * facets + "endsolid a\n"


BINARY = POINTS.astype("<f4").tobytes()
PLY = b"ply\nformat binary_little_endian 1.0\nelement vertex 30\n" + b"".join(
    b"property float %c\n" % axis for axis in b"xyz"
)
LONGER = {
    "a.pcd": pcd(15, "binary", BINARY),
    "b.pcd": pcd(15, "binary_compressed", lzf(POINTS[:15].T.astype("<f4").tobytes()) + b"\5rest of it"),
    "c.pcd": pcd(15, "ascii", "".join(f"{x} {y} {z}\n" for x, y, z in POINTS[:16]).encode()),
    "a.ply": PLY + b"end_header\n" + BINARY + BINARY[:12],
    "a.stl": b"\0" * 80 + struct.pack("<I", 1) + b"\1" * 100,
    "b.stl": (text_stl(1) + "facet normal 0 0 1\n").encode(),
    "c.stl": text_stl(1, corners=4).encode(),
    "a.off": b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n3 0 1 2\n",
}


@pytest.mark.parametrize("name", LONGER)
def test_more_than_the_header_says_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=name):
        read_cloud(write(tmp_path, name, LONGER[name]))


def test_arrays_with_something_behind_them_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as stream:
        np.save(stream, POINTS)
        np.save(stream, POINTS)
    with pytest.raises(BadInput, match="more data"):
        read_cloud(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadInput, match="truncated"):
        read_cloud(path)


def test_a_text_stl_may_end_with_an_old_end_of_file_mark(tmp_path: Path) -> None:
    for end in ("", "\n\n", "\x1a", "\0\0\0"):
        assert len(read_mesh(write(tmp_path, "a.stl", text_stl(2) + end)).faces) == 2
    two = write(tmp_path, "b.stl", text_stl(2) + text_stl(1).replace("solid a", "SOLID b"))
    assert len(read_mesh(two).faces) == 3


@pytest.mark.parametrize("padding", [b"", b"\n", b"\r\n", b"\0" * 500, b"  \n\n"])
def test_padding_behind_the_data_is_no_data(tmp_path: Path, padding: bytes) -> None:
    stored = POINTS.astype("<f4").astype(float)
    for name, content in {
        "a.pcd": pcd(30, "binary", BINARY),
        "b.pcd": pcd(30, "binary_compressed", lzf(POINTS.T.astype("<f4").tobytes())),
        "a.ply": PLY + b"end_header\n" + BINARY,
    }.items():
        np.testing.assert_array_equal(read_cloud(write(tmp_path, name, content + padding)).points, stored)


def comma_rows(digits: int) -> str:
    return "".join(",".join(f"{v:.{digits}f}".replace(".", ",") for v in row) + "\n" for row in POINTS)


@pytest.mark.parametrize(
    "text",
    [
        comma_rows(3),
        comma_rows(2),
        comma_rows(1),
        "x,y,z\n" + comma_rows(3),
        "12,5,-3,25,7,125\n-0,5,4,5,6,5\n",  # no fixed number of digits, but a negative zero
        "12,5,-3,25,7,125\n13,4,5,6,5\n",  # a whole number makes the row shorter
        "12,8968\t-26,8654\t5,0\n1,5\t2,5\t3,5\n",
        "1,5 2 3,25\n4 5,5 6\n",
    ],
)
def test_decimal_commas_between_commas_or_spaces_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="decimal commas"):
        read_cloud(write(tmp_path, "a.txt", text))


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"{i},{2 * i},{3 * i},{i % 256},{9 * i % 256},255\n" for i in range(40)),  # whole points with colours
        "".join(f"{i % 4},{i // 4},0,0,0,1\n" for i in range(1, 40)),
        "".join(f"{i},{i % 7},5,1\n" for i in range(1, 40)),
        "".join(f"{i:05d},{i % 7},{i},{i % 3},1,7\n" for i in range(1, 40)),
    ],
)
def test_whole_numbers_between_commas_are_points(tmp_path: Path, text: str) -> None:
    expected = np.loadtxt(text.splitlines(), delimiter=",")[:, :3]
    np.testing.assert_array_equal(read_cloud(write(tmp_path, "a.csv", text)).points, expected)


@pytest.mark.parametrize("mark", [",", ";", " ", "\t"])
def test_a_height_map_is_no_cloud(tmp_path: Path, mark: str) -> None:
    grid = np.random.default_rng(0).normal(5, 1, (30, 64))
    path = write(tmp_path, "a.csv", "".join(mark.join(f"{v:.3f}" for v in row) + "\n" for row in grid))
    with pytest.raises(BadInput, match="64 columns without names, as height maps have"):
        read_cloud(path)
    path = write(tmp_path, "a.asc", "ncols 3\nnrows 2\nxllcorner 0\nyllcorner 0\ncellsize 1\n1 2 3\n4 5 6\n")
    with pytest.raises(BadInput, match="height map"):
        read_cloud(path)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.xyz", "# note\n1 2 3\n\n4 5 6\n7 eight 9\n1 2 3\n", 5),
        ("a.csv", "x,y,z\n1,2.5,3\n4,5,6\n7,8\n", 4),
        ("a.csv", "1.5,2,3\n4,5,6,7\n", 2),
        ("a.obj", "v 1 2 3\n# note\nv 1 2 \\\n 3\nv 4 5 six\n", 5),
        ("a.obj", "v 1 2 3\nf 1 1 0\n", 2),
        ("a.off", "OFF\n# note\n2 0 0\n1 2 3\n4 5 6x\n", 5),
        ("a.stl", "solid a\nfacet normal 0 0 1\nouter loop\nvertex 1 2\n", 4),
        ("a.ply", "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
                  "end_header\n1 2 3\n4 . 6\n", 9),
        ("a.pcd", pcd(2, "ascii", b"1 2 3\n4 5 6a\n").decode(), 10),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, name: str, content: str, line: int) -> None:
    with pytest.raises(BadInput, match=rf"line {line}\b"):
        read_cloud(write(tmp_path, name, content))


def test_a_vertex_with_a_weight_is_divided_by_it(tmp_path: Path) -> None:
    weights = 2.0 ** np.arange(30)[:, None]
    rows = "".join("v {} {} {} {}\n".format(*row) for row in np.hstack([weights * POINTS, weights]).tolist())
    cloud = read_cloud(write(tmp_path, "a.obj", rows))
    np.testing.assert_array_equal(cloud.points, POINTS)
    assert "29 vertices have a fourth number" in cloud.notes[0]
    same = read_cloud(write(tmp_path, "b.obj", "v 1 2 3 1.0 # one\nv 4 5 6 0.1 0.2 0.3\n"))
    assert same.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert same.notes == ()
    for bad in ("v 1 2 3 0", "v 1 2 3 nan", "v 1 2 3 4 5", "v 1 2", "v 1_0 2 3", "1 2 3"):
        with pytest.raises(BadInput, match="line 2"):
            read_cloud(write(tmp_path, "c.obj", f"v 1 2 3\n{bad}\n"))


@pytest.mark.parametrize("rows", ["0 0\n1 0\n0 1\n", "0 0 0\n1 0\n0 1 0\n", "0\n0\n1\n"])
def test_an_off_vertex_needs_three_numbers(tmp_path: Path, rows: str) -> None:
    with pytest.raises(BadInput, match="line"):
        read_mesh(write(tmp_path, "a.off", f"OFF\n3 1 0\n{rows}3 0 1 2\n"))


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_fields_that_are_there_twice_are_refused(tmp_path: Path, encoding: str) -> None:
    both = np.hstack([POINTS, POINTS + 1]).astype("<f4")
    body = {
        "ascii": "".join(" ".join(map(str, row)) + "\n" for row in both.tolist()).encode(),
        "binary": both.tobytes(),
        "binary_compressed": lzf(both.T.tobytes()),
    }[encoding]
    with pytest.raises(BadInput, match="more than one column called x, y, z"):
        read_cloud(write(tmp_path, "a.pcd", pcd(30, encoding, body, "x y z X Y Z")))
    header = PLY.replace(b"binary_little_endian", b"ascii") + b"property float x\nend_header\n"
    with pytest.raises(BadInput, match="more than one column called x"):
        read_cloud(write(tmp_path, "a.ply", header + b"1 2 3 4\n" * 30))


def with_zeros(rows: list[int]) -> np.ndarray:
    points = POINTS.copy()
    points[rows] = 0.0
    return points


def save_npy(path: Path, points: np.ndarray) -> None:
    np.save(path, points)


def save_text(path: Path, points: np.ndarray) -> None:
    np.savetxt(path, points)


@pytest.mark.parametrize(("suffix", "save"), [(".npy", save_npy), (".xyz", save_text)])
def test_empty_pixels_are_dropped_and_counted(
    tmp_path: Path, suffix: str, save: Callable[[Path, np.ndarray], None]
) -> None:
    points = with_zeros([3, 4, 20])
    points[20] = -0.0
    points[7] = np.nan
    path = tmp_path / f"a{suffix}"
    save(path, points)
    cloud = read_cloud(path)
    np.testing.assert_array_equal(cloud.points, np.delete(POINTS, [3, 4, 7, 20], axis=0))
    assert "1 of 30 points had NaN" in cloud.notes[0]
    assert "3 of 30 points were exactly 0, 0, 0" in cloud.notes[1]
    report = inspect_scan(path)
    assert (report.points, report.non_finite, report.empty) == (26, 1, 3)
    assert any("3 of 30 points are exactly 0, 0, 0" in note for note in report.notes)
    assert report.duplicates == 0.0


def test_one_point_at_the_origin_stays(tmp_path: Path) -> None:
    points = with_zeros([5])
    save_npy(tmp_path / "a.npy", points)
    cloud = read_cloud(tmp_path / "a.npy")
    np.testing.assert_array_equal(cloud.points, points)
    assert cloud.notes == ()
    assert inspect_scan(tmp_path / "a.npy").empty == 0


def test_what_belongs_to_an_empty_pixel_goes_with_it(tmp_path: Path) -> None:
    points = with_zeros([0, 9])
    colors = np.arange(90, dtype=np.uint8).reshape(30, 3)
    normals = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
    for suffix in (".ply", ".pcd"):
        path = tmp_path / f"a{suffix}"
        write_cloud(path, PointCloud(points, normals, colors), scalars={"anomaly_score": np.arange(30.0)})
        cloud, scalars = read_scalars(path)
        rest = np.delete(np.arange(30), [0, 9])
        assert scalars["anomaly_score"].tolist() == rest.tolist()
        assert cloud.normals is not None
        np.testing.assert_array_equal(cloud.colors, colors[rest])
        np.testing.assert_allclose(cloud.normals, normals[rest], atol=1e-6)


def test_a_cloud_of_nothing_but_empty_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for points, says in (
        (np.zeros((9, 3)), "9 points, all at exactly 0, 0, 0"),
        (np.vstack([np.zeros((9, 3)), np.full((2, 3), np.nan)]), "11 points, 9 at exactly 0, 0, 0 and 2 with NaN"),
    ):
        save_npy(path, points)
        with pytest.raises(BadInput, match=says):
            read_cloud(path)
        assert says in str(inspect_scan(path).error)


def test_vertices_of_a_mesh_are_no_pixels(tmp_path: Path) -> None:
    path = write(tmp_path, "a.obj", "v 0 0 0\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 3 4\nf 2 4 3\n")
    assert len(read_cloud(path, as_vertices=True)) == 4
    assert len(read_mesh(path).vertices) == 4
    assert inspect_scan(path).empty == 0


def test_ground_truth_loses_the_same_empty_pixels_as_its_scan(tmp_path: Path) -> None:
    points = with_zeros([2, 8, 9])
    labels = np.arange(30) % 2
    np.savetxt(tmp_path / "gt.txt", np.column_stack([points, labels]))
    save_npy(tmp_path / "a.npy", points)
    found, marked = read_labelled_points(tmp_path / "gt.txt")
    np.testing.assert_array_equal(found, read_cloud(tmp_path / "a.npy").points)
    np.testing.assert_array_equal(marked, np.delete(labels, [2, 8, 9]) == 1)
    np.savetxt(tmp_path / "gt.txt", np.zeros((5, 4)))
    assert len(read_labelled_points(tmp_path / "gt.txt")[0]) == 5  # no scan to match; its use as a scan is refused
