"""What is common to all formats: paths, folders, damage at any byte, and real files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dusnet.errors import BadInput, MissingDependency
from dusnet.io import CLOUD_SUFFIXES, find_clouds, read_cloud, read_mesh
from dusnet.open3d_import import open3d


@pytest.mark.parametrize("suffix", CLOUD_SUFFIXES)
def test_missing_empty_and_folder(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(BadInput, match="does not exist"):
        read_cloud(path)
    path.touch()
    with pytest.raises(BadInput, match="is empty"):
        read_cloud(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        read_cloud(path)


@pytest.mark.parametrize("suffix", CLOUD_SUFFIXES)
def test_random_bytes_are_no_cloud(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(rng.integers(0, 256, 3000).astype(np.uint8).tobytes())
    with pytest.raises(BadInput) as caught:
        read_cloud(path)
    assert str(path) in str(caught.value)


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    for name in ("a.jpeg", "a", "a.e57"):
        (tmp_path / name).write_text("x")
        with pytest.raises(BadInput) as caught:
            read_cloud(tmp_path / name)
        assert all(suffix in str(caught.value) for suffix in CLOUD_SUFFIXES)
        assert ("PLY" in str(caught.value)) == name.endswith("e57")
    with pytest.raises(BadInput, match="does not exist"):
        read_cloud(tmp_path / "b.jpeg")


def test_the_manual_names_every_suffix() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    assert [suffix for suffix in CLOUD_SUFFIXES if f"`{suffix}`" not in manual] == []


def test_a_suffix_in_capitals_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "A.XYZ").write_text("1 2 3\n4 5 6\n")
    assert len(read_cloud(tmp_path / "A.XYZ")) == 2


def test_a_folder_lists_its_scans_as_people_count(tmp_path: Path) -> None:
    for name in ("s10.ply", "s2.PLY", "s1.pcd", ".s3.ply", "notes.txt", "table.csv", "picture.png"):
        (tmp_path / name).touch()
    (tmp_path / "sub.ply").mkdir()
    assert [p.name for p in find_clouds(tmp_path)] == ["s1.pcd", "s2.PLY", "s10.ply"]
    assert find_clouds(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    text = tmp_path / "text"
    text.mkdir()
    assert find_clouds(text) == []
    for name in ("b.txt", "a.txt"):
        (text / name).touch()
    assert [p.name for p in find_clouds(text)] == ["a.txt", "b.txt"]
    with pytest.raises(BadInput, match="does not exist"):
        find_clouds(tmp_path / "nowhere")


POINTS = np.array([[0.5, 1.25, -2.75], [3.125, 4.5, 5.25], [-6.0, 7.75, 8.125], [0.25, 0.125, 9.5]])
ROWS = "".join(" ".join(str(v) for v in p) + "\n" for p in POINTS)
FACES = [[0, 1, 2], [0, 2, 3], [0, 3, 1]]


def ply(encoding: str, mesh: bool) -> bytes:
    header = f"ply\nformat {encoding} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    header += "element face 3\nproperty list uchar int vertex_indices\n" * mesh + "end_header\n"
    if encoding == "ascii":
        return (header + ROWS + "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES) * mesh).encode()
    order = "<" if "little" in encoding else ">"
    faces = b"".join(b"\3" + np.array(face, order + "i4").tobytes() for face in FACES)
    return header.encode() + POINTS.astype(order + "f4").tobytes() + faces * mesh


def pcd(encoding: str) -> bytes:
    header = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 4\nHEIGHT 1\n"
    header += f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 4\nDATA {encoding}\n"
    if encoding == "ascii":
        return (header + ROWS).encode()
    if encoding == "binary":
        return header.encode() + POINTS.astype("<f4").tobytes()
    content = POINTS.T.astype("<f4").tobytes()
    packed = b"".join(bytes([23]) + content[i : i + 24] for i in range(0, 48, 24))
    return header.encode() + np.array([len(packed), 48], "<u4").tobytes() + packed


def numpy_file(save: Callable[..., None]) -> bytes:
    stream = io.BytesIO()
    save(stream, POINTS)
    return stream.getvalue()


def stl(text: bool) -> bytes:
    if text:
        facets = "".join(
            "facet normal 0 0 1\nouter loop\n"
            + "".join(f"vertex {x} {y} {z}\n" for x, y, z in POINTS[face])
            + "endloop\nendfacet\n"
            for face in FACES
        )
        return f"solid a\n{facets}endsolid a\n".encode()
    rows = np.zeros(3, np.dtype([("n", "<f4", (3,)), ("v", "<f4", (3, 3)), ("a", "<u2")]))
    rows["v"] = POINTS[np.array(FACES)]
    return b"\0" * 80 + np.array([3], "<u4").tobytes() + rows.tobytes()


COUNTED = {  # formats that say how much they hold: a part of a file is never a cloud
    "ascii.ply": ply("ascii", False),
    "ascii-mesh.ply": ply("ascii", True),
    "little.ply": ply("binary_little_endian", False),
    "big.ply": ply("binary_big_endian", False),
    "little-mesh.ply": ply("binary_little_endian", True),
    "big-mesh.ply": ply("binary_big_endian", True),
    "ascii.pcd": pcd("ascii"),
    "binary.pcd": pcd("binary"),
    "compressed.pcd": pcd("binary_compressed"),
    "count.pts": ("4\n" + ROWS).encode(),
    "a.npy": numpy_file(np.save),
    "a.npz": numpy_file(np.savez),
    "a.off": ("OFF\n4 3 0\n" + ROWS + "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES)).encode(),
    "binary.stl": stl(text=False),
    "text.stl": stl(text=True),
}
UNCOUNTED = {  # formats that do not: a part of a file is a shorter cloud
    "a.xyz": ROWS.encode(),
    "a.csv": ("x,y,z\n" + ROWS.replace(" ", ",")).encode(),
    "a.obj": "".join(f"v {row}\n" for row in ROWS.splitlines()).encode(),
}


def expected_points(name: str) -> np.ndarray:
    return np.unique(POINTS, axis=0) if name.endswith(".stl") else POINTS


@pytest.mark.parametrize("name", COUNTED)
def test_a_file_cut_anywhere_is_refused_or_complete(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = COUNTED[name]
    path.write_bytes(content)
    np.testing.assert_array_equal(read_cloud(path, as_vertices=True).points, expected_points(name))
    refused = 0
    for end in range(len(content)):
        path.write_bytes(content[:end])
        try:
            cloud = read_cloud(path, as_vertices=True)
        except BadInput:
            refused += 1
            continue
        # Only the digits of the very last number can be lost, and then the reader says so.
        assert len(cloud) == len(POINTS)
        np.testing.assert_array_equal(cloud.points[:3], expected_points(name)[:3])
        np.testing.assert_array_equal(cloud.points[3, :2], expected_points(name)[3, :2])
        complete = (cloud.points == expected_points(name)).all()
        assert complete or any("cut off" in note for note in cloud.notes)
    assert refused > 0.9 * len(content)


@pytest.mark.parametrize("name", UNCOUNTED)
def test_text_without_a_count_cut_anywhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = UNCOUNTED[name]
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        try:
            cloud = read_cloud(path)
        except BadInput:
            continue
        whole = len(cloud) if content[:end].endswith(b"\n") else len(cloud) - 1
        np.testing.assert_array_equal(cloud.points[:whole], POINTS[:whole])
        assert whole == len(cloud) or any("cut off" in note for note in cloud.notes)
    assert len(cloud) == len(POINTS)


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(sorted(COUNTED | UNCOUNTED)),
    edits=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4),
)
def test_a_damaged_file_is_a_cloud_or_refused(tmp_path: Path, name: str, edits: list[tuple[int, bytes, int]]) -> None:
    content = (COUNTED | UNCOUNTED)[name]
    for place, put, drop in edits:
        start = place % (len(content) + 1)
        content = content[:start] + put + content[start + drop :]
    path = tmp_path / name
    path.write_bytes(content)
    try:
        cloud = read_cloud(path, mesh_points=10)
    except BadInput:
        return
    assert len(cloud) > 0
    assert np.isfinite(cloud.points).all()


# Usable points of each real file by its header and, where it has empty pixels, by Open3D; None: must be refused.
REAL = {
    "odd/bunny_duplicates.ply": 2895, "odd/pdal_A4.e57": None, "odd/pdal_autzen-utm.pcd": 1065,
    "odd/pdal_missingheader.pcd": None, "odd/pdal_no_vertex.ply": None, "odd/pdal_simple_binary.ply": 3,
    "odd/pdal_sized_dims.ply": None, "odd/pdal_text_extradim.ply": 1, "odd/pdal_utm17_comma.pcd": 10,
    "odd/pyntcloud_diamond_with_bool.ply": 6, "odd/rply_input.ply": None, "odd/trimesh_empty.ply": None,
    "odd/trimesh_multi.ply": 4, "odd/trimesh_ply_empty_bin.ply": None, "odd/trimesh_ply_points_bin.ply": 8,
    "odd/trimesh_points_ascii_with_lists.ply": 5, "odd/trimesh_points_emptyface.ply": 1024,
    "scans/bun0.pcd": 397, "scans/bunny.pcd": 397, "scans/car6.pcd": 10031, "scans/chef.pcd": 5092,
    "scans/cloud_0.pcd": 6535, "scans/colored_cloud.pcd": 1000, "scans/cturtle.pcd": 167198,
    "scans/data_capture0001.pcd": 249647, "scans/data_ism_test_cat.pcd": 3400, "scans/data_milk.pcd": 12575,
    "scans/data_object_template_0.pcd": 1397, "scans/data_samp11-utm.pcd": 38010, "scans/data_test56.pcd": 165114,
    "scans/lamppost.pcd": 1771, "scans/milk_color.pcd": 13704, "scans/nhood_test.pcd": 36, "scans/part.pcd": 262,
    "scans/pcl_logo.pcd": 12909, "scans/rops_cloud.pcd": 32087, "scans/bun_zipper_res3.ply": 1889,
    "scans/canstick.ply": 2101, "scans/matcher-test-object-1.ply": 1000, "scans/sfm_Angel.ply": 18412,
    "scans/sfm_blackVase.ply": 17337, "scans/sfm_owl.ply": 12442, "scans/super4pcs_hippo1.ply": 30519,
    "scans/super4pcs_hippo2.ply": 21935,
}  # fmt: skip
# Open3D reads no points of these, or zeros.
OPEN3D_FAILS = {"odd/pdal_autzen-utm.pcd", "odd/pdal_utm17_comma.pcd", "odd/pyntcloud_diamond_with_bool.ply"}


@pytest.mark.parametrize("name", REAL)
def test_a_real_file(shared_data: Path, name: str) -> None:
    path = shared_data / name
    if REAL[name] is None:
        with pytest.raises(BadInput, match=path.name):
            read_cloud(path)
        return
    cloud = read_cloud(path, as_vertices=True)
    assert len(cloud) == REAL[name]
    if name in OPEN3D_FAILS:
        return
    try:
        o3d = open3d()
    except MissingDependency as missing:
        pytest.skip(str(missing))
    reference = o3d.io.read_point_cloud(str(path), remove_nan_points=True, remove_infinite_points=True)
    np.testing.assert_allclose(cloud.points, np.asarray(reference.points), rtol=1e-6)
    if reference.has_colors():
        assert cloud.colors is not None
        np.testing.assert_allclose(cloud.colors, np.asarray(reference.colors) * 255, atol=0.6)


def test_map_coordinates_of_a_real_file_are_exact(shared_data: Path) -> None:
    first = read_cloud(shared_data / "odd" / "pdal_utm17_comma.pcd").points[0]
    assert first.tolist() == [289814.15, 4320978.61, 170.76]


def test_real_meshes_agree_with_trimesh(shared_data: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    for path in sorted((shared_data / "meshes").glob("*.ply")):
        mesh = read_mesh(path)
        reference = trimesh.load(path, process=False)
        np.testing.assert_array_equal(mesh.vertices, reference.vertices, err_msg=path.name)
        np.testing.assert_array_equal(mesh.faces, reference.faces, err_msg=path.name)
