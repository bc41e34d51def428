"""Files made to break readers: one kind of error only, in time and memory that follow from the size of the file."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import reader_mutants

import dusnet
from dusnet.errors import BadInput
from dusnet.io import clouds, read_cloud, read_labelled_points, read_scalars
from dusnet.io.guard import only_bad_input

POINTS = np.random.default_rng(5).normal(size=(50, 3))
XYZ = b"property float x\nproperty float y\nproperty float z\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + body


def npz(arrays: dict[str, np.ndarray | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            if isinstance(array, bytes):
                content.write(array)
            else:
                np.save(content, array)
            archive.writestr(f"{name}.npy", content.getvalue())
    return stream.getvalue()


def damaged_lzma() -> bytes:
    content = bytearray(npz({"points": POINTS}, zipfile.ZIP_LZMA))
    content[200:400] = b"\xff" * 200
    return bytes(content)


def lzma_dictionary() -> bytes:
    content = bytearray(npz({"points": POINTS}, zipfile.ZIP_LZMA))
    place = 30 + len("points.npy") + 5
    content[place : place + 4] = b"\xff\xff\xff\x5f"
    return bytes(content)


def pcd(size: str = "4 4 4", grid: str = "1", encoding: str = "binary") -> bytes:
    head = f"FIELDS x y z\nSIZE {size}\nTYPE F F F\nWIDTH {grid}\nHEIGHT {grid}\nDATA {encoding}\n"
    return head.encode() + np.ones(3, "<f4").tobytes()


def ply(elements: bytes, body: bytes = b"1 2 3\n", encoding: bytes = b"ascii") -> bytes:
    return b"ply\nformat " + encoding + b" 1.0\n" + elements + b"end_header\n" + body


HUGE = "9" * 5000
HOSTILE = {
    "index.obj": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 100000000000000000000\n",
    "negative.obj": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -100000000000000000000\n",
    "digits.obj": f"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 {HUGE}\n",
    "index.off": "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 100000000000000000000\n",
    "digits.off": f"OFF\n{HUGE} 1 0\n0 0 0\n",
    "corners.off": f"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n{HUGE} 0 1 2\n",
    "far.xyz": "0 0 0\n1 0 0\n0 1e200 0\n0 0 1\n",
    "far.obj": "v 0 0 0\nv -1e200 0 0\nv 0 1 0\nf 1 2 3\n",
    "digits.xyz": f"1 2 3\n4 {HUGE} 6\n",
    "digits.pts": f"{HUGE}\n1 2 3\n",
    "quote.csv": '"\n1,2,3\n',
    "descr.npy": npy("{'descr': (), 'fortran_order': False, 'shape': (2, 3)}", bytes(48)),
    "list.npy": npy("{'descr': [], 'fortran_order': False, 'shape': (2, 3)}", bytes(48)),
    "shape.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000, 3)}", bytes(48)),
    "minus.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -3)}", bytes(48)),
    "nothing.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, %s)}" % ("9" * 40)),
    "brackets.npy": npy("{'descr': " + "(" * 9000),
    "signs.npy": npy("{'descr': " + "-" * 9000 + "1}"),
    "lzma.npz": damaged_lzma(),
    "dictionary.npz": lzma_dictionary(),
    "header.npz": npz({"points": npy("{'descr': (), 'fortran_order': False, 'shape': (2, 3)}", bytes(48))}),
    "nothing.ply": ply(b"element vertex 1" + b"0" * 30 + b"\n"),
    "empty.ply": ply(b"element vertex 100000000000\nelement face 1" + b"0" * 17 + b"\n", b"", b"binary_big_endian"),
    "count.ply": ply(b"element vertex " + HUGE.encode() + b"\n" + XYZ),
    "lists.ply": ply(b"element vertex 1\n" + XYZ + b"element e 9\nproperty list uchar uchar a\n", b"1 2 3\n1e300\n"),
    "whole.ply": ply(b"element vertex 1\nproperty int x\nproperty int y\nproperty int z\n", b"1 1e300 3\n"),
    "sizes.pcd": pcd(size="4,f4 4 4"),
    "grid.pcd": pcd(grid="9" * 4000),
    "grid2.pcd": pcd(grid="99999999999999999999"),
    "unpacked.pcd": pcd(grid="100000", encoding="binary_compressed"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("error")
def test_a_hostile_file_is_refused_for_what_is_wrong_with_it(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, HOSTILE[name])
    tracemalloc.start()
    try:
        with pytest.raises(BadInput) as caught:
            read_cloud(path)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20  # LZMA itself takes 8 MiB
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < len(str(path)) + 300
    assert not reader_mutants.guarded(message)


@pytest.mark.filterwarnings("error")
def test_rows_of_nothing_are_read_past(tmp_path: Path) -> None:
    element = b"element nothing 1" + b"0" * 18 + b"\nelement vertex 1\n" + XYZ
    assert read_cloud(write(tmp_path, "a.ply", ply(element))).points.tolist() == [[1, 2, 3]]
    body = np.array([1, 2, 3], "<f4").tobytes()
    path = write(tmp_path, "b.ply", ply(element, body, b"binary_little_endian"))
    assert read_cloud(path).points.tolist() == [[1, 2, 3]]


@pytest.mark.filterwarnings("error")
def test_extreme_normals_and_colours_are_no_error(tmp_path: Path) -> None:
    rows = ["1,2,3,3e200,0,4e200,-1e308,2,3", "4,5,6,0,5e-200,0,1e308,nan,0", "7,8,9,1,1e308,inf,0,0,1"]
    cloud = read_cloud(write(tmp_path, "a.csv", "\n".join(["x,y,z,nx,ny,nz,r,g,b", *rows, ""])))
    assert cloud.normals is not None
    assert cloud.colors is not None
    np.testing.assert_allclose(cloud.normals, [[0.6, 0, 0.8], [0, 1, 0], [0, 0, 0]])
    assert cloud.colors.tolist() == [[0, 2, 3], [255, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), RecursionError(), KeyError("a"), OverflowError()])
def test_whatever_a_reader_raises_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setitem(clouds._READERS, ".xyz", broken)  # type: ignore[arg-type]
    path = write(tmp_path, "a.xyz", "1 2 3\n")
    for read in (read_cloud, read_scalars):
        with pytest.raises(BadInput, match=r"a\.xyz") as caught:
            read(path)
        assert caught.value.__cause__ is error


def test_the_guard_lets_a_key_press_through() -> None:
    with pytest.raises(KeyboardInterrupt), only_bad_input(Path("a.xyz")):
        raise KeyboardInterrupt
    with pytest.raises(BadInput, match="no sentence") as caught, only_bad_input(Path("a.xyz")):
        raise BadInput("no sentence of ours is changed")
    assert caught.value.__cause__ is None


def slow_files(size: int) -> dict[str, bytes]:
    """Files of about `size` bytes on which something takes quadratic time unless it is written with care."""
    count = size // 40
    walked = b"".join(b"element e%d 2\nproperty list int int x\n" % i for i in range(count))
    narrow = b"".join(b"property list uchar uchar x%d\n" % i for i in range(size // 40))
    vertices = b"element vertex 1\n" + XYZ
    return {
        "blank.stl": b"solid\n" + b"\n" * size,
        "words.stl": b"solid a\n" + b"vertex " * (size // 7),
        "token.stl": b"solid\nfacet\n" + b"vertex 1 2 3\n" * (size // 26) + b"vertex " + b"1" * (size // 2) + b" 2 3",
        "token.xyz": b"1 2 3\n" + b"1" * size + b"a 2 3\n",
        "first.xyz": b"1" * size + b"a 2 3\n",
        "points.xyz": b"1 2 3\n" + b"1." * (size // 2) + b" 2 3\n",
        "bracket.csv": b"(" * size + b",y,z\n1,2,3\n",
        "spaces.csv": b"x" + b" " * size + b"[mm,y,z\n1,2,3\n",
        "letters.csv": b"# " + b"x" * size + b",b,c,d\n1,2,3,4\n",
        "capitals.csv": b"X" * size + b",b,c,d\n1,2,3,4\n",
        "quotes.csv": b'"1,2,3\n' * (size // 7),
        "comments.csv": b"# x a b\n" * (size // 8) + b"1 2 3\n",
        "elements.ply": ply(b"".join(b"element e%d 0\nproperty float x\n" % i for i in range(count))),
        "walked.ply": ply(vertices + walked, b"1 2 3\n" + b"0 1 7\n" * count),
        "narrow.ply": ply(vertices + b"element e 1\n" + narrow, bytes(12) + b"\0" * count, b"binary_little_endian"),
        "token.ply": ply(vertices, b"1" * size + b"a"),
        "header.ply": b"ply\n" + b"\n " * (size // 2),
        "joined.obj": b"v 1 2 3\n" + b"\\\n" * (size // 2),
        "index.obj": b"v 1 2 3\nf 1 1 " + b"1" * size + b"\n",
        "token.pcd": pcd(encoding="ascii")[:-12] + b"1" * size + b"a\n",
    }


@pytest.mark.parametrize("name", slow_files(40))
def test_time_follows_the_size_of_a_file(tmp_path: Path, name: str) -> None:
    """What was quadratic took ten seconds and more for files of this size; linear time is some hundredths of one."""
    path = write(tmp_path, name, slow_files(400_000)[name])
    start = time.process_time()
    try:
        found = str(len(read_cloud(path)))
    except BadInput as error:
        found = str(error)
    assert time.process_time() - start < 4.0
    assert found == "1" or (found.startswith(str(path)) and not reader_mutants.guarded(found))


def test_only_the_needed_arrays_are_unpacked_and_only_as_far_as_the_file_allows(tmp_path: Path) -> None:
    zeros = b"\0" * (24 << 20)  # compresses to 24 KB
    path = write(tmp_path, "a.npz", npz({"bomb": zeros, "points": POINTS}))
    big = write(tmp_path, "b.npz", npz({"points": zeros}))
    normals = write(tmp_path, "c.npz", npz({"points": POINTS, "normals": zeros}))
    del zeros
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(read_cloud(path).points, POINTS)
        for bomb, entry in ((big, "points"), (normals, "normals")):
            with pytest.raises(BadInput, match=rf"array {entry}\.npy needs \d+ bytes to unpack"):
                read_cloud(bomb)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    even = np.zeros((100_000, 3))
    even[:, 0] = np.arange(100_000)
    np.testing.assert_array_equal(read_cloud(write(tmp_path, "d.npz", npz({"points": even}))).points, even)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_of_any_compression(tmp_path: Path, method: int) -> None:
    path = write(tmp_path, "a.npz", npz({"xyz": np.asfortranarray(POINTS), "other": np.zeros(9)}, method))
    np.testing.assert_array_equal(read_cloud(path).points, POINTS)


def judged(folder: Path, first: int, count: int) -> dict[str, object]:
    """Judge mutants in a process of its own, whose memory is limited."""
    program = Path(reader_mutants.__file__)
    home = str(Path(dusnet.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, str(program), str(first), str(count), str(folder)],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": home, "OMP_NUM_THREADS": "1"},
        timeout=240,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    answer: dict[str, object] = json.loads(run.stdout)
    return answer


def test_some_hundred_mutants_are_refused_or_read_rightly(tmp_path: Path) -> None:
    answer = judged(tmp_path, 0, 600)
    assert answer["failures"] == []
    assert 40 < int(str(answer["accepted"])) < 300  # the judge sees both sides


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 31_000, 5000))
def test_thirty_thousand_mutants_are_refused_or_read_rightly(tmp_path: Path, first: int) -> None:
    assert judged(tmp_path, first, 5000)["failures"] == []


def test_ground_truth_goes_through_the_same_guard(tmp_path: Path) -> None:
    for text in (f"{HUGE}\n1 2 3 0\n", "1 2 3 0\n1e200 2 3 0\n", "1" * 5000 + " 2 3 1\n", '"\n1,2,3,4\n'):
        with pytest.raises(BadInput) as caught:
            read_labelled_points(write(tmp_path, "gt.txt", text))
        assert not reader_mutants.guarded(str(caught.value))
