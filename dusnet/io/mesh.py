"""Triangle meshes: OBJ, OFF and STL, and points drawn evenly from a surface.

The three readers are our own because a general mesh library may reorder or merge vertices, and reads a damaged file as
an empty or smaller mesh without a word; here every announced count is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.columns import RawCloud, cut_note
from dusnet.io.ply import fan_triangles


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
    reader = {".obj": _read_obj, ".off": _read_off, ".stl": _read_stl}[path.suffix.lower()]
    try:
        vertices, counts, corners = reader(path, data)
    except (ValueError, IndexError) as error:
        kind = path.suffix[1:].upper()
        raise BadInput(f"{path} cannot be read as {kind}; it is truncated or damaged, export it again.") from error
    if len(corners) and not 0 <= corners.min() <= corners.max() < len(vertices):
        raise BadInput(f"{path} has faces that use vertices which do not exist; it is damaged, export it again.")
    notes = [] if path.suffix.lower() == ".stl" else cut_note(data)  # a text STL says where it ends
    return RawCloud(points=vertices, faces=fan_triangles(counts, corners), notes=notes)


_Parts = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]  # vertices, corners per face, all corners


def _read_obj(path: Path, data: bytes) -> _Parts:
    vertices: list[list[float]] = []
    counts: list[int] = []
    corners: list[int] = []
    if b"\0" in data:
        raise ValueError("binary")
    for line in data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == b"v":
            x, y, z, *_ = words[1:]
            vertices.append([float(x), float(y), float(z)])
        elif words[0] == b"f":
            indices = [int(word.split(b"/", 1)[0]) for word in words[1:] if not word.startswith(b"#")]
            if len(indices) < 3 or 0 in indices:
                raise ValueError("face")
            counts.append(len(indices))
            corners += [index - 1 if index > 0 else len(vertices) + index for index in indices]
    if not vertices:
        raise BadInput(f"{path} has no vertices; it is damaged or not an OBJ file, export it again.")
    return np.array(vertices), np.array(counts, np.int64), np.array(corners, np.int64)


def _read_off(path: Path, data: bytes) -> _Parts:
    text = data.decode("ascii", errors="replace")
    lines = [line for raw in text.splitlines() if (line := raw.split("#")[0].strip())]
    match = re.match(r"(ST)?C?N?OFF\s*(.*)", lines[0]) if lines else None
    if match is None:
        raise BadInput(f"{path} does not start like an OFF file; it is damaged or has the wrong ending.")
    # Some writers put the counts on the line of the keyword, even without a space.
    rest = [match[2], *lines[1:]] if match[2] else lines[1:]
    vertex_count, face_count = (int(word) for word in rest[0].split()[:2])
    if min(vertex_count, face_count) < 0 or len(rest) != 1 + vertex_count + face_count:
        raise BadInput(
            f"{path} announces {vertex_count} vertices and {face_count} faces but holds {len(rest) - 1} rows; "
            "it is truncated or damaged, export it again."
        )
    vertices = [[float(word) for word in row.split()[:3]] for row in rest[1 : 1 + vertex_count]]
    counts: list[int] = []
    corners: list[int] = []
    for row in rest[1 + vertex_count :]:
        words = row.split()
        count = int(words[0])
        if count < 0 or len(words) <= count:
            raise ValueError("face")
        counts.append(count)
        corners += [int(word) for word in words[1 : 1 + count]]
    return np.array(vertices).reshape(-1, 3), np.array(counts, np.int64), np.array(corners, np.int64)


def _read_stl(path: Path, data: bytes) -> _Parts:
    count = int(np.frombuffer(data, "<u4", 1, 80)[0]) if len(data) >= 84 else -1
    if count >= 0 and len(data) == 84 + 50 * count:
        rows = np.frombuffer(data, np.dtype([("floats", "<f4", (12,)), ("attribute", "<u2")]), count, 84)
        soup = rows["floats"][:, 3:].reshape(-1, 3).astype(np.float64)
    elif data.lstrip()[:5].lower() == b"solid":
        found = re.findall(rb"^\s*vertex\s+(\S+)\s+(\S+)\s+(\S+)\s*$", data, re.MULTILINE | re.IGNORECASE)
        facets = len(re.findall(rb"^\s*endfacet\b", data, re.MULTILINE | re.IGNORECASE))
        solids, ends = (
            len(re.findall(rb"^\s*" + word + rb"\b", data, re.MULTILINE | re.IGNORECASE))
            for word in (b"solid", b"endsolid")
        )
        if len(found) != 3 * facets or solids != ends:
            raise ValueError("truncated")
        soup = np.array(found).astype(np.float64).reshape(-1, 3)
    else:
        raise BadInput(
            f"{path} is neither a text STL nor a binary STL of the size that its header announces; "
            "it is truncated or damaged, export it again."
        )
    # STL repeats a vertex in each of its triangles; equal ones are one vertex of the surface.
    vertices, corners = np.unique(soup, axis=0, return_inverse=True)
    corners = corners.reshape(-1).astype(np.int64)
    return vertices, np.full(len(corners) // 3, 3, np.int64), corners
