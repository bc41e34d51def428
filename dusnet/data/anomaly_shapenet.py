"""Anomaly-ShapeNet: `pcd/<class>/{train,test,GT}`, test scans `<class>_<kind><number>.pcd`.

Ground truths are delimited by commas. The archive holds the same layout three times: `pcd` (40 classes), `16384` (test
scans of 16384 points, their ground truths delimited by spaces, no training scans) and `new_pcd` (12 more classes).
Coordinates have no unit.
"""

from __future__ import annotations

import re
from pathlib import Path

from dusnet.data import archive_files
from dusnet.data.sample import Sample
from dusnet.errors import BadInput

LAYOUT = "anomaly_shapenet"
NAME = "Anomaly-ShapeNet"
INNER = ("pcd", "dataset", "new_pcd", "16384", "Anomaly-ShapeNet-v2", "Anomaly-ShapeNet")

SURE = re.compile(r"^(?=.*[a-z].*_).+_(?:template|prototype|positive)_?\d*$", re.IGNORECASE)
_TAIL = re.compile(r"_(?P<kind>[a-z]+)_?\d*$", re.IGNORECASE)


def _counts(defective: int, classes: str) -> dict[str, tuple[int, int, int]]:
    return dict.fromkeys(classes.split(), (4, 15, defective))


# class -> (training, good, defective) scans of the published archive
COUNTS: dict[str, tuple[int, int, int]] = {
    **_counts(14, "ashtray0 bag0 bottle0 cup0 cup1 eraser0 headset1 helmet1 jar0 microphone0 vase1 vase2 vase5 vase7"),
    **_counts(15, "headset0"),
    **_counts(16, "vase0"),
    **_counts(18, "bowl0 bowl1 bowl2 bowl3 bowl4 cap0 tap1"),
    **_counts(19, "bottle1 bowl5 cap3 cap4 cap5"),
    **_counts(21, "bottle3 bucket0 bucket1"),
    **_counts(22, "helmet3 tap0 vase3 vase4 vase8 vase9"),
    **_counts(23, "helmet0 helmet2 shelf0"),
}

# scans of the published archive whose ground truth has another number of points
KNOWN_MISMATCHES = frozenset(
    ("helmet1", f"helmet1_{scan}") for scan in ("bulge0", "bulge2", "bulge6", "concavity3", "concavity5")
)


def scan_of_class(class_name: str, stem: str) -> str:
    """What a stem says after the class: `vase9_crak4` -> "crak4", `desk_bulge0` of class desk0 -> "bulge0".

    Returns:
        The rest in lower case, or "" when the stem has no kind.
    """
    lower, name = stem.lower(), class_name.lower()
    for prefix in (f"{name}_", f"{name.rstrip('0123456789_')}_"):
        if len(prefix) > 1 and lower.startswith(prefix):
            return lower[len(prefix) :]
    match = _TAIL.search(lower)
    return match.group(0)[1:] if match else ""


def kind_of(class_name: str, path: Path) -> str:
    """Kind in a test scan's name: `vase9_crak4.pcd` -> "crack".

    Raises:
        BadInput: the name does not follow the archive.
    """
    kind = archive_files.plain_kind(scan_of_class(class_name, path.stem))
    if not kind:
        raise BadInput(
            f"{path} is not named {class_name}_<kind><number>.pcd as in {NAME}; "
            f"rename it, remove it, or use the folder layout."
        )
    return kind


def list_train(class_name: str, folder: Path) -> list[Sample]:
    """Training samples of one class folder; a class of `16384` takes those of the same class in `pcd` beside it."""
    if not archive_files.subfolders(folder, "train") and folder.parent.name == "16384":
        folder = folder.parent.parent / "pcd" / folder.name
        if not folder.is_dir():
            raise BadInput(
                f"the 16384-point version of {class_name} has no training scans of its own and {folder} is missing; "
                f"unpack the pcd folder beside it."
            )
    return archive_files.training_samples(class_name, folder)


def list_test(class_name: str, folder: Path) -> list[Sample]:
    """Test samples of one class folder; templates among them are left out."""
    exact = archive_files.ground_truths(folder, str.lower)
    loose = archive_files.ground_truths(folder, lambda stem: scan_of_class(class_name, stem))

    def kind(path: Path) -> str | None:
        is_template = archive_files.TEMPLATE.search(scan_of_class(class_name, path.stem))
        return None if is_template else kind_of(class_name, path)

    def truth(path: Path) -> Path | None:
        return exact.get(path.stem.lower()) or loose.get(scan_of_class(class_name, path.stem))

    return archive_files.scored_samples(class_name, folder, kind, truth)
