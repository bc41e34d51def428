"""Whatever stands for scans, as clouds: paths, folders, datasets, clouds and arrays, alone or in lists."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.io import read_cloud
from dusnet.io.clouds import sort_folder
from dusnet.io.marks import is_result
from dusnet.words import listed, verb

if TYPE_CHECKING:
    from dusnet.data import Sample

Scan: TypeAlias = str | Path | PointCloud | NDArray[np.floating]
"""A file, a cloud, or an array of coordinates, (N, 3)."""
Scans: TypeAlias = Scan | Iterable[Scan]
"""Scans, folders of scans, or several of either."""
_NO_SCAN = "is a result of dusnet and no scan"


class Loadable(Protocol):
    """A scan that is read, or simulated, when it is wanted: a sample of a dataset, a scan of a CAD model."""

    def load(self) -> PointCloud:
        """Its cloud."""


def read(scan: Scan) -> PointCloud:
    """One scan.

    Args:
        scan: the path of a file, a cloud, or coordinates, (N, 3).

    Raises:
        BadInput: the file cannot be read, or it is none of these.
    """
    if isinstance(scan, PointCloud):
        return scan
    if isinstance(scan, str | os.PathLike):
        path = Path(scan)
        if path.is_dir():
            raise BadInput(f"{path} is a folder, but one scan is needed; name a file in it.")
        return read_cloud(path)
    return PointCloud(_coordinates(scan))


def _coordinates(given: object) -> NDArray[np.float64]:
    if not hasattr(given, "__array__"):
        kind = type(given).__name__
        raise BadInput(
            f"an object of the type {kind} is no scan; give the path of a file, a PointCloud, or coordinates, (N, 3)."
        )
    try:
        points = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"an array of this kind holds no coordinates ({error}); give numbers, (N, 3).") from error
    if points.ndim != 2 or points.shape[1] != 3:
        raise BadInput(f"an array of the shape {points.shape} is no scan; give coordinates, (N, 3).")
    return points


def entries_of(
    scans: Scans, *, dataset: bool = True, say: Callable[[str], None] = lambda _: None
) -> list[Path | Sample | PointCloud]:
    """The scans that something stands for, files not read yet; results of dusnet are left out.

    Args:
        scans: scans, folders of scans, or several of either.
        dataset: whether a folder is understood as `dusnet train` does, and stands for the defect-free scans of its
            class; else for the scans that lie in it, as for `files_in`.
        say: told what is left out.

    Raises:
        BadInput: a folder holds no scans or several classes, something stands for no scan, or there are results only.
    """
    found = list(_entries(scans, dataset, say))
    if not found:
        raise BadInput("there are no scans; give at least one that is no result of dusnet.")
    return found


def _entries(scans: Scans, dataset: bool, say: Callable[[str], None]) -> Iterator[Path | Sample | PointCloud]:
    if isinstance(scans, str | os.PathLike):
        path = Path(scans)
        if path.is_dir():
            yield from _class_in(path) if dataset else _scans_in(path, say)
        elif is_result(path):
            say(f"{path} {_NO_SCAN}; it is left out.")
        else:
            yield path
    elif isinstance(scans, Iterable) and getattr(scans, "ndim", 3) not in (0, 2):
        for scan in scans:
            yield from _entries(scan, dataset, say)
    else:
        yield read(scans)  # type: ignore[arg-type]  # whatever is left is one scan or none, which it says


def _class_in(folder: Path) -> Sequence[Sample]:
    from dusnet.data import open_dataset

    dataset = open_dataset(folder)
    if len(dataset.classes) > 1:
        names = ", ".join(list(dataset.classes)[:6])
        raise BadInput(f"{folder} holds {len(dataset.classes)} classes ({names}); name the folder of one.")
    (name,) = dataset.classes
    return dataset.train(name)


def load(entry: Path | PointCloud | Loadable) -> PointCloud:
    """The cloud of one of `entries_of`, or of a scan that is simulated.

    Raises:
        BadInput: it cannot be read.
    """
    if isinstance(entry, PointCloud):
        return entry
    return read_cloud(entry) if isinstance(entry, Path) else entry.load()


def files_in(paths: Sequence[Path], say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """The scan files that `paths`, files or folders, name; each once, in the order given.

    Args:
        paths: files, taken as they are unless they are results of dusnet, and folders, of which the scans are taken.
        say: told what is left out.

    Raises:
        BadInput: a path does not exist, a folder holds no scan, or there are results only.
    """
    found: dict[Path, None] = {}
    results: list[Path] = []
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path} does not exist; name a scan file or a folder of scans.")
        if path.is_dir():
            found.update(dict.fromkeys(_scans_in(path, say)))
        elif is_result(path):
            results.append(path)
        else:
            found[path] = None
    if not found:
        raise BadInput(f"{results[0]} {_NO_SCAN}; name the scan itself.")
    for path in results:
        say(f"{path} {_NO_SCAN}; it is left out.")
    return list(found)


def _scans_in(folder: Path, say: Callable[[str], None]) -> Sequence[Path]:
    tell_left_out(folder, say)
    scans = sort_folder(folder).scans
    if not scans:
        raise BadInput(f"{folder} holds no scans; name a folder with .ply, .pcd or other cloud files.")
    return scans


def tell_left_out(folder: Path, say: Callable[[str], None]) -> None:
    """Name what a folder of scans holds that is not read."""
    inside = sort_folder(folder)
    for link in inside.broken:
        warnings.warn(f"{link} is a link that leads nowhere; it is left out.", stacklevel=2)
    for files, what in ((inside.others, "no scans by their names"), (inside.results, "results of dusnet")):
        if files:
            names = listed([file.name for file in files])
            say(f"{folder}: {names} {verb(len(files))} left out, {what}.")
