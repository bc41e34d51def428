"""Damaged files of every format, from a seed, and a judge of what the readers make of them.

Run as a program in a process of its own (`python reader_mutants.py FIRST COUNT FOLDER`), so that the limits of memory
and time hold for the readers alone; prints one JSON line.
"""

from __future__ import annotations

import io
import json
import random
import re
import resource
import signal
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

SECONDS = 5.0  # per mutant, on a busy machine; good files of this size take a few milliseconds
MEMORY = 256 << 20  # more than the process has when it starts; the files are below 200 KB
LARGEST = 1e15

_RNG = np.random.default_rng(16)
POINTS = np.round(_RNG.normal(size=(40, 3)) * 20, 4)
NORMALS = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
COLORS = _RNG.integers(0, 256, (40, 3)).astype(np.uint8)
FACES = _RNG.permuted(np.tile(np.arange(40), (30, 1)), axis=1)[:, :4]
ROWS = [" ".join(map(str, row)) for row in POINTS.tolist()]


def _ply(encoding: str, *, mesh: bool = False, extras: bool = False) -> bytes:
    order = ">" if "big" in encoding else "<"
    header = [f"ply\nformat {encoding} 1.0\ncomment made for a test\nelement vertex 40"]
    header += [f"property {'double' if extras else 'float'} {axis}" for axis in "xyz"]
    if extras:
        header += [f"property float n{axis}" for axis in "xyz"] + ["property uchar red", "property uchar green"]
        header += ["property uchar blue", "property list uchar short tags", "property int label"]
    if mesh:
        header += ["element face 30", "property list uchar int vertex_indices", "property float quality"]
    text, binary = [], b""
    for i, point in enumerate(POINTS):
        row = " ".join(map(str, point.tolist()))
        binary += point.astype(order + ("f8" if extras else "f4")).tobytes()
        if extras:
            tags = list(range(i % 3))
            row += f" {' '.join(map(str, NORMALS[i].tolist()))} {' '.join(map(str, COLORS[i].tolist()))} "
            row += " ".join(map(str, [len(tags), *tags, i]))
            binary += NORMALS[i].astype(order + "f4").tobytes() + COLORS[i].tobytes()
            binary += struct.pack(f"{order}B{len(tags)}hi", len(tags), *tags, i)
        text.append(row)
    for i, face in enumerate(FACES.tolist() if mesh else []):
        corners = face[: 3 + i % 2]
        text.append(" ".join(map(str, [len(corners), *corners, 0.5])))
        binary += struct.pack(f"{order}B{len(corners)}if", len(corners), *corners, 0.5)
    body = ("\n".join(text) + "\n").encode() if encoding == "ascii" else binary
    return "\n".join([*header, "end_header\n"]).encode() + body


