"""PLY in all its dialects, against hand-written files and NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dusnet.errors import BadInput
from dusnet.io import read_cloud, read_mesh, read_scalars

SQUARE = """ply
format ascii 1.0
comment a unit square as one polygon and one triangle
element vertex 4
property float x
property float y
property float z
element face 2
property list uchar int vertex_indices
end_header
0 0 0
1 0 0
1 1 0
0 1 0
4 0 1 2 3
3 0 2 1
"""


def write(folder: Path, content: str | bytes, name: str = "a.ply") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def binary_file(order: str, kind: str, points: np.ndarray, line_end: str = "\n", tail: bytes = b"") -> bytes:
    names = {"f4": "float", "f8": "double"}
    encoding = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    header = ["ply", f"format {encoding} 1.0", "obj_info by hand", f"element vertex {len(points)}"]
    header += [f"property {names[kind]} {axis}" for axis in "xyz"] + ["property short quality", "end_header", ""]
    dtype = np.dtype([("p", order + kind, (3,)), ("quality", order + "i2")])
    rows = np.zeros(len(points), dtype)
    rows["p"], rows["quality"] = points, np.arange(len(points)) - 2
    return line_end.join(header).encode() + rows.tobytes() + tail


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_binary_of_both_byte_orders(
    tmp_path: Path, rng: np.random.Generator, order: str, kind: str, line_end: str
) -> None:
    points = rng.normal(size=(50, 3)) * 1000
    cloud, scalars = read_scalars(write(tmp_path, binary_file(order, kind, points, line_end)))
    np.testing.assert_array_equal(cloud.points, points.astype(kind).astype(np.float64))
    assert cloud.points.dtype == np.float64
    np.testing.assert_array_equal(scalars["quality"], np.arange(50) - 2)


def test_doubles_of_map_size_are_exact(tmp_path: Path) -> None:
    points = np.array([[289814.15, 4320978.61, 170.76], [289814.150000001, 4320978.610000001, 170.76]])
    assert (read_cloud(write(tmp_path, binary_file("<", "f8", points))).points == points).all()
    text = "ply\nformat ascii 1.0\nelement vertex 2\n" + "".join(f"property float {a}\n" for a in "xyz")
    rows = "\n".join(" ".join(repr(float(v)) for v in p) for p in points)
    assert (read_cloud(write(tmp_path, f"{text}end_header\n{rows}\n")).points == points).all()


def test_normals_colours_and_other_properties_are_found_by_name(tmp_path: Path) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 2\n"
    for name in ("float nx", "float ny", "float nz", "uchar red", "uchar green", "uchar blue", "float x", "float y"):
        header += f"property {name}\n"
    header += "property float z\nproperty double Score\nend_header\n"
    path = write(tmp_path, header + "0 0 2 255 0 10 1 2 3 0.5\n0 3 4 1 1 1 4 5 6 -7\n")
    cloud, scalars = read_scalars(path)
    np.testing.assert_array_equal(cloud.points, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_allclose(cloud.normals, [[0, 0, 1], [0, 0.6, 0.8]])  # made unit length
    np.testing.assert_array_equal(cloud.colors, [[255, 0, 10], [1, 1, 1]])
    assert {name: list(values) for name, values in scalars.items()} == {"Score": [0.5, -7.0]}


@pytest.mark.parametrize(
    ("kind", "stored", "expected"),
    [
        ("float", "0 0.5 1", [0, 128, 255]),
        ("float", "0 127.6 255", [0, 128, 255]),
        ("ushort", "0 32768 65535", [0, 128, 255]),
    ],
)
def test_colours_of_other_depths(tmp_path: Path, kind: str, stored: str, expected: list[int]) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 1\n" + "".join(f"property float {a}\n" for a in "xyz")
    header += "".join(f"property {kind} {c}\n" for c in ("red", "green", "blue")) + "end_header\n"
    cloud = read_cloud(write(tmp_path, f"{header}1 2 3 {stored}\n"))
    assert cloud.colors is not None
    assert cloud.colors.tolist() == [expected]


def test_polygons_become_triangles_and_vertices_keep_their_order(tmp_path: Path) -> None:
    mesh = read_mesh(write(tmp_path, SQUARE))
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 2, 1]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("polygons", [[[0, 1, 2], [0, 2, 3]], [[0, 1, 2, 3], [0, 2, 1]]])
def test_binary_faces_before_the_vertices(tmp_path: Path, order: str, polygons: list[list[int]]) -> None:
    encoding = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    header = f"ply\nformat {encoding} 1.0\nelement face 2\nproperty list uchar int vertex_index\nproperty float q\n"
    header += "element vertex 4\nproperty double x\nproperty double y\nproperty double z\nend_header\n"
    faces = b"".join(
        np.array([len(p)], "u1").tobytes()
        + np.array(p, order + "i4").tobytes()
        + np.array([0.5], order + "f4").tobytes()
        for p in polygons
    )
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    mesh = read_mesh(write(tmp_path, header.encode() + faces + vertices.astype(order + "f8").tobytes()))
    np.testing.assert_array_equal(mesh.vertices, vertices)
    fans = [[p[0], p[i], p[i + 1]] for p in polygons for i in range(1, len(p) - 1)]
    assert mesh.faces.tolist() == fans


@pytest.mark.parametrize("mixed", [False, True])
def test_lists_with_fractions_such_as_texture_coordinates_are_skipped(tmp_path: Path, mixed: bool) -> None:
    text = SQUARE.replace("vertex_indices\n", "vertex_indices\nproperty list uchar float texcoord\n")
    last = "3 0 2 1 6 0 0 .5 0 .5 1\n"
    first = "4 0 1 2 3 2 0.25 0.5\n" if mixed else "3 0 1 2 6 0 0 .5 0 .5 .75\n"
    text = text.replace("4 0 1 2 3\n", first).replace("3 0 2 1\n", last)
    assert len(read_mesh(write(tmp_path, text)).faces) == (3 if mixed else 2)


def test_a_mesh_is_sampled_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, SQUARE)
    cloud = read_cloud(path, mesh_points=500, seed=3)
    assert len(cloud) == 500
    assert cloud.normals is not None
    assert any("mesh of 3 triangles" in note and "500" in note for note in cloud.notes)
    assert (read_cloud(path, mesh_points=500, seed=3).points == cloud.points).all()
    assert not (read_cloud(path, mesh_points=500, seed=4).points == cloud.points).all()
    vertices = read_cloud(path, as_vertices=True)
    assert len(vertices) == 4
    assert any("vertices" in note for note in vertices.notes)


def test_rows_without_finite_coordinates_are_dropped_and_counted(tmp_path: Path) -> None:
    points = np.arange(15.0).reshape(5, 3)
    points[1, 2], points[3, 0] = np.nan, np.inf
    cloud, scalars = read_scalars(write(tmp_path, binary_file("<", "f4", points)))
    np.testing.assert_array_equal(cloud.points, points[[0, 2, 4]])
    np.testing.assert_array_equal(scalars["quality"], [-2, 0, 2])
    assert cloud.notes == ("2 of 5 points had NaN or infinite coordinates and were dropped",)


HEAD = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("ply\nformat ascii 1.0\nend_header\n", "no vertices"),
        ("ply\nformat ascii 1.0\nelement face 0\nproperty list uchar int vertex_index\nend_header\n", "no vertices"),
        ("ply\nelement vertex 0\nproperty float x\nend_header\n", "format"),
        (HEAD.replace("property float z\n", "") + "end_header\n1 2\n3 4\n", "no x, y and z"),
        (HEAD + "end_header\n1 2 3\n", "truncated"),
        (HEAD + "end_header\n1 2 3\n4 5 6\n7 8 9\n", "more data"),
        (HEAD + "end_header\n1 2 3 9\n4 5 6 9\n", "more data"),
        (HEAD + "end_header\n1 2 3\n4 five 6\n", "not a number"),
        (HEAD + "end_header\n \n", "truncated"),
        (HEAD + "1 2 3\n", "within its header"),
        (HEAD.replace("float y", "string y") + "end_header\n", "header line"),
        (HEAD.replace("vertex 2", "vertex -2") + "end_header\n", "header line"),
        (HEAD.replace("vertex 2", "vertex two") + "end_header\n", "header line"),
        (HEAD.replace("ascii", "morse") + "end_header\n", "header line"),
        (HEAD.replace("vertex 2", "vertex 0") + "end_header\n", "no points"),
        (HEAD + "end_header\nnan 0 0\n0 inf 0\n", "all with NaN"),
        (SQUARE.replace("3 0 2 1", "3 0 2 4"), "do not exist"),
        (SQUARE.replace("3 0 2 1", "3 0 2 -1"), "do not exist"),
        (SQUARE.replace("3 0 2 1", "3 0 2 1.5"), "fractions"),
        (SQUARE.replace("3 0 2 1", "7 0 2 1"), "truncated"),
        (SQUARE.replace("3 0 2 1", "-3 0 2 1"), "list length"),
        ("# .PCD v0.7\n", "does not start like a PLY"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, content: str, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(BadInput) as caught:
        read_cloud(path)
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    assert "\n" not in message


def test_binary_data_beyond_the_header_is_refused(tmp_path: Path) -> None:
    points = np.ones((4, 3))
    read_cloud(write(tmp_path, binary_file("<", "f4", points, tail=b"\n")))
    with pytest.raises(BadInput, match="more data"):
        read_cloud(write(tmp_path, binary_file("<", "f4", points, tail=b"\x00\x00\x80\x3f")))


def test_an_absurd_count_is_refused_without_memory_for_it(tmp_path: Path) -> None:
    content = binary_file("<", "f4", np.ones((4, 3))).replace(b"vertex 4", b"vertex 400000000000000")
    with pytest.raises(BadInput, match="truncated"):
        read_cloud(write(tmp_path, content))


def test_a_mesh_is_needed_where_a_cloud_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, binary_file("<", "f4", np.ones((4, 3))))
    with pytest.raises(BadInput, match="no faces"):
        read_mesh(path)
