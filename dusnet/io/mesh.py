"""Triangle meshes: OBJ, OFF and STL, and points drawn evenly from a surface.

The three readers are our own because a general mesh library may reorder or merge vertices, and reads a damaged file as
an empty or smaller mesh without a word; here every announced count is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.columns import RawCloud, cut_note, fan_triangles
from dusnet.io.numbers import check_words, count_of


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: (V, 3) float64 in the unit of the file.
        faces: indices of vertices, (F, 3) int64.
        path: the file that it came from, or None.
        sha256: of the bytes of that file as they were read, hexadecimal digits, or None.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    path: Path | None = None
    sha256: str | None = None


def sample_mesh(
    mesh: Mesh, count: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw points from a surface, every part of it with the same chance per area.

    Args:
        mesh: the mesh.
        count: how many points, at least 1.
        generator: the source of randomness.

    Returns:
        points (count, 3) float64 and the unit normals (count, 3) of their triangles.

    Raises:
        BadInput: the mesh has no area or vertices that are not finite.
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    name = str(mesh.path) if mesh.path is not None else "the mesh"
    corners = mesh.vertices[mesh.faces]
    if not np.isfinite(corners).all():
        raise BadInput(f"{name} has vertices with NaN or infinite coordinates; export it again.")
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = np.cross(first, second)
    doubled = np.linalg.norm(cross, axis=1)
    total = np.cumsum(doubled)
    if not len(total) or not total[-1] > 0:
        raise BadInput(f"{name} has no surface: all its triangles are degenerate; export it again.")
    chosen = np.searchsorted(total, generator.random(count) * total[-1], side="right")
    # Points of the unit square beyond its diagonal are folded back into the triangle.
    weights = generator.random((count, 2))
    weights = np.where(weights.sum(axis=1, keepdims=True) > 1, 1 - weights, weights)
    points = corners[chosen, 0] + weights[:, :1] * first[chosen] + weights[:, 1:] * second[chosen]
    return points, cross[chosen] / doubled[chosen, None]


def parse_mesh(path: Path, data: bytes) -> RawCloud:
    """Read an OBJ, OFF or STL file; one without faces is a cloud.

    Args:
        path: the file; its suffix decides the format.
        data: its content.

    Raises:
        BadInput: the file is damaged.
    """
    if path.suffix.lower() == ".stl":
        # STL repeats a vertex in each of its triangles; equal ones are one vertex of the surface.
        vertices, places = np.unique(_read_stl(path, data), axis=0, return_inverse=True)
        return RawCloud(points=vertices, faces=places.astype(np.int64).reshape(-1, 3))
    parts = (_read_obj if path.suffix.lower() == ".obj" else _read_off)(path, data)
    vertices = np.array(parts.vertices, np.float64).reshape(-1, 3)
    # As Python numbers, since an index may be larger than any type of an array.
    corners = np.array(parts.corners, dtype=object)
    faces = fan_triangles(path, np.array(parts.counts, np.int64), corners, len(vertices))
    return RawCloud(points=vertices, faces=faces, notes=[*parts.notes, *cut_note(data)])


@dataclass(frozen=True)
class _Parts:
    vertices: list[list[float]]
    counts: list[int]  # corners per face
    corners: list[int]  # of all faces
    notes: tuple[str, ...] = ()


def _bad_line(path: Path, number: int) -> BadInput:
    kind = path.suffix[1:].upper()
    return BadInput(
        f"{path} cannot be read as {kind}: line {number} is not as {kind} has it; "
        "it is truncated or damaged, export it again."
    )


def _three(words: Sequence[bytes]) -> list[float]:
    x, y, z = words
    return [float(x), float(y), float(z)]


def _obj_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines without comments, with the number of the first; a backslash at the end joins one with the next."""
    joined: list[bytes] = []
    start = 1
    for number, line in enumerate(data.splitlines(), start=1):
        if line.endswith(b"\\"):
            joined.append(line[:-1])
            continue
        yield start, b" ".join([*joined, line]).split(b"#", 1)[0]
        joined = []
        start = number + 1
    yield start, b" ".join(joined).split(b"#", 1)[0]


def _read_obj(path: Path, data: bytes) -> _Parts:
    vertices: list[list[float]] = []
    counts: list[int] = []
    corners: list[int] = []
    divided = 0
    if b"\0" in data:
        raise BadInput(f"{path} cannot be read as OBJ: it is not text; it is damaged, export it again.")
    for number, line in _obj_lines(data):
        words = line.split()
        if not words:
            continue
        try:
            if words[0] == b"v":
                check_words(line)
                vertex, weight = _obj_vertex(words[1:])
                vertices.append(vertex)
                divided += weight != 1.0
            elif words[0] == b"f":
                check_words(line)
                indices = [int(word.split(b"/", 1)[0]) for word in words[1:]]
                if len(indices) < 3 or 0 in indices:
                    raise ValueError("face")
                counts.append(len(indices))
                corners += [index - 1 if index > 0 else len(vertices) + index for index in indices]
            elif words[0][:1] in b"+-.0123456789":
                raise ValueError("numbers without a keyword")
        except ValueError as error:
            raise _bad_line(path, number) from error
    if not vertices:
        raise BadInput(f"{path} has no vertices; it is damaged or not an OBJ file, export it again.")
    notes = (f"{divided} vertices have a fourth number (w) and were divided by it",) if divided else ()
    return _Parts(vertices, counts, corners, notes)


