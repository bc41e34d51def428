"""Clouds to pre-train on: ShapeNetPart (text and HDF5) and PU-Net style patches (HDF5 and xyz text).

These are archives of many shapes without defects; nothing here is an inspection dataset, so they come as bare arrays
with a category instead of samples. Formats are told apart by what the files hold:

- ShapeNetPart text: `synsetoffset2category.txt`, `<synset>/<id>.txt` (x y z nx ny nz part) or
  `<synset>/points/<id>.pts` (x y z), and the split in `train_test_split/shuffled_{train,val,test}_file_list.json`.
- ShapeNetPart HDF5: files with train, val or test in their names, each with `data (n, points, 3)` and `label (n,)`, and
  names of the categories in `all_object_categories.txt` or `shape_names.txt` when they are there, else their numbers.
- PU-Net HDF5: one file with `poisson_<points>` arrays, (n, points, 3 or more); the densest is taken. No split.
- xyz patches: a folder of `*.xyz` text, the first three columns are taken; the category is the folder's name. No split.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dusnet.data import archive_files
from dusnet.errors import BadInput, MissingDependency
from dusnet.io import parse_json, read_cloud

ShapeSplit = Literal["train", "val", "test", "all"]
SPLITS = ("train", "val", "test", "all")

_CATEGORY_FILE = "synsetoffset2category.txt"
_DENSITY = re.compile(r"^poisson_(\d+)$")


@dataclass(frozen=True)
class Shape:
    """One defect-free cloud to pre-train on.

    Attributes:
        points: (N, 3) float32, unit of the file (these archives have none).
        category: "Airplane", ... or the folder's name where an archive has no categories.
        source: file, and row within it, for messages.
    """

    points: NDArray[np.float32]
    category: str
    source: str


def iterate_shapes(
    path: str | Path, *, split: ShapeSplit = "train", categories: Collection[str] | None = None
) -> Iterator[Shape]:
    """Clouds of a pre-training archive, one at a time, in the order of the archive.

    Args:
        path: the archive's folder, or one `.h5` file.
        split: "train", "val", "test" or "all"; an archive without a split gives everything for "train" and "all".
        categories: leave out all others; case does not matter.

    Yields:
        Shapes with at least one point each.

    Raises:
        BadInput: the layout, the split or a category is unknown, or a file is damaged.
        MissingDependency: the archive is HDF5 and h5py is not installed.
    """
    root = Path(path)
    if split not in SPLITS:
        raise BadInput(f"there is no split {split!r}; choose {', '.join(SPLITS)}.")
    if not root.exists():
        raise BadInput(f"there is no pre-training data at {root}; check the path.")
    if root.is_file() or _h5_files(root):
        shapes = _from_h5(root, split)
    elif (root / _CATEGORY_FILE).is_file():
        shapes = _from_shapenet_text(root, split, categories)
    elif archive_files.files([root], (".xyz",)):
        shapes = _from_xyz(root, split)
    else:
        raise BadInput(
            f"{root} is no pre-training data: looked for {_CATEGORY_FILE} (ShapeNetPart), *.h5 (ShapeNetPart, PU-Net) "
            f"and *.xyz (patches); see docs/datasets.md for the layouts."
        )
    return _only(shapes, root, categories)


def _only(shapes: Iterator[Shape], root: Path, categories: Collection[str] | None) -> Iterator[Shape]:
    wanted = None if categories is None else {category.lower() for category in categories}
    left_out, count = set(), 0
    for shape in shapes:
        if wanted is not None and shape.category.lower() not in wanted:
            left_out.add(shape.category)
            continue
        count += 1
        yield shape
    if not count:
        reason = f"has no category {' or '.join(sorted(wanted))}" if wanted else "has no clouds"
        known = f", it has {', '.join(sorted(left_out))}" if left_out else ""
        raise BadInput(f"{root} {reason}{known}; check the path and the categories.")


def _text_points(path: Path) -> NDArray[np.float32]:
    return read_cloud(path).points.astype(np.float32)


def _finite(points: NDArray[np.float32], source: str) -> NDArray[np.float32]:
    if not np.isfinite(points).all():
        raise BadInput(f"{source} holds NaN or infinite coordinates; unpack the archive again or leave it out.")
    return points


# --- ShapeNetPart text ---


def _from_shapenet_text(root: Path, split: ShapeSplit, categories: Collection[str] | None) -> Iterator[Shape]:
    names = _pairs(root / _CATEGORY_FILE)
    wanted = None if categories is None else {category.lower() for category in categories}
    if wanted and not wanted & {name.lower() for name in names}:
        raise BadInput(f"{root} has no category {' or '.join(sorted(wanted))}, it has {', '.join(names)}.")
    members = None if split == "all" else _members(root, split)
    for name, synset in names.items():
        if not (root / synset).is_dir():
            continue
        if wanted is not None and name.lower() not in wanted:
            continue
        points = root / synset / "points"
        files = (
            archive_files.files([points], (".pts",))
            if points.is_dir()
            else archive_files.files([root / synset], (".txt",))
        )
        for file in files:
            if members is None or (synset, file.stem) in members:
                yield Shape(_text_points(file), name, str(file))


def _pairs(path: Path) -> dict[str, str]:
    """Lines of `Airplane 02691156`."""
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path} ({error}); unpack the archive again.") from error
    if not rows or any(len(row) != 2 for row in rows):
        raise BadInput(f"{path} must hold lines like 'Airplane 02691156'; unpack the archive again.")
    return {row[0]: row[1] for row in rows}


def _members(root: Path, split: ShapeSplit) -> set[tuple[str, str]]:
    """(synset, id) of a split, from entries like `shape_data/02691156/1021a0914a7207aff927ed529ad90a11`."""
    path = root / "train_test_split" / f"shuffled_{split}_file_list.json"
    if not path.is_file():
        raise BadInput(f"the list of the {split} split is missing, expected {path}; unpack it or use split 'all'.")
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))
        return {(parts[-2], parts[-1]) for parts in (str(entry).split("/") for entry in entries)}
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise BadInput(f"{path} is not a list of shape_data/<synset>/<id> ({error}); unpack it again.") from error


# --- HDF5 ---


def _h5_files(root: Path) -> list[Path]:
    inner = [folder for name in ("hdf5_data", "h5_data") for folder in archive_files.subfolders(root, name)]
    return archive_files.files([root, *inner], (".h5", ".hdf5"))


def _from_h5(root: Path, split: ShapeSplit) -> Iterator[Shape]:
    try:
        import h5py
    except ImportError as error:
        raise MissingDependency(f"reading {root} needs h5py; install it with: pip install h5py") from error
    used = False
    for path in [root] if root.is_file() else _h5_files(root):
        if not h5py.is_hdf5(path):
            raise BadInput(f"{path} is not a readable HDF5 file; download it again.")
        if _split_of(path) not in (split, None) and split != "all":
            continue
        if _split_of(path) is None and split not in ("train", "all"):
            continue
        used = True
        try:
            with h5py.File(path, "r") as store:
                yield from _store_rows(store, path)
        except OSError as error:
            raise BadInput(f"{path} is damaged ({error}); download it again.") from error
    if not used:
        raise BadInput(f"{root} has no file of the {split} split; use split 'all' or another folder.")


def _split_of(path: Path) -> str | None:
    match = re.search(r"(?<![a-z])(train|val|test)(?![a-z])", path.stem.lower())
    return match[1] if match else None


def _store_rows(store: Any, path: Path) -> Iterator[Shape]:
    densities = sorted(int(match[1]) for match in map(_DENSITY.match, store) if match)
    if densities:
        data = store[f"poisson_{densities[-1]}"]
    elif "data" in store:
        data = store["data"]
    else:
        raise BadInput(
            f"{path} holds neither 'data' (ShapeNetPart) nor 'poisson_<points>' (PU-Net) but "
            f"{', '.join(store) or 'nothing'}; it is no pre-training data."
        )
    if data.ndim != 3 or data.shape[2] < 3:
        raise BadInput(f"{path}: clouds must be (n, points, 3 or more), got {tuple(data.shape)}; download it again.")
    categories = [path.stem] * len(data)
    if "label" in store and not densities:
        names = _category_names(path)
        numbers = [int(number) for number in np.asarray(store["label"]).reshape(-1)]
        categories = [names[n] if 0 <= n < len(names) else str(n) for n in numbers]
    if len(categories) != len(data):
        raise BadInput(f"{path} has {len(data)} clouds but {len(categories)} labels; download it again.")
    for row, category in enumerate(categories):
        points = np.ascontiguousarray(data[row, :, :3], dtype=np.float32)
        yield Shape(_finite(points, f"{path} row {row}"), category, f"{path} row {row}")


def _category_names(path: Path) -> list[str]:
    """Names by label, the line number in a list beside the file; empty when there is no list."""
    for name in ("all_object_categories.txt", "shape_names.txt"):
        listing = path.parent / name
        if listing.is_file():
            lines = listing.read_text(encoding="utf-8").splitlines()
            return [line.split()[0] for line in lines if line.strip()]
    return []


# --- xyz patches ---


def _from_xyz(root: Path, split: ShapeSplit) -> Iterator[Shape]:
    if split not in ("train", "all"):
        raise BadInput(f"{root} has no {split} split, it is a folder of patches; use split 'train' or 'all'.")
    for path in archive_files.files([root], (".xyz",)):
        yield Shape(_text_points(path), root.absolute().name, str(path))
