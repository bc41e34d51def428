"""Text tables, NumPy arrays and the mesh formats other than PLY."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dusnet.errors import BadInput
from dusnet.io import Mesh, read_cloud, read_labelled_points, read_mesh, read_scalars, sample_mesh

trimesh = pytest.importorskip("trimesh")


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


EXPECTED = [[1.5, -2.0, 3.25], [4.0, 5e-3, 6.0]]


@pytest.mark.parametrize(
    "text",
    [
        "1.5 -2 3.25\n4 5e-3 6\n",
        "1.5,-2,3.25\n4,5e-3,6\n",
        "1.5, -2, 3.25,\n4, 5e-3, 6,\n",
        "1.5;-2;3.25\r\n4;5e-3;6\r\n",
        "1,5;-2;3,25\n4;0,005;6\n",
        "\t1.5\t-2\t3.25 \n\n4\t5e-3\t6\n\n",
        "# exported by hand\n1.5 -2 3.25\n# a note in between\n4 5e-3 6\n",
        "//X Y Z\n1.5 -2 3.25\n4 5e-3 6\n",
        "x,y,z\n1.5,-2,3.25\n4,5e-3,6\n",
        '"x [mm]","y [mm]","z (mm)"\n"1.5","-2","3.25"\n"4","5e-3","6"\n',
        "id z y x\n7 3.25 -2 1.5\n8 6 5e-3 4\n",
        "quality,Points:0,Points:1,Points:2\n0,1.5,-2,3.25\n1,4,5e-3,6\n",
        "\ufeff1.5 -2 3.25\n4 5e-3 6\n",
        "2\n1.5 -2 3.25\n4 5e-3 6\n",
    ],
)
@pytest.mark.parametrize("suffix", [".xyz", ".txt"])
def test_text_with_any_delimiter_and_header(tmp_path: Path, text: str, suffix: str) -> None:
    cloud = read_cloud(write(tmp_path, "a" + suffix, text))
    assert cloud.points.tolist() == EXPECTED
    assert cloud.notes == ()


def test_columns_without_names_are_ignored_aloud(tmp_path: Path) -> None:
    cloud = read_cloud(write(tmp_path, "a.asc", "1.5 -2 3.25 0 1\n4 5e-3 6 1 1\n"))
    assert cloud.points.tolist() == EXPECTED
    assert cloud.notes == ("2 columns after the first three were ignored",)


def test_named_columns_of_text_are_used(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "x,y,z,nx,ny,nz,R,G,B,score\n1,2,3,0,0,1,255,0,7,0.5\n4,5,6,1,0,0,1,2,3,0.25\n")
    cloud, scalars = read_scalars(path)
    assert cloud.normals is not None
    assert cloud.colors is not None
    assert cloud.normals.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert cloud.colors.tolist() == [[255, 0, 7], [1, 2, 3]]
    assert scalars["score"].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 2 3\n4 5\n", "like its first one"),
        ("1 2 3\n4 5 6 7\n", "like its first one"),
        ("1 2 3\n4 five 6\n", "like its first one"),
        ("1 2\n3 4\n", "no rows"),
        ("some\nwords\nonly\n", "no rows"),
        ("\n\n", "no rows"),
        ("3\n1 2 3\n4 5 6\n", "announces 3 points but holds 2"),
        ("x,y,z\n1,2,3,4\n5,6,7,8\n", "3 names"),
        ("1 2 3\n\0\0\0", "not text"),
        ("nan nan nan\n", "all with NaN"),
    ],
)
def test_damaged_text_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, "a.xyz", text)
    with pytest.raises(BadInput, match=says) as caught:
        read_cloud(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["1,2,3,0\n4,5,6,1\n7,8,9,0.4\n", "1 2 3 0.0\n4 5 6 1.0\n7 8 9 0.5\n"])
def test_ground_truth_of_either_delimiter(tmp_path: Path, text: str) -> None:
    points, labels = read_labelled_points(write(tmp_path, "gt.txt", text))
    assert points.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert labels.dtype == np.bool_
    assert labels.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 2 3\n4 5 6\n", "3 columns"),
        ("1 2 3 0\nnan 5 6 1\n", "1 rows"),
        ("1 2 3 nan\n4 5 6 1\n", "1 rows"),
        ("", "empty"),
    ],
)
def test_bad_ground_truth_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read_labelled_points(write(tmp_path, "gt.txt", text))


def test_arrays(tmp_path: Path, rng: np.random.Generator) -> None:
    points = rng.normal(size=(20, 3)) + 1e6
    np.save(tmp_path / "a.npy", points)
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.npy").points, points)
    np.save(tmp_path / "b.npy", np.asfortranarray(np.hstack([points, points]).astype(">f4")))
    cloud = read_cloud(tmp_path / "b.npy")
    np.testing.assert_array_equal(cloud.points, points.astype("f4"))
    assert "3 columns" in cloud.notes[0]
    colors = rng.integers(0, 256, (20, 3)).astype(np.uint8)
    np.savez_compressed(tmp_path / "c.npz", other=np.zeros(3), points=points, colors=colors, normals=points * 2)
    cloud = read_cloud(tmp_path / "c.npz")
    np.testing.assert_array_equal(cloud.points, points)
    np.testing.assert_array_equal(cloud.colors, colors)
    assert cloud.normals is not None
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1)
    np.savez(tmp_path / "d.npz", anything=points)
    np.testing.assert_array_equal(read_cloud(tmp_path / "d.npz").points, points)


def test_arrays_that_are_no_points_are_refused(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    cases = {
        "a.npy": (objects, "not a plain NumPy array"),
        "b.npy": (np.zeros((3, 10)).T[:, :2], "shape"),
        "c.npy": (np.zeros(9), "shape"),
        "d.npy": (np.array([["1", "2", "3"]]), "instead of numbers"),
        "e.npy": (np.zeros((2, 3), complex), "instead of numbers"),
        "f.npy": (np.zeros((0, 3)), "no points"),
    }
    for name, (array, says) in cases.items():
        np.save(tmp_path / name, array, allow_pickle=True)
        with pytest.raises(BadInput, match=says):
            read_cloud(tmp_path / name)
    np.savez(tmp_path / "g.npz", a=np.zeros((4, 3)), b=np.zeros((4, 3)))
    with pytest.raises(BadInput, match="no array called 'points'"):
        read_cloud(tmp_path / "g.npz")
    np.savez(tmp_path / "h.npz", points=np.zeros((4, 3)), normals=np.zeros((3, 3)))
    with pytest.raises(BadInput, match="normals of shape"):
        read_cloud(tmp_path / "h.npz")
    np.savez(tmp_path / "i.npz", points=objects)
    with pytest.raises(BadInput, match="not a plain NumPy array"):
        read_cloud(tmp_path / "i.npz")


OBJ = """# two objects
mtllib none.mtl
o first
v 0 0 0 0.5 0.5 0.5
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vn 0 0 1
usemtl red
f 1/1/1 2/1/1 3/1/1 4/1/1
o second
v 0 0 1
v 1 0 1
v 1 1 1
f -3//1 -2//1 \\
  -1//1