def _obj_vertex(words: Sequence[bytes]) -> tuple[list[float], float]:
    """A vertex and its weight: `x y z`, `x y z w`, or `x y z` with a colour of three or more numbers.

    Raises:
        ValueError: it is none of these, or the weight is one that nothing can be divided by.
    """
    x, y, z = _three(words[:3])
    if len(words) == 5:
        raise ValueError("five numbers")
    if len(words) != 4:
        return [x, y, z], 1.0
    weight = float(words[3])
    if not np.isfinite(weight) or weight == 0.0:
        raise ValueError("weight")
    return ([x, y, z] if weight == 1.0 else [x / weight, y / weight, z / weight]), weight


def _read_off(path: Path, data: bytes) -> _Parts:
    lines = [
        (number, line)
        for number, raw in enumerate(data.splitlines(), start=1)
        if (line := raw.split(b"#", 1)[0].strip())
    ]
    match = re.match(rb"(ST)?C?N?OFF\s*(.*)", lines[0][1]) if lines else None
    if match is None:
        raise BadInput(f"{path} does not start like an OFF file; it is damaged or has the wrong ending.")
    # Some writers put the counts on the line of the keyword, even without a space.
    rest = [(lines[0][0], match[2]), *lines[1:]] if match[2] else lines[1:]
    try:
        vertex_count, face_count = (count_of(word.decode("latin-1")) for word in rest[0][1].split()[:2])
    except (ValueError, IndexError) as error:
        raise _bad_line(path, rest[0][0] if rest else lines[0][0]) from error
    if len(rest) != 1 + vertex_count + face_count:
        raise BadInput(
            f"{path} announces {vertex_count} vertices and {face_count} faces but holds {len(rest) - 1} rows; "
            "it is truncated or damaged, export it again."
        )
    vertices: list[list[float]] = []
    counts: list[int] = []
    corners: list[int] = []
    for number, row in rest[1:]:
        try:
            check_words(row)
            words = row.split()
            if len(vertices) < vertex_count:
                vertices.append(_three(words[:3]))
                continue
            count = count_of(words[0].decode("latin-1"))
            if len(words) <= count:
                raise ValueError("face")
            counts.append(count)
            corners += [int(word) for word in words[1 : 1 + count]]
        except ValueError as error:
            raise _bad_line(path, number) from error
    return _Parts(vertices, counts, corners)


def _read_stl(path: Path, data: bytes) -> NDArray[np.float64]:
    """The corners of all triangles, (3 F, 3)."""
    count = int(np.frombuffer(data, "<u4", 1, 80)[0]) if len(data) >= 84 else -1
    if count >= 0 and len(data) == 84 + 50 * count:
        rows = np.frombuffer(data, np.dtype([("floats", "<f4", (12,)), ("attribute", "<u2")]), count, 84)
        return rows["floats"][:, 3:].reshape(-1, 3).astype(np.float64)
    if data.lstrip()[:5].lower() == b"solid":
        return np.array(_text_stl(path, data), np.float64).reshape(-1, 3)
    raise BadInput(
        f"{path} is neither a text STL nor a binary STL of the size that its header announces; "
        "it is truncated or damaged, export it again."
    )


def _text_stl(path: Path, data: bytes) -> list[list[float]]:
    """Three vertices per facet, all facets within solids that are closed."""
    vertices: list[list[float]] = []
    facets = 0
    inside = False
    for number, line in enumerate(data.rstrip(b"\0\x1a").splitlines(), start=1):  # an old end-of-file mark, padding
        words = line.split()
        if not words:
            continue
        keyword = words[0].lower()
        try:
            if inside == (keyword == b"solid"):  # text behind a solid, or one within another
                raise ValueError("solid")
            if keyword == b"solid":
                inside = True
            elif keyword == b"endsolid":
                inside = False
            elif keyword == b"vertex":
                check_words(line)
                vertices.append(_three(words[1:]))
            elif keyword == b"endfacet":
                facets += 1
            if keyword in (b"endfacet", b"endsolid") and len(vertices) != 3 * facets:
                raise ValueError("facet")
        except ValueError as error:
            raise _bad_line(path, number) from error
    if inside:
        raise BadInput(f"{path} cannot be read as STL: its last solid has no end; it is truncated, export it again.")
    return vertices
