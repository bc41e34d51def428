"""PCD in its three encodings, against hand-written files and Open3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dusnet.errors import BadInput, MissingDependency
from dusnet.io import read_cloud, read_scalars
from dusnet.io.pcd import lzf_decompress
from dusnet.open3d_import import open3d


def header(fields: str, sizes: str, types: str, counts: str, width: int, height: int, encoding: str) -> bytes:
    return (
        f"# .PCD v0.7\nVERSION 0.7\nFIELDS {fields}\nSIZE {sizes}\nTYPE {types}\nCOUNT {counts}\nWIDTH {width}\n"
        f"HEIGHT {height}\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {width * height}\nDATA {encoding}\n"
    ).encode()


XYZ = ("x y z", "4 4 4", "F F F", "1 1 1")


def literal_lzf(content: bytes) -> bytes:
    """The simplest valid LZF stream: runs of up to 32 bytes that stand for themselves."""
    chunks = [content[i : i + 32] for i in range(0, len(content), 32)]
    return b"".join(bytes([len(chunk) - 1]) + chunk for chunk in chunks)


def compressed(fields: tuple[str, str, str, str], width: int, height: int, content: bytes) -> bytes:
    packed = literal_lzf(content)
    sizes = np.array([len(packed), len(content)], "<u4").tobytes()
    return header(*fields, width, height, "binary_compressed") + sizes + packed


def write(folder: Path, content: bytes) -> Path:
    path = folder / "a.pcd"
    path.write_bytes(content)
    return path


def test_ascii_keeps_the_digits_of_the_text(tmp_path: Path) -> None:
    path = write(tmp_path, header(*XYZ, 2, 1, "ascii") + b"289814.15 4320978.61 170.76\n1 2 nan\n")
    cloud = read_cloud(path)
    assert cloud.points.tolist() == [[289814.15, 4320978.61, 170.76]]
    assert "1 of 2" in cloud.notes[0]


@pytest.mark.parametrize("encoding", ["binary", "binary_compressed"])
def test_an_organized_cloud_loses_its_empty_pixels(tmp_path: Path, rng: np.random.Generator, encoding: str) -> None:
    points = rng.normal(size=(12, 3)).astype("<f4")
    points[[2, 7]] = np.nan
    body = points.tobytes() if encoding == "binary" else b""
    content = header(*XYZ, 4, 3, encoding) + body if body else compressed(XYZ, 4, 3, points.T.tobytes())
    cloud = read_cloud(write(tmp_path, content))
    np.testing.assert_array_equal(cloud.points, np.delete(points, [2, 7], axis=0))
    assert cloud.notes == ("2 of 12 points had NaN or infinite coordinates and were dropped",)


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_padding_wide_fields_and_doubles(tmp_path: Path, encoding: str) -> None:
    fields = ("label X _ Y Z histogram _ intensity", "1 8 1 8 8 4 2 4", "U F U F F F I F", "1 1 3 1 1 2 1 1")
    count = 5
    blocks: list[np.ndarray] = [
        np.arange(count, dtype="u1"),
        np.linspace(500000.123456789, 500001, count),
        np.full((count, 3), 7, "u1"),
        np.linspace(-3, 3, count),
        np.linspace(10, 20, count),
        np.full((count, 2), 0.25, "<f4"),
        np.full(count, -9, "<i2"),
        np.arange(count, dtype="<f4") / 4,
    ]
    if encoding == "ascii":
        rows = [" ".join(repr(v.item()) for b in blocks for v in np.atleast_1d(b[i])) for i in range(count)]
        content = header(*fields, count, 1, encoding) + "\n".join(rows).encode() + b"\n"
    elif encoding == "binary":
        rows_bytes = b"".join(np.ascontiguousarray(block[i]).tobytes() for i in range(count) for block in blocks)
        content = header(*fields, count, 1, encoding) + rows_bytes
    else:
        content = compressed(fields, count, 1, b"".join(block.tobytes() for block in blocks))
    cloud, scalars = read_scalars(write(tmp_path, content))
    np.testing.assert_array_equal(cloud.points, np.stack([blocks[1], blocks[3], blocks[4]], axis=1))
    assert sorted(scalars) == ["intensity", "label"]
    np.testing.assert_array_equal(scalars["intensity"], blocks[7])
    np.testing.assert_array_equal(scalars["label"], blocks[0])


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
@pytest.mark.parametrize("kind", ["F", "U"])
def test_packed_colours_come_from_the_bits(tmp_path: Path, encoding: str, kind: str) -> None:
    bits = np.array([0x00FF8001, 0x00000203], "<u4")
    values = bits.view("<f4") if kind == "F" else bits
    fields = ("x y z rgb", "4 4 4 4", f"F F F {kind}", "1 1 1 1")
    if encoding == "ascii":
        body = "".join(f"1 2 3 {v!s}\n" for v in (values if kind == "U" else [f"{v:.9g}" for v in values])).encode()
    else:
        body = b"".join(np.array([1, 2, 3], "<f4").tobytes() + values[i].tobytes() for i in range(2))
    cloud = read_cloud(write(tmp_path, header(*fields, 2, 1, encoding) + body))
    assert cloud.colors is not None
    assert cloud.colors.tolist() == [[255, 128, 1], [0, 2, 3]]


def test_a_header_of_version_five_without_viewpoint_and_points(tmp_path: Path) -> None:
    text = (
        b"# .PCD v.5\nVERSION .5\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 2\nHEIGHT 1\nDATA ascii\n1 2 3\n4 5 6\n"
    )
    assert read_cloud(write(tmp_path, text)).points.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_lzf_by_hand() -> None:
    # Literal "ab", then a copy of 6 from 2 back ("ababab"), then literal "c".
    packed = bytes([1]) + b"ab" + bytes([(4 << 5) | 0, 1]) + bytes([0]) + b"c"
    assert lzf_decompress(Path("a.pcd"), packed, 9) == b"ababababc"
    # A run of 300 of the same byte: literal, then a copy of 7 + 2 + 255 and one of 3 + 2 + 30... from 1 back.
    packed = bytes([0]) + b"z" + bytes([7 << 5, 255, 0]) + bytes([7 << 5, 26, 0])
    assert lzf_decompress(Path("a.pcd"), packed, 1 + 264 + 35) == b"z" * 300
    with pytest.raises(BadInput, match="unpacked"):
        lzf_decompress(Path("a.pcd"), bytes([1 << 5, 5]), 3)  # refers to before the start


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("ascii_text", [False, True])
def test_what_open3d_writes(tmp_path: Path, rng: np.random.Generator, compress: bool, ascii_text: bool) -> None:
    try:
        o3d = open3d()
    except MissingDependency as missing:
        pytest.skip(str(missing))
    points = np.round(rng.normal(size=(2000, 3)), 2)  # repeats bytes, so that compression has something to find
    colors = rng.integers(0, 256, (2000, 3))
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    cloud.colors = o3d.utility.Vector3dVector(colors / 255.0)
    path = tmp_path / "a.pcd"
    assert o3d.io.write_point_cloud(str(path), cloud, write_ascii=ascii_text, compressed=compress)
    ours = read_cloud(path)
    np.testing.assert_allclose(ours.points, points, atol=1e-6)
    assert ours.colors is not None
    np.testing.assert_array_equal(ours.colors, colors)


GOOD = header(*XYZ, 2, 1, "ascii") + b"1 2 3\n4 5 6\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"289814.15 4320978.61 170.76\n" * 3, "no PCD header"),
        (b"\x00\x01\x02" * 50, "no PCD header"),
        (GOOD.replace(b"FIELDS x y z\n", b""), "incomplete"),
        (GOOD.replace(b"SIZE 4 4 4\n", b"SIZE 4 4\n"), "incomplete"),
        (GOOD.replace(b"TYPE F F F\n", b"TYPE F F Q\n"), "incomplete"),
        (GOOD.replace(b"COUNT 1 1 1\n", b"COUNT 1 1 99999999999\n"), "incomplete"),
        (GOOD.replace(b"COUNT 1 1 1\n", b"COUNT 1 1 0\n"), "incomplete"),
        (GOOD.replace(b"WIDTH 2\n", b"WIDTH two\n"), "incomplete"),
        (GOOD.replace(b"WIDTH 2\n", b"WIDTH 3\n"), "announces 2 points but a grid of 3"),
        (GOOD.replace(b"DATA ascii", b"DATA zipped"), "encoding"),
        (GOOD.replace(b"x y z", b"u v w"), "no x, y and z"),
        (GOOD.replace(b"4 5 6\n", b""), "truncated"),
        (GOOD + b"7 8 9\n", "more data"),
        (GOOD.replace(b"5", b"five"), "not a number"),
        (header(*XYZ, 0, 1, "binary"), "no points"),
        (header(*XYZ, 2, 1, "binary") + b"\0" * 23, "truncated"),
        (header(*XYZ, 10**9, 10**9, "binary") + b"\0" * 24, "truncated"),
        (header(*XYZ, 2, 1, "binary_compressed") + b"\0" * 3, "truncated"),
        (header(*XYZ, 3, 1, "binary_compressed") + compressed(XYZ, 2, 1, b"\0" * 24).split(b"ssed\n")[1], "unpack"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(BadInput) as caught:
        read_cloud(path)
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    assert "\n" not in message
