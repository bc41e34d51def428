"""The formats behind one pair of functions: `read_cloud` and `write_cloud`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.io.arrays import read_npy, read_npz
from dusnet.io.columns import Column, RawCloud
from dusnet.io.files import atomic_path, read_bytes, unreadable
from dusnet.io.guard import only_bad_input
from dusnet.io.marks import FileKind, comments_of, is_result, kind_of
from dusnet.io.mesh import Mesh, parse_mesh, sample_mesh
from dusnet.io.pcd import read_pcd, write_pcd
from dusnet.io.ply import read_ply, write_ply
from dusnet.io.text import read_text

_READERS: dict[str, Callable[[Path, bytes], RawCloud]] = {
    ".ply": read_ply,
    ".pcd": read_pcd,
    ".xyz": read_text,
    ".asc": read_text,
    ".pts": read_text,
    ".txt": read_text,
    ".csv": read_text,
    ".npy": read_npy,
    ".npz": read_npz,
    ".obj": parse_mesh,
    ".off": parse_mesh,
    ".stl": parse_mesh,
}
SHARED_SUFFIXES = (".txt", ".csv")  # that other files beside scans have too
_LARGEST_NORMAL = 1e100
_WRITTEN_SUFFIXES = (".ply", ".pcd", ".xyz")
CLOUD_SUFFIXES: tuple[str, ...] = tuple(_READERS)


def read_raw(path: Path) -> RawCloud:
    """Everything that a file holds, in any supported format.

    Args:
        path: the file; its suffix decides the format.

    Raises:
        BadInput: the format is not supported, or the file cannot be read, for whatever reason.
    """
    suffix = path.suffix.lower()
    if suffix not in _READERS and path.exists() and not path.is_dir():
        advice = "convert it to PLY" if suffix == ".e57" else f"use one of {', '.join(CLOUD_SUFFIXES)}"
        supported = f" (supported are {', '.join(CLOUD_SUFFIXES)})" if suffix == ".e57" else ""
        raise BadInput(f"{path} has a format that cannot be read{supported}; {advice}.")
    with only_bad_input(path):
        data = read_bytes(path)  # complains where there is no file at all, whatever the suffix
        raw = _READERS[suffix](path, data)
        raw.check_range(path)
    raw.sha256 = hashlib.sha256(data).hexdigest()  # of what was read, whatever becomes of the file
    return raw


def read_cloud(path: Path, *, mesh_points: int = 50_000, seed: int = 0, as_vertices: bool = False) -> PointCloud:
    """Read a scan.

    A file with faces is a mesh: points are drawn evenly from its surface. Rows whose coordinates are NaN or infinite
    are dropped, and so are rows that are exactly 0, 0, 0 where there is more than one of them. `notes` says what was
    done.

    Args:
        path: a file in one of `CLOUD_SUFFIXES`.
        mesh_points: points that are drawn from a mesh.
        seed: of the drawing.
        as_vertices: take the vertices of a mesh as the points instead.

    Returns:
        the points in the unit and the order of the file, float64 without loss; normals have length one.

    Raises:
        BadInput: the file cannot be read as a cloud.
    """
    raw = read_raw(path)
    if raw.faces is not None and len(raw.faces) and not as_vertices:
        return _sampled(path, raw, mesh_points, seed)
    return _cleaned(path, raw)[0]


def read_mesh(path: Path) -> Mesh:
    """Read a triangle mesh; polygons are cut into triangles.

    Args:
        path: a PLY, OBJ, OFF or STL file with faces. The vertices keep the order of the file, except in STL, where
            equal ones become one.

    Raises:
        BadInput: the file cannot be read, or has no faces or no surface.
    """
    raw = read_raw(path)
    if raw.faces is None or not len(raw.faces):
        raise BadInput(f"{path} has no faces; a mesh is needed, not a point cloud.")
    if not np.isfinite(raw.points).all():
        raise BadInput(f"{path} has vertices with NaN or infinite coordinates; export it again.")
    return Mesh(raw.points, raw.faces, path, raw.sha256)


def read_scalars(path: Path) -> tuple[PointCloud, dict[str, NDArray[np.float64]]]:
    """Read a cloud together with its other numbers per point, such as the scores of a result file.

    Args:
        path: a file in one of `CLOUD_SUFFIXES`; the vertices of a mesh are its points.

    Returns:
        the cloud, and by name one (N,) float64 array per scalar, in the order of its points.

    Raises:
        BadInput: the file cannot be read as a cloud.
    """
    raw = read_raw(path)
    cloud, kept = _cleaned(path, raw)
    return cloud, {name: column.astype(np.float64)[kept] for name, column in raw.scalars.items()}


def _sampled(path: Path, raw: RawCloud, count: int, seed: int) -> PointCloud:
    assert raw.faces is not None
    mesh = Mesh(raw.points, raw.faces, path)
    points, normals = sample_mesh(mesh, count, np.random.default_rng(seed))
    note = f"a mesh of {len(raw.faces)} triangles: {count} points were drawn from its surface"
    return PointCloud(points, normals=normals, path=path, notes=(*raw.notes, note), sha256=raw.sha256)


def usable_rows(path: Path, raw: RawCloud) -> tuple[NDArray[np.bool_], int, int]:
    """Which rows of a file are points of the scan.

    Args:
        path: the file, for messages.
        raw: what it holds.

    Returns:
        (N,) bool, True for a point; how many rows have NaN or infinite coordinates; how many are empty pixels.

    Raises:
        BadInput: none is.
    """
    if not len(raw.points):
        raise BadInput(f"{path} holds no points; export the scan again or leave the file out.")
    finite = np.asarray(np.isfinite(raw.points).all(axis=1))
    empty = raw.empty_pixels()
    kept: NDArray[np.bool_] = finite & ~empty
    infinite, zeros = len(kept) - int(finite.sum()), int(empty.sum())
    if not kept.any():
        what = (
            "all with NaN or infinite coordinates"
            if not zeros
            else f"{zeros} at exactly 0, 0, 0 and {infinite} with NaN or infinite coordinates"
            if infinite
            else "all at exactly 0, 0, 0"
        )
        raise BadInput(f"{path} holds {len(kept)} points, {what}; export the scan again.")
    return kept, infinite, zeros


def _cleaned(path: Path, raw: RawCloud) -> tuple[PointCloud, NDArray[np.bool_]]:
    """The cloud of the rows that are points, and which rows those are."""
    kept, infinite, zeros = usable_rows(path, raw)
    notes = list(raw.notes)
    if infinite:
        notes.append(f"{infinite} of {len(kept)} points had NaN or infinite coordinates and were dropped")
    if zeros:
        notes.append(f"{zeros} of {len(kept)} points were exactly 0, 0, 0, a scanner's empty pixels, and were dropped")
    if raw.faces is not None and len(raw.faces):
        notes.append(f"a mesh of {len(raw.faces)} triangles: its vertices were taken as points")
    cloud = PointCloud(
        raw.points,
        normals=_unit(raw.normals),
        colors=raw.colors,
        path=path,
        notes=tuple(notes),
        sha256=raw.sha256,
    )
    return (cloud.select(kept) if infinite or zeros else cloud), kept


def _unit(normals: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Normals of length one; where a file has none (zero or NaN) they are zero, and none at all is None."""
    if normals is None:
        return None
    known = np.where(np.isfinite(normals).all(axis=1, keepdims=True), normals, 0.0)
    size = np.abs(known).max(axis=1, keepdims=True, initial=0.0)
    extreme = (size > _LARGEST_NORMAL) | ((size > 0.0) & (size < 1.0 / _LARGEST_NORMAL))
    if extreme.any():  # their squares would be infinite or zero
        known = np.where(extreme, known / np.where(size > 0.0, size, 1.0), known)
    length = np.linalg.norm(known, axis=1, keepdims=True)
    return known / np.where(length > 0, length, 1.0) if length.any() else None


