"""A plain folder of scans: `normal/*.ply` to learn from, `test/...` to score, and nothing else required.

The rules are in docs/datasets.md.
"""

from __future__ import annotations

from pathlib import Path

from dusnet.data import archive_files
from dusnet.data.sample import GOOD, UNKNOWN, Sample, read_with_labels
from dusnet.errors import BadInput
from dusnet.io import find_clouds, natural_key

LAYOUT = "folder"
TRAINING_NAMES = ("normal", "good", "train")
TRUTH_NAMES = ("gt", "ground_truth")
ANOMALOUS = "anomalous"  # kind of a defective scan that no folder names

_TABLES = (".txt", ".csv")  # scans only where folders named for scans hold nothing else, otherwise notes


def training_files(folder: Path) -> list[Path]:
    """Scans in `normal`, `good`, `train` (or `train/good`), or in the folder itself when it has none of these."""
    named = [sub for name in TRAINING_NAMES for sub in archive_files.subfolders(folder, name)]
    nested = [inner for sub in named for name in (GOOD, "normal") for inner in archive_files.subfolders(sub, name)]
    if named:
        found = [scan for place in (*named, *nested) for scan in find_clouds(place)]
        return sorted([scan for scan in found if _is_clear(scan)] or found, key=natural_key)
    return [scan for scan in find_clouds(folder) if _is_clear(scan)]


def _is_clear(path: Path) -> bool:
    return path.suffix.lower() not in _TABLES


def recognises(folder: Path) -> bool:
    """Whether the folder has scans to learn from or to score under these rules."""
    return bool(training_files(folder) or _test_entries(folder))


def class_folders(path: Path) -> dict[str, Path]:
    """The folder itself as one class, or one class per subfolder that has a training folder of its own."""
    path = path.absolute()
    if recognises(path):
        return {path.name: path}
    return {
        entry.name: entry
        for entry in archive_files.visible(path)
        if entry.is_dir()
        and any(archive_files.subfolders(entry, name) for name in (*TRAINING_NAMES, "test"))
        and recognises(entry)
    }


def list_train(class_name: str, folder: Path) -> list[Sample]:
    """Training samples: every scan in the training folders.

    Raises:
        BadInput: there is none.
    """
    found = training_files(folder)
    if not found:
        raise BadInput(f"{folder} has no defect-free scans to learn from; put some into {folder / 'normal'}.")
    return [Sample(path, class_name, "train", GOOD) for path in found]


def list_test(class_name: str, folder: Path) -> list[Sample]:
    """Test samples: `test/good`, `test/<kind>`, and scans that lie in `test` itself.

    Raises:
        BadInput: a ground truth belongs to no scan, or a scan cannot be read for its labels.
    """
    truths = _truths(folder)
    has_truths = bool(truths)
    samples = []
    for path, kind in _test_entries(folder):
        truth = truths.pop((kind, path.stem.lower()), None) or truths.pop(("", path.stem.lower()), None)
        if not kind:
            kind = ANOMALOUS if truth is not None else GOOD if has_truths else _kind_by_labels(path)
        samples.append(Sample(path, class_name, "test", kind, None if kind == GOOD else truth))
    if samples and truths:
        extra = next(iter(truths.values()))
        raise BadInput(f"the ground truth {extra} belongs to no scan in {folder / 'test'}; rename it after its scan.")
    return samples


def _test_entries(folder: Path) -> list[tuple[Path, str]]:
    """Scans of the test part with the kind that their subfolder names, "" for those in `test` itself."""
    entries: list[tuple[Path, str]] = []
    for test in archive_files.subfolders(folder, "test"):
        entries += [(path, "") for path in find_clouds(test)]
        for sub in archive_files.visible(test):
            if sub.is_dir() and sub.name.lower() not in TRUTH_NAMES:
                entries += [(path, archive_files.plain_kind(sub.name)) for path in find_clouds(sub)]
    return [entry for entry in entries if _is_clear(entry[0])] or entries


def _truths(folder: Path) -> dict[tuple[str, str], Path]:
    """Ground-truth texts by (kind or "", stem): `gt/<stem>.txt` and `gt/<kind>/<stem>.txt`, also inside `test`."""
    found: dict[tuple[str, str], Path] = {}
    for place in [folder, *archive_files.subfolders(folder, "test")]:
        for truth in [sub for name in TRUTH_NAMES for sub in archive_files.subfolders(place, name)]:
            found.update({("", path.stem.lower()): path for path in archive_files.files([truth], (".txt",))})
            for sub in filter(Path.is_dir, archive_files.visible(truth)):
                kind = archive_files.plain_kind(sub.name)
                found.update({(kind, path.stem.lower()): path for path in archive_files.files([sub], (".txt",))})
    return found


def _kind_by_labels(path: Path) -> str:
    cloud = read_with_labels(path)
    if cloud is None or cloud.labels is None:
        return UNKNOWN
    return ANOMALOUS if bool(cloud.labels.any()) else GOOD