f 1 2 5
"""


def test_obj_with_negative_indices_texture_and_polygons(tmp_path: Path) -> None:
    mesh = read_mesh(write(tmp_path, "a.obj", OBJ))
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [0, 1, 4]]
    cloud = read_cloud(write(tmp_path, "b.obj", "v 1 2 3\nv 4 5 6\n"))
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("start", ["OFF\n4 2 0\n", "OFF 4 2 0\n", "OFF4 2 0\n", "# a comment\nCOFF\n\n4 2 5\n"])
def test_off(tmp_path: Path, start: str) -> None:
    mesh = read_mesh(
        write(tmp_path, "a.off", start + "0 0 0 9\n1 0 0 9\n1 1 0 9\n0 1 0 9\n3 0 1 2 255 0 0\n4 0 1 2 3\n")
    )
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize("kind", ["stl", "stl_ascii", "obj", "off", "ply"])
def test_what_trimesh_writes(tmp_path: Path, kind: str) -> None:
    reference = trimesh.creation.torus(major_radius=3, minor_radius=1, major_sections=12, minor_sections=8)
    path = tmp_path / f"a.{kind.split('_')[0]}"
    reference.export(path, file_type=kind)
    mesh = read_mesh(path)
    assert len(mesh.faces) == len(reference.faces)
    assert len(mesh.vertices) == len(reference.vertices)
    np.testing.assert_allclose(mesh.vertices[mesh.faces], reference.triangles, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.obj", "garbage\n", "no vertices"),
        ("a.obj", b"\0\1\2v 1 2 3\n", "OBJ"),
        ("a.obj", "v 1 2\n", "OBJ"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "do not exist"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -4\n", "do not exist"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "OBJ"),
        ("a.off", "NOTOFF\n", "does not start"),
        ("a.off", "OFF\n", "OFF"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n", "announces 3 vertices and 1 faces but holds 3"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n", "OFF"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0\n0 1 0\n3 0 1 2\n", "OFF"),
        ("a.stl", "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\n", "STL"),
        ("a.stl", "solid a\nendsolid a\n", "no points"),
        ("a.stl", b"\0" * 80 + b"\2\0\0\0" + b"\0" * 50, "neither"),
        ("a.stl", b"\1" * 30, "neither"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", "no surface"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\nnan 1 0\n3 0 1 2\n", "NaN"),
    ],
)
def test_a_damaged_mesh_is_refused(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(BadInput, match=says) as caught:
        read_cloud(path)
    assert str(path) in str(caught.value)


def test_samples_are_even_per_area_and_lie_on_the_surface() -> None:
    # Two triangles in different planes with areas 0.5 and 4.5, and one without area.
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 3, 5.0]])
    mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 1, 1], [3, 5, 4]]))
    points, normals = sample_mesh(mesh, 20_000, np.random.default_rng(0))
    small = points[:, 2] == 0
    assert abs(small.mean() - 0.1) < 0.01  # standard deviation 0.002
    np.testing.assert_array_equal(normals, np.where(small[:, None], [0, 0, 1], [0, 0, -1]))
    large = points[~small]
    assert (large[:, 2] == 5).all()
    assert (large >= 0).all()
    assert (large[:, 0] + large[:, 1] <= 3 + 1e-12).all()
    # Uniform in the triangle: the mean is the centroid, and a quarter lies in the half-size corner triangle.
    np.testing.assert_allclose(large[:, :2].mean(axis=0), [1, 1], atol=0.03)
    assert abs((large[:, 0] + large[:, 1] < 1.5).mean() - 0.25) < 0.02
    with pytest.raises(ValueError, match="count"):
        sample_mesh(mesh, 0, np.random.default_rng(0))