def write_cloud(
    path: Path,
    cloud: PointCloud,
    *,
    scalars: Mapping[str, NDArray[Any]] | None = None,
    result: FileKind | None = None,
) -> None:
    """Write a cloud in place of whatever `path` held.

    Args:
        path: .ply (binary little endian), .pcd (binary) or .xyz (text with a header line).
        cloud: the cloud; coordinates are float32 unless that would move a point by more than a millionth of the
            extent, then float64.
        scalars: more numbers per point by their name in the file, each (N,): floats become `float`, bool and uint8
            become `uchar`, other integers `int`.
        result: which part of a result a .ply file is; it is then marked and never taken for a scan. None is a scan.

    Raises:
        BadInput: the suffix is not one of these, or the file cannot be written.
        ValueError: a scalar has the wrong length, a type that cannot be written, or a name that is taken.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITTEN_SUFFIXES:
        raise BadInput(f"{path} has a format that cannot be written; use one of {', '.join(_WRITTEN_SUFFIXES)}.")
    columns = _columns(cloud, scalars or {}, pcd=suffix == ".pcd")
    with atomic_path(path) as temporary:
        if suffix == ".ply":
            write_ply(temporary, columns, comments=comments_of(result))
        elif suffix == ".pcd":
            write_pcd(temporary, columns)
        else:
            _write_xyz(temporary, columns)


def _columns(cloud: PointCloud, scalars: Mapping[str, NDArray[Any]], *, pcd: bool) -> dict[str, Column]:
    kind = np.float64 if needs_double(cloud.points) else np.float32
    columns: dict[str, Column] = {axis: cloud.points[:, i].astype(kind) for i, axis in enumerate("xyz")}
    if cloud.normals is not None:
        names = ("normal_x", "normal_y", "normal_z") if pcd else ("nx", "ny", "nz")
        columns.update({name: cloud.normals[:, i].astype(np.float32) for i, name in enumerate(names)})
    if cloud.colors is not None and pcd:
        red, green, blue = (cloud.colors[:, i].astype(np.uint32) for i in range(3))
        columns["rgb"] = red << 16 | green << 8 | blue
    elif cloud.colors is not None:
        columns.update({name: cloud.colors[:, i] for i, name in enumerate(("red", "green", "blue"))})
    for name, values in scalars.items():
        if name in columns or not re.fullmatch(r"[!-~]+", name):
            raise ValueError(f"a scalar cannot be called {name!r}: the name is taken or has characters beyond ASCII")
        if values.shape != (len(cloud),):
            raise ValueError(f"scalar {name!r} must be {(len(cloud),)}, got {values.shape}")
        columns[name] = _scalar(name, values)
    return columns


def _scalar(name: str, values: NDArray[Any]) -> Column:
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if values.dtype in (np.dtype(np.bool_), np.dtype(np.uint8)):
        return values.astype(np.uint8)
    if values.dtype.kind in "iu" and (not values.size or -(2**31) <= values.min() <= values.max() < 2**31):
        return values.astype(np.int32)
    raise ValueError(f"scalar {name!r} has the type {values.dtype} or values that no format can hold")


def needs_double(points: NDArray[np.float64]) -> bool:
    """Whether float32 would move a point by more than a millionth of the extent of the cloud.

    Args:
        points: (N, 3) float64, finite.
    """
    if not len(points):
        return False
    with np.errstate(over="ignore"):
        moved = np.abs(points.astype(np.float32).astype(np.float64) - points).max()
    return bool(moved > 1e-6 * float(np.ptp(points, axis=0).max()))


def _write_xyz(path: Path, columns: Mapping[str, Column]) -> None:
    formats = [f"%.{9 if c.dtype == np.float32 else 17}g" if c.dtype.kind == "f" else "%d" for c in columns.values()]
    rows = np.stack([column.astype(np.float64) for column in columns.values()], axis=1)
    np.savetxt(path, rows, fmt=formats, header=" ".join(columns), comments="# ", encoding="ascii")


def find_clouds(path: Path) -> list[Path]:
    """The scans that a path names.

    Args:
        path: a file, returned as it is, or a folder, of which the files with known suffixes are returned in natural
            order (scan2 before scan10), not those of its subfolders. Left out are hidden files, results of dusnet
            (see `dusnet.io.marks`), and .txt and .csv files beside files of other formats: they are more often notes
            and tables.

    Raises:
        BadInput: the path does not exist, or its folder cannot be read.
    """
    return sort_folder(path).scans if path.is_dir() else [_existing(path)]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise BadInput(f"{path} does not exist; check the path.")
    return path


@dataclass(frozen=True)
class Sorted:
    """What a folder holds, each in natural order; hidden files and subfolders are in none of these.

    Attributes:
        scans: see `find_clouds`.
        results: files of dusnet that look like scans.
        broken: links that lead nowhere.
        others: files of others that are no scans by their suffix, and tables and texts beside scans.
    """

    scans: list[Path]
    results: list[Path]
    broken: list[Path]
    others: list[Path]


def sort_folder(folder: Path) -> Sorted:
    """Tell the scans of a folder from what else lies there.

    Raises:
        BadInput: the folder cannot be read.
    """
    try:
        entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=natural_key)
    except OSError as error:
        raise unreadable(folder, error) from error
    broken = [entry for entry in entries if entry.is_symlink() and not entry.exists()]
    named = [entry for entry in entries if entry.suffix.lower() in _READERS and entry.is_file()]
    results = [entry for entry in named if is_result(entry)]
    known = set(results)
    scans = [entry for entry in named if entry not in known]
    scans = [entry for entry in scans if entry.suffix.lower() not in SHARED_SUFFIXES] or scans
    taken = {*scans, *results, *broken}
    others = [entry for entry in entries if entry not in taken and not entry.is_dir() and kind_of(entry) is None]
    return Sorted(scans, results, broken, others)


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """A key that sorts by name as people do: runs of digits by value."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
