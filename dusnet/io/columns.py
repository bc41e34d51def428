"""Named columns of numbers, which is what every point format comes down to, and the cloud that they describe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.numbers import LARGEST_COORDINATE, shown

Column = NDArray[Any]

_NORMALS = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"), ("normalx", "normaly", "normalz"))
_COLORS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))


@dataclass
class RawCloud:
    """Everything that a file holds, before any row is dropped.

    Attributes:
        points: (N, 3) float64, rows may hold NaN.
        normals: (N, 3) float64 as stored, or None.
        colors: (N, 3) uint8, or None.
        scalars: every other number per point by its name in the file, each (N,).
        faces: triangles of a mesh, (F, 3) int64, or None.
        notes: what the reader ignored or had to assume.
        sha256: of the bytes that were read, as hexadecimal digits; set by `dusnet.io.clouds.read_raw`.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64] | None = None
    colors: NDArray[np.uint8] | None = None
    scalars: dict[str, Column] = field(default_factory=dict)
    faces: NDArray[np.int64] | None = None
    notes: list[str] = field(default_factory=list)
    sha256: str | None = None

    def empty_pixels(self) -> NDArray[np.bool_]:
        """Which rows are a scanner's empty pixels, (N,) bool: those at exactly 0, 0, 0 where there are several.

        A single one may be a point. Vertices of a mesh are never pixels.
        """
        if self.faces is not None and len(self.faces):
            return np.zeros(len(self.points), np.bool_)
        zero: NDArray[np.bool_] = np.asarray((self.points == 0.0).all(axis=1))
        return zero if zero.sum() > 1 else np.zeros_like(zero)

    def check_range(self, path: Path) -> None:
        """Refuse coordinates that arithmetic on them would turn into infinity.

        Args:
            path: the file, for messages.

        Raises:
            BadInput: a finite coordinate is beyond `LARGEST_COORDINATE`.
        """
        size = np.abs(self.points)
        far = int((np.isfinite(size) & (size > LARGEST_COORDINATE)).any(axis=1).sum())
        if far:
            raise BadInput(
                f"{path} has {far} points with coordinates beyond {LARGEST_COORDINATE:.0e}, which no part has; "
                "it is damaged, export it again."
            )


def cloud_from_columns(path: Path, columns: Mapping[str, Column]) -> RawCloud:
    """The cloud that named columns describe; names are compared without regard to case.

    Args:
        path: the file, for messages.
        columns: one (N,) array per name; `x`, `y`, `z` are required, normals and colours are found under the names
            that PLY and PCD writers use, the rest becomes `scalars`.

    Raises:
        BadInput: there are no columns x, y and z.
    """
    by_lower = {name.lower(): name for name in columns}
    if not all(axis in by_lower for axis in "xyz"):
        found = shown(list(columns)) if columns else "nothing"
        raise BadInput(
            f"{path} has no x, y and z per point (found: {found}); it is not a point cloud, export it as one."
        )
    used = {by_lower[axis] for axis in "xyz"}

    def stacked(candidates: tuple[tuple[str, str, str], ...]) -> NDArray[Any] | None:
        for names in candidates:
            if all(name in by_lower for name in names):
                used.update(by_lower[name] for name in names)
                return np.stack([columns[by_lower[name]] for name in names], axis=1)
        return None

    points = np.stack([columns[by_lower[axis]].astype(np.float64) for axis in "xyz"], axis=1)
    normals, colors = stacked(_NORMALS), stacked(_COLORS)
    return RawCloud(
        points=points,
        normals=None if normals is None else normals.astype(np.float64),
        colors=None if colors is None else color_bytes(colors),
        scalars={name: column for name, column in columns.items() if name not in used},
    )


def check_names(path: Path, names: Iterable[str]) -> None:
    """Refuse columns that are there twice, where only one can be the coordinate, the normal or the colour.

    Args:
        path: the file, for messages.
        names: of all columns of a file, before a mapping makes one of two.

    Raises:
        BadInput: a coordinate, a component of the normal or a colour has two columns.
    """
    taken = {*"xyz", *(name for triple in (*_NORMALS, *_COLORS) for name in triple)}
    twice = [name for name, count in Counter(name.lower() for name in names).items() if count > 1 and name in taken]
    if twice:
        raise BadInput(f"{path} has more than one column called {shown(twice)}; keep one of each and export it again.")


def color_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours from 0 to 255, whatever the file stores.

    Args:
        values: (N, 3) integers of 8 or 16 bits, or floats from 0 to 1 or from 0 to 255.

    Returns:
        (N, 3) uint8.
    """
    if np.issubdtype(values.dtype, np.floating):
        finite = np.where(np.isfinite(values) & (values > 0.0), values, 0.0)
        scale = 255.0 if finite.size and finite.max() <= 1.0 else 1.0
        return np.clip(np.rint(finite * scale), 0, 255).astype(np.uint8)
    wide = values.astype(np.int64)
    if wide.size and wide.max() > 255:
        wide >>= 8
    return (wide & 255).astype(np.uint8)


def cut_note(text: bytes) -> list[str]:
    """A note for a text file whose last line has no end, since its last number may have lost digits unseen."""
    if text[-1:].isspace():
        return []
    return ["the file does not end with a line end; if it was cut off, its last number is wrong"]


def too_long(path: Path) -> BadInput:
    """The error of a file with something behind its points."""
    return BadInput(f"{path} holds more data than its header announces; it is damaged, export it again.")


def fan_triangles(path: Path, counts: NDArray[np.int64], corners: NDArray[Any], vertices: int) -> NDArray[np.int64]:
    """Polygons cut into triangles around their first corner, in the order of the polygons.

    Args:
        path: the file, for messages.
        counts: corners per polygon, (P,).
        corners: the vertices of all polygons behind one another, (sum of counts,); Python numbers where no type of an
            array may hold them.
        vertices: how many there are.

    Returns:
        (F, 3) int64; polygons of fewer than three corners give none.

    Raises:
        BadInput: a corner is no vertex.
    """
    if len(corners) and not 0 <= corners.min() <= corners.max() < vertices:
        raise BadInput(f"{path} has faces that use vertices which do not exist; it is damaged, export it again.")
    corners = corners.astype(np.int64)
    starts = np.cumsum(counts) - counts
    fans = np.maximum(counts - 2, 0)
    polygon = np.repeat(np.arange(len(counts)), fans)
    step = np.arange(len(polygon)) - np.repeat(np.cumsum(fans) - fans, fans)
    first = starts[polygon]
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], axis=1)
