"""The files of a result: their names, what they may replace, and the two clouds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.io import printable, remove_file, write_cloud
from dusnet.io.marks import FileKind, require_replaceable

if TYPE_CHECKING:
    from dusnet.detectors.base import Scores

SCORED, RECONSTRUCTION = ".scored.ply", ".reconstruction.ply"


def result_files(folder: Path, stem: str) -> dict[Path, FileKind]:
    """The files of a result and what each may replace; the JSON first, which the clouds belong to."""
    return {
        folder / f"{stem}.json": FileKind.RECORD,
        folder / f"{stem}{SCORED}": FileKind.SCORED,
        folder / f"{stem}{RECONSTRUCTION}": FileKind.RECONSTRUCTION,
    }


def remove_result(folder: Path, stem: str) -> None:
    """Remove the files of an earlier result of a scan, where dusnet wrote them.

    Raises:
        BadInput: a file of that name was written by others, or cannot be removed; none is removed then.
    """
    files = result_files(folder, stem)
    # A reconstruction of an earlier version is known by the scored scan beside it, so all are looked at first.
    for path, kind in files.items():
        require_replaceable(path, kind)
    for path in files:
        remove_file(path)


def write_clouds(folder: Path, stem: str, cloud: PointCloud, scores: Scores) -> None:
    """Write the scored scan, and the reconstruction where there is one.

    Args:
        folder: where to write; made when absent.
        stem: what the names of the files begin with.
        cloud: the scan in the colours of its scores, N points.
        scores: N of them.

    Raises:
        BadInput: a file cannot be written.
    """
    scalars: dict[str, NDArray[Any]] = {"anomaly_score": np.asarray(scores.point_scores, dtype=np.float32)}
    if scores.distances is not None:
        scalars["distance"] = np.asarray(scores.distances, dtype=np.float32)
    if scores.deviation is not None:
        scalars["deviation"] = np.asarray(scores.deviation, dtype=np.float32)
    if scores.stray is not None:
        scalars["stray"] = scores.stray
    write_cloud(folder / f"{stem}{SCORED}", cloud, scalars=scalars, result=FileKind.SCORED)
    if scores.reconstruction is not None:
        surface = PointCloud(np.asarray(scores.reconstruction, dtype=np.float64))
        write_cloud(folder / f"{stem}{RECONSTRUCTION}", surface, result=FileKind.RECONSTRUCTION)


def result_stems(paths: Sequence[Path]) -> list[str]:
    """Names for the results of a batch, different for every scan and independent of the order of the others.

    A scan is called by its file name without suffix. Scans that would share a name (upper and lower case count as the
    same) get the suffix added when that tells all of them apart (`part_ply`, `part_pcd`), else as many names of parent
    folders in front as are needed (`line1__part`, `line2__part`). A name that is taken even then (the same file
    twice) gets a number (`part~2`).

    Args:
        paths: the scans of the batch.

    Returns:
        One stem per path, in order.

    Example:
        >>> result_stems([Path("a/part.ply"), Path("b/part.ply"), Path("a/lid.ply")])
        ['a__part', 'b__part', 'lid']
    """
    files = [Path(printable(str(path.resolve().with_name(path.name)))) for path in paths]
    groups: dict[str, list[Path]] = {}
    for file in dict.fromkeys(files):
        groups.setdefault(file.stem.casefold(), []).append(file)
    names = {file: name for group in groups.values() for file, name in zip(group, _told_apart(group), strict=True)}
    stems, taken = [], set[str]()
    for file in files:
        unique, copy = names[file], 1
        while unique.casefold() in taken:
            copy += 1
            unique = f"{names[file]}~{copy}"
        taken.add(unique.casefold())
        stems.append(unique)
    return stems


def _told_apart(files: list[Path]) -> list[str]:
    """Names of different files that have the same stem."""
    if len(files) == 1:
        return [files[0].stem]
    with_suffix = [f"{file.stem}_{file.suffix.removeprefix('.')}" for file in files]
    if len({name.casefold() for name in with_suffix}) == len(files):
        return with_suffix
    same_suffix = len({file.suffix.casefold() for file in files}) == 1
    ends = [file.stem for file in files] if same_suffix else with_suffix
    folders = [file.parent.parts[1:] for file in files]
    names = ends
    for depth in range(1, max(map(len, folders)) + 1):
        names = ["__".join((*folder[-depth:], end)) for folder, end in zip(folders, ends, strict=True)]
        if len({name.casefold() for name in names}) == len(files):
            break
    return names
