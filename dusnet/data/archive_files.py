"""What the two public archives share: class folders, meaning in file names, pairing scans with ground truths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from dusnet.data.sample import GOOD, Sample
from dusnet.errors import BadInput
from dusnet.io import natural_key
from dusnet.io.marks import is_result

VIEW_SUFFIX = re.compile(r"(?:_(?:cut|copy))+$", re.IGNORECASE)
TEMPLATE = re.compile(r"template|prototype", re.IGNORECASE)
EMBEDDED = "benchmark.json"  # the synthetic benchmark's manifest: same layouts, other data
SPELLINGS = {"crak": "crack", "bulges": "bulge", "sinks": "sink", "positive": GOOD, "normal": GOOD, "ok": GOOD}


def plain_kind(text: str) -> str:
    """Kind of defect in one spelling: "crak3" -> "crack", "bulges_cut" -> "bulge", "positive0" -> "good"."""
    word = re.sub(r"\d+$", "", VIEW_SUFFIX.sub("", text.lower())).strip("_- ")
    return GOOD if "good" in word or "positive" in word else SPELLINGS.get(word, word)


def visible(folder: Path) -> list[Path]:
    """Entries of a folder without hidden files and what file managers leave behind, in natural order.

    Raises:
        BadInput: the folder cannot be read.
    """
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__"))]
    except OSError as error:
        raise BadInput(
            f"cannot list {folder}: {error.strerror or error}; check the path and its permissions."
        ) from error
    return sorted(entries, key=natural_key)


def subfolders(folder: Path, name: str) -> list[Path]:
    """Folders in `folder` called `name` whatever the case; an archive unpacked twice can have both gt and GT."""
    return [entry for entry in visible(folder) if entry.name.lower() == name.lower() and entry.is_dir()]


def files(folders: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Files in several folders with one of the suffixes (lower case), natural order of names."""
    found = [f for folder in folders for f in visible(folder) if f.suffix.lower() in suffixes and f.is_file()]
    return sorted(found, key=natural_key)


def scans(folders: Iterable[Path]) -> list[Path]:
    """The scans of an archive's folders: its `.pcd` files, or its `.ply` files where it was converted; no results."""
    folders = list(folders)
    found = files(folders, (".pcd",)) or files(folders, (".ply",))
    return [scan for scan in found if not is_result(scan)]


def is_class_folder(folder: Path) -> bool:
    """Whether a folder has a `train` or `test` folder, as every class of both archives has."""
    return folder.is_dir() and bool(subfolders(folder, "train") or subfolders(folder, "test"))


def class_folders(path: Path, inner: tuple[str, ...], depth: int = 3) -> dict[str, Path]:
    """Class folders under a class folder itself, the folder that holds them, or an archive root above that.

    Args:
        path: where to look.
        inner: names of the folders that an archive root keeps its classes in, the preferred one first.
        depth: how many lone wrapper folders to look through.

    Returns:
        Class name -> folder, in natural order; empty when there is none.
    """
    path = path.absolute()
    if is_class_folder(path):
        return {path.name: path}
    folders = [entry for entry in visible(path) if entry.is_dir()]
    found = {folder.name: folder for folder in folders if is_class_folder(folder)}
    if found or depth == 0:
        return found
    named = [match for name in inner for match in subfolders(path, name)]
    for folder in [*named, *(folders if len(folders) == 1 else [])]:
        found = class_folders(folder, inner, depth - 1)
        if found:
            return found
    return {}


def has_scan_named(folder: Path, pattern: re.Pattern[str]) -> bool:
    """Whether a class folder has at least one scan whose name begins as the pattern says."""
    return any(pattern.match(scan.stem) for scan in scans([*subfolders(folder, "train"), *subfolders(folder, "test")]))


def is_embedded(folder: Path) -> bool:
    """Whether a class folder belongs to a synthetic benchmark, whose classes may have the names of published ones."""
    return any((parent / EMBEDDED).is_file() for parent in folder.parents[:2])


def training_samples(class_name: str, folder: Path) -> list[Sample]:
    """Templates (or prototypes) in the class folder's `train`; every scan there when none is called so.

    Raises:
        BadInput: there is none.
    """
    found = _scans_in(folder, "train", "training scans")
    chosen = [scan for scan in found if TEMPLATE.search(scan.stem)] or found
    return [Sample(path, class_name, "train", GOOD) for path in chosen]


def scored_samples(
    class_name: str, folder: Path, kind_of: Callable[[Path], str | None], truth_of: Callable[[Path], Path | None]
) -> list[Sample]:
    """The scans in the class folder's `test`.

    Args:
        class_name: the class.
        folder: of the class.
        kind_of: the kind that a scan's name says, None for a template that is left out.
        truth_of: the ground truth of a defective scan, None where there is no such file.

    Raises:
        BadInput: there is none.
    """
    samples = []
    for path in _scans_in(folder, "test", "test scans"):
        if (kind := kind_of(path)) is not None:
            truth = None
            if kind != GOOD:  # else where it has to be, in the spelling of `gt` that the folder uses
                place = (subfolders(folder, "gt") or [folder / "gt"])[0]
                truth = truth_of(path) or place / f"{path.stem}.txt"
            samples.append(Sample(path, class_name, "test", kind, truth))
    return samples


def _scans_in(folder: Path, name: str, what: str) -> list[Path]:
    inside = subfolders(folder, name)
    found = scans(inside)
    if not found:
        where = inside[0] if inside else folder / name
        raise BadInput(f"{where} has no {what} (.pcd or .ply); unpack the archive again.")
    return found


def ground_truths(folder: Path, key: Callable[[str], str]) -> dict[str, Path]:
    """Ground-truth texts of a class folder by the key of their stem; looks into gt and GT."""
    return {key(file.stem): file for file in files(subfolders(folder, "gt"), (".txt",))}
