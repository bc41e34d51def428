"""Datasets on disk: what is a training scan, what is a test scan, what is wrong with it, and which points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dusnet.data import anomaly_shapenet, archive_files, folder, real3d_ad
from dusnet.data.sample import Dataset, Sample
from dusnet.errors import BadInput

__all__ = ["LAYOUTS", "Dataset", "Sample", "open_dataset"]

LAYOUTS = (anomaly_shapenet.LAYOUT, real3d_ad.LAYOUT, folder.LAYOUT)

ARCHIVES = {anomaly_shapenet.LAYOUT: anomaly_shapenet, real3d_ad.LAYOUT: real3d_ad}
_PARTS_OF_A_CLASS = ("test", "gt")


def open_dataset(path: str | Path, layout: str = "auto") -> Dataset:
    """Open an archive root, its folder of classes (`pcd`, `16384`, `new_pcd`), one class folder, or a plain folder.

    Only names are read, no scan; a plain folder of unsorted test scans is the exception, see docs/datasets.md.

    Args:
        path: the folder.
        layout: one of `LAYOUTS`, or "auto" to tell by the names of the files.

    Raises:
        BadInput: the folder does not exist, the layout is unknown, or nothing there fits it.
    """
    root = Path(path)
    if layout != "auto" and layout not in LAYOUTS:
        raise BadInput(f"there is no dataset layout {layout!r}; choose auto, {', '.join(LAYOUTS)}.")
    if not root.exists():
        raise BadInput(f"there is no dataset at {root}; check the path.")
    if not root.is_dir():
        raise BadInput(f"{root} is a file, not a dataset; name the folder that holds the scans.")
    if layout == "auto":
        _refuse_part_of_a_class(root)
        layout = _detect(root)
    if layout == folder.LAYOUT:
        folders = folder.class_folders(root)
        if not folders:
            raise BadInput(_nothing_found(root))
        return Dataset(root.absolute().name, root, layout, folders, folder.list_train, folder.list_test)
    archive = ARCHIVES[layout]
    folders = archive_files.class_folders(root, archive.INNER)
    if not folders:
        raise BadInput(_nothing_found(root))
    name = archive.NAME if _all_published(folders, archive.COUNTS) else root.absolute().name
    return Dataset(name, root, layout, folders, archive.list_train, archive.list_test)


def _all_published(folders: Mapping[str, Path], counts: Mapping[str, object]) -> bool:
    return all(name in counts and not archive_files.is_embedded(place) for name, place in folders.items())


def _refuse_part_of_a_class(root: Path) -> None:
    """Scoring data must not become training data because a path went one folder too deep."""
    absolute = root.absolute()
    if absolute.name.lower() in _PARTS_OF_A_CLASS and archive_files.is_class_folder(absolute.parent):
        raise BadInput(f"{root} is only the {absolute.name} part of a class; name {absolute.parent} instead.")


def _detect(root: Path) -> str:
    """The archive whose names most class folders have, else the folder layout if its rules find scans."""
    votes: dict[str, int] = {}
    for layout, archive in ARCHIVES.items():
        folders = archive_files.class_folders(root, archive.INNER)
        votes[layout] = sum(archive_files.has_scan_named(place, archive.SURE) for place in folders.values())
    best = max(votes, key=lambda layout: votes[layout])
    if list(votes.values()).count(votes[best]) == 1:
        return best
    if votes[best]:
        raise BadInput(f"{root} holds classes of both {' and '.join(votes)}; say which with the layout option.")
    if folder.class_folders(root):
        return folder.LAYOUT
    raise BadInput(_nothing_found(root))


def _nothing_found(root: Path) -> str:
    entries = archive_files.visible(root)
    names = ", ".join(entry.name for entry in entries[:6]) + (", ..." if len(entries) > 6 else "")
    found = f"found only {names}" if entries else "the folder is empty"
    return (
        f"{root} is no dataset: looked for class folders with train and test ({real3d_ad.NAME}: 1_template.pcd, "
        f"2_good.pcd; {anomaly_shapenet.NAME}: cup0_template0.pcd, cup0_positive0.pcd), for a normal, good or train "
        f"folder with scans and for scans in the folder itself, but {found}; see docs/datasets.md for the layouts."
    )