def _pcd(encoding: str) -> bytes:
    header = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb _\nSIZE 4 4 4 4 1\nTYPE F F F U U\nCOUNT 1 1 1 1 3\nWIDTH 10\n"
    header += f"HEIGHT 4\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 40\nDATA {encoding}\n"
    packed = COLORS.astype("<u4") @ np.array([1 << 16, 1 << 8, 1], "<u4")
    if encoding == "ascii":
        return (header + "".join(f"{row} {c} 0 0 0\n" for row, c in zip(ROWS, packed, strict=True))).encode()
    if encoding == "binary":
        rows = (POINTS[i].astype("<f4").tobytes() + packed[i].tobytes() + b"\0\0\0" for i in range(40))
        return header.encode() + b"".join(rows)
    content = POINTS.T.astype("<f4").tobytes() + packed.astype("<u4").tobytes() + bytes(120)
    chunks = [content[i : i + 32] for i in range(0, len(content) - 120, 32)]
    lzf = b"".join(bytes([len(chunk) - 1]) + chunk for chunk in chunks) + b"\0\0" + bytes([7 << 5, 110, 0])
    return header.encode() + struct.pack("<II", len(lzf), len(content)) + lzf


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _npz(method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, array in (("other", np.zeros(90)), ("points", POINTS), ("normals", NORMALS), ("colors", COLORS)):
            archive.writestr(f"{name}.npy", _npy(array))
    return stream.getvalue()


def _stl(*, text: bool) -> bytes:
    triangles = POINTS[FACES[:, :3]]
    if text:
        corners = ("".join(f"vertex {x} {y} {z}\n" for x, y, z in triangle.tolist()) for triangle in triangles)
        facets = "".join(f" facet normal 0 0 1\n outer loop\n{each} endloop\n endfacet\n" for each in corners)
        return f"solid part\n{facets}endsolid part\n".encode()
    rows = np.zeros(len(triangles), np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")]))
    rows["v"] = triangles
    return b"part".ljust(80, b"\0") + struct.pack("<I", len(rows)) + rows.tobytes()


def _text_mesh(head: str, vertex: str, face: Callable[[int, int, int], str]) -> bytes:
    return (head + "".join(map(vertex.format, ROWS)) + "".join(face(*row[:3]) for row in FACES.tolist())).encode()


def _table(head: str, mark: str, *, decimal_comma: bool = False) -> bytes:
    rows = [mark.join([str(i), *map(str, point), "1"]) + "\n" for i, point in enumerate(POINTS.tolist())]
    body = "".join(rows).replace(".", ",") if decimal_comma else "".join(rows)
    return f"{head}\n{body}".encode()


CORPUS: dict[str, bytes] = {
    **{f"{kind}.ply": _ply(kind) for kind in ("ascii", "binary_little_endian", "binary_big_endian")},
    **{f"{kind}_mesh.ply": _ply(kind, mesh=True) for kind in ("ascii", "binary_little_endian", "binary_big_endian")},
    **{f"{kind}_extras.ply": _ply(kind, extras=True) for kind in ("ascii", "binary_little_endian")},
    **{f"{kind}.pcd": _pcd(kind) for kind in ("ascii", "binary", "binary_compressed")},
    "plain.xyz": "".join(row + "\n" for row in ROWS).encode(),
    "count.pts": ("40\n" + "".join(row + " 7\n" for row in ROWS)).encode(),
    "named.csv": _table('"Id","X [mm]","Y [mm]","Z [mm]","Value"', ","),
    "position.txt": _table("# ID X-position Y-position Z-position Value", " "),
    "semicolon.asc": _table("i;x;y;z;v", ";", decimal_comma=True),
    "double.npy": _npy(POINTS),
    "fortran.npy": _npy(np.asfortranarray(POINTS.astype(">f4"))),
    "stored.npz": _npz(zipfile.ZIP_STORED),
    "deflated.npz": _npz(zipfile.ZIP_DEFLATED),
    "bzip2.npz": _npz(zipfile.ZIP_BZIP2),
    "lzma.npz": _npz(zipfile.ZIP_LZMA),
    "mesh.obj": _text_mesh("", "v {}\n", lambda a, b, c: f"f {a + 1} {b + 1}/1 {c - 40}//2\n"),
    "mesh.off": _text_mesh("OFF\n40 30 0\n", "{}\n", lambda a, b, c: f"3 {a} {b} {c}\n"),
    "binary.stl": _stl(text=False),
    "text.stl": _stl(text=True),
}  # fmt: skip

_HOSTILE = [
    b"0", b"-1", b"-0", b"1", b"2", b"3", b"255", b"65536", b"2147483648", b"4294967295", b"18446744073709551616",
    b"1" + b"0" * 30, b"9" * 5000, b"1e200", b"-1e308", b"1e999", b"1e-320", b"nan", b"inf", b"4,f4", b"()", b"1_000",
    b"0x10", b"1,5", b".", b"-", b"x", b"\xff", b"3" * 2000 + b"q", b"'", b'"', b"1;2", b"40 40", b"# 1", b"float",
    b"list uchar int", b"binary", b"ascii", b"(9999999999, 3)", b"(3,)", b"<f2", b"|O", b"O", b"<U1000000000",
    b"1000000000000000000000 1000000000000000000000", b"solid", b"endsolid", b"\n\n\n", b"\r", b"\0" * 8, b"[" * 300,
]  # fmt: skip
_GUARDED = re.compile(r" cannot be read \(\w+\); it is damaged")
_TOKEN = re.compile(rb"[-+.\w]+")


def mutant(seed: int) -> tuple[str, bytes]:
    """A file name (whose suffix is the format) and the content of a damaged file."""
    draw = random.Random(seed)
    name = draw.choice(sorted(CORPUS))
    content = CORPUS[name]
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content = draw.choice(_CHANGES)(draw, content)
    return name, content


def _flip(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        if changed:
            place = draw.randrange(len(changed))
            changed[place] = draw.choice((changed[place] ^ (1 << draw.randrange(8)), draw.randrange(256)))
    return bytes(changed)


def _flip_early(draw: random.Random, content: bytes) -> bytes:
    return _flip(draw, content[:300]) + content[300:]


def _cut(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _drop(draw: random.Random, content: bytes) -> bytes:
    start = draw.randrange(len(content) + 1)
    return content[:start] + content[start + draw.choice((1, 2, 4, 12, 50, 400)) :]


def _insert(draw: random.Random, content: bytes) -> bytes:
    start = draw.choice((draw.randrange(len(content) + 1), draw.randrange(min(300, len(content)) + 1), len(content)))
    put = draw.choice((draw.choice(_HOSTILE), draw.randbytes(draw.choice((1, 4, 12, 64))), b" " * 3000, b"\n" * 3000))
    return content[:start] + put + content[start:]


def _repeat(draw: random.Random, content: bytes) -> bytes:
    start = draw.randrange(len(content) + 1)
    piece = content[start : start + draw.choice((1, 12, 60, 500))]
    return content[:start] + piece * draw.choice((2, 3, 50)) + content[start:]


def _token(draw: random.Random, content: bytes) -> bytes:
    """Another word in place of a number or word, early in the file as a rule."""
    found = list(_TOKEN.finditer(content, 0, draw.choice((200, 500, 500, len(content)))))
    if not found:
        return content
    match = draw.choice(found)
    return content[: match.start()] + draw.choice(_HOSTILE) + content[match.end() :]


def _lines(draw: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    first, second = draw.randrange(min(len(lines), 20)), draw.randrange(len(lines))
    what = draw.randrange(3)
    if what == 0:
        lines[first], lines[second] = lines[second], lines[first]
    elif what == 1:
        lines.insert(second, lines[first])
    else:
        del lines[first]
    return b"\n".join(lines)


def _join(draw: random.Random, content: bytes) -> bytes:
    other = draw.choice((content, CORPUS[draw.choice(sorted(CORPUS))]))
    return content[: draw.randrange(len(content) + 1)] + other[draw.randrange(len(other) + 1) :]


_CHANGES: list[Callable[[random.Random, bytes], bytes]] = [
    _flip, _flip_early, _cut, _drop, _insert, _repeat, _token, _token, _token, _lines, _join,
]  # fmt: skip


def guarded(message: str) -> bool:
    """Whether a sentence is that of the guard for what nobody thought of, or of too little memory."""
    return "needs more memory" in message or _GUARDED.search(message) is not None


class TooSlow(BaseException):
    """A mutant took longer than `SECONDS`; not an `Exception`, so that no reader can catch it."""


def _alarm(*_: object) -> None:
    raise TooSlow


def judge(name: str, content: bytes, folder: Path) -> str | None:
    """What is wrong with how a mutant was read, or None. A refusal and a right cloud are both right."""
    from dusnet.errors import BadInput
    from dusnet.io import read_cloud, read_scalars

    path = folder / name
    path.write_bytes(content)
    answers = []
    for read in (lambda: read_cloud(path, mesh_points=20), lambda: read_scalars(path)):
        try:
            answers.append(read())
        except BadInput as error:
            message = str(error)
            if guarded(message):
                return f"only the guard caught {error.__cause__!r}"[:300]
            if not message.startswith(str(path)) or not message.isprintable() or len(message) > 700 + len(str(path)):
                return f"no sentence for people: {message[:300]!r}"
        except (Exception, TooSlow) as error:
            return f"{type(error).__name__}: {str(error)[:200]}"
    if not answers:
        return None
    if isinstance(answers[-1], tuple):
        cloud, scalars = answers.pop()
        answers.append(cloud)
        if any(values.shape != (len(cloud),) for values in scalars.values()):
            return "scalars of another length"
    for cloud in answers:
        if not len(cloud) or not np.isfinite(cloud.points).all() or np.abs(cloud.points).max() > LARGEST:
            return "no points, or coordinates that nothing can be computed with"
        if cloud.normals is not None:
            length = np.linalg.norm(cloud.normals, axis=1)
            if not (np.isclose(length, 1) | (length == 0)).all():
                return "normals that are not unit length"
    expected = oracle(name, content)
    if expected is not None:
        expected = expected[np.isfinite(expected).all(axis=1)]
        zeros = (expected == 0).all(axis=1)
        expected = expected[~zeros] if zeros.sum() > 1 else expected
        if not np.array_equal(answers[-1].points, expected):
            return "other points than an independent reading gives"
    return None


def oracle(name: str, content: bytes) -> np.ndarray | None:
    """All points of a file read in the plainest way, or None where its beginning is not that of the good file."""
    try:
        if name.endswith(".npy"):
            return np.load(io.BytesIO(content), allow_pickle=False)[:, :3].astype(np.float64)
        if name in _TEXTS:
            return _text_oracle(name, content.decode("ascii"))
        if name in _BINARIES:
            mark, wide, skip, order, count = _BINARIES[name]
            start = CORPUS[name].find(mark) + len(mark) if mark else 84
            if not mark or content[:start] == CORPUS[name][:start]:
                body = np.frombuffer(content[start : start + count * wide], np.uint8).reshape(count, wide)[:, skip:]
                values = np.ascontiguousarray(body[:, : (wide - skip) // 12 * 12]).view(order + "f4").astype(float)
                return np.unique(values.reshape(-1, 3), axis=0) if not mark else values[:, :3]
    except (ValueError, IndexError, OverflowError, SyntaxError, TypeError):
        return None
    return None


# Of binary files: what the header ends with, bytes per row, bytes to skip in each, byte order, rows.
_BINARIES = {
    "binary_little_endian.ply": (b"end_header\n", 12, 0, "<", 40),
    "binary_big_endian.ply": (b"end_header\n", 12, 0, ">", 40),
    "binary.pcd": (b"DATA binary\n", 19, 0, "<", 40),
    "binary.stl": (b"", 50, 12, "<", 30),
}
# Of text files: lines above the numbers, the first column of the coordinates, what separates columns.
_TEXTS: dict[str, tuple[int, int, str | None]] = {
    "plain.xyz": (0, 0, None),
    "count.pts": (1, 0, None),
    "named.csv": (1, 1, ","),
    "position.txt": (1, 1, None),
    "semicolon.asc": (1, 1, ";"),
    "ascii.ply": (8, 0, None),
    "ascii.pcd": (11, 0, None),
    "mesh.obj": (0, 1, None),
    "mesh.off": (2, 0, None),
}


def _text_oracle(name: str, text: str) -> np.ndarray | None:
    above, first, mark = _TEXTS[name]
    lines = text.split("\n")
    same = lines[:above] == CORPUS[name].decode("ascii").split("\n")[:above]
    if not same or re.search(r"[#\\]" if name == "mesh.obj" else r'["#/%]', "".join(lines[above:])):
        return None
    rows = [line.replace(",", "." if mark == ";" else ",").split(mark) for line in lines[above:] if line.strip()]
    if name == "mesh.obj":
        rows = [row for row in rows if row[0] == "v"]
    elif name == "mesh.off":
        rows = rows[:40]
    elif any(len(row) != len(rows[0]) for row in rows):
        return None  # numbers of ascii PLY and PCD may stand on any line
    if name == "mesh.obj" and any(len(row) != 4 for row in rows):
        return None  # weights and colours
    return np.array([[float(word) for word in row[first : first + 3]] for row in rows]).reshape(-1, 3)


def run(first: int, count: int, folder: Path) -> dict[str, object]:
    """Judge the mutants `first` to `first + count - 1`; limits hold from here on."""
    from dusnet.errors import BadInput
    from dusnet.io import read_cloud

    for name, content in CORPUS.items():  # the good files are read, and everything is imported
        (folder / name).write_bytes(content)
        read_cloud(folder / name, mesh_points=20)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    signal.signal(signal.SIGALRM, _alarm)
    warnings.simplefilter("error")
    failures: list[str] = []
    accepted = 0
    for seed in range(first, first + count):
        name, content = mutant(seed)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            wrong = judge(name, content, folder)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TooSlow:
            wrong = "too slow"
        if wrong is not None:
            failures.append(f"seed {seed} ({name}): {wrong}")
        try:
            read_cloud(folder / name, mesh_points=20)
            accepted += 1
        except BadInput:
            pass
        except Exception:  # already among the failures
            pass
    return {"count": count, "accepted": accepted, "failures": failures}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
