"""Write a planned dataset of scans: claim its folder, complete what was interrupted, files whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.config import Section
from dusnet.errors import BadInput
from dusnet.io import atomic_path, parse_json, write_cloud, write_json
from dusnet.progress import Progress, Silent

MANIFEST = "benchmark.json"
_FORMAT = 1
"""Raised whenever the same settings would give other files."""


@dataclass(frozen=True)
class PlannedScan:
    """One scan to write: what it is, what its randomness comes from, and where it goes.

    Attributes:
        class_name: of its class.
        split: "train" or "test".
        kind: "good" or a kind of defect.
        index: its number among the scans of its class, split and kind.
        scan: its file, relative to the folder of the dataset.
        ground_truth: the file of its labels, relative to the folder of the dataset; None where it has none.
        entropy: what its random numbers are made from, for `numpy.random.default_rng`.
    """

    class_name: str
    split: str
    kind: str
    index: int
    scan: Path
    ground_truth: Path | None
    entropy: tuple[int, ...]


class Plan(Protocol):
    """The content of a dataset: what `write_dataset` writes."""

    @property
    def settings(self) -> Section:
        """Everything that decides the content; equal settings give equal files."""

    @property
    def delimiter(self) -> str:
        """Between the columns of a ground truth file."""

    def classes(self) -> dict[str, dict[str, Any]]:
        """Facts of every class by name, for the manifest; they change when the surface of a class does."""

    def scans(self) -> Sequence[PlannedScan]:
        """All scans, in the order in which they are written."""

    def make(self, scan: PlannedScan) -> PointCloud:
        """One scan with its labels; it depends on nothing but the settings and the scan's entropy."""

    def notes(self) -> Sequence[str]:
        """What everybody who uses the classes should know."""


def write_dataset(out: Path, plan: Plan, *, progress: Progress | None = None) -> Path:
    """Write a dataset, or what is still missing of it.

    Files are written whole or not at all; a dataset that was interrupted is completed by writing it again.

    Args:
        out: folder; made when absent. `benchmark.json` in it holds the settings and the seed of every scan.
        plan: what to write.
        progress: where to report to.

    Returns:
        `out`.

    Raises:
        BadInput: `out` holds something else or a dataset of other settings.
    """
    progress = progress if progress is not None else Silent()
    for note in plan.notes():
        progress.log(note)
    scans = list(plan.scans())
    manifest = _manifest(plan, scans)
    _claim(out, manifest)
    missing = [scan for scan in scans if not _exists(out, scan)]
    if missing:
        write_json(out / MANIFEST, {**manifest, "complete": False})
        with progress.task("Writing the benchmark", len(missing)) as task:
            for scan in missing:
                _write(out, plan, scan)
                task.advance()
    write_json(out / MANIFEST, {**manifest, "complete": True})
    return out


def _manifest(plan: Plan, scans: list[PlannedScan]) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "settings": plan.settings.model_dump(mode="json"),
        "classes": plan.classes(),
        "scans": [{"file": scan.scan.as_posix(), "kind": scan.kind, "entropy": list(scan.entropy)} for scan in scans],
    }


def _claim(out: Path, manifest: dict[str, Any]) -> None:
    """Make sure that `out` is ours to write: empty, or begun with the same settings."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file; name a folder for the benchmark.")
    path = out / MANIFEST
    if not path.is_file():
        if out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
            raise BadInput(f"{out} holds files that are no benchmark; name an empty or a new folder.")
        return
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
        differing = _differences(found, manifest)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadInput(f"{path} is damaged; remove the folder and write the benchmark again.") from error
    if differing:
        raise BadInput(
            f"{out} holds a benchmark of other settings ({', '.join(differing)}); name another folder or remove it."
        )


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Names of what differs between two manifests."""
    if found["format"] != wanted["format"]:
        return ["format of another version"]
    old, new = found["settings"], wanted["settings"]
    differing = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return differing or (["surface of a mesh"] if found["classes"] != wanted["classes"] else [])


def _exists(out: Path, scan: PlannedScan) -> bool:
    return (out / scan.scan).is_file() and (scan.ground_truth is None or (out / scan.ground_truth).is_file())


def _write(out: Path, plan: Plan, scan: PlannedScan) -> None:
    cloud = plan.make(scan)
    # The scan is stored in single precision; its ground truth names the very same coordinates.
    cloud = PointCloud(cloud.points.astype(np.float32).astype(np.float64), labels=cloud.labels)
    if scan.ground_truth is not None:
        _write_ground_truth(out / scan.ground_truth, cloud, plan.delimiter)
    write_cloud(out / scan.scan, PointCloud(cloud.points))


def _write_ground_truth(path: Path, cloud: PointCloud, delimiter: str) -> None:
    assert cloud.labels is not None
    pattern = delimiter.join(["%.6f", "%.6f", "%.6f", "%d\n"])
    rows = zip(*cloud.points.T.tolist(), cloud.labels.tolist(), strict=True)
    with atomic_path(path) as temporary:
        temporary.write_text("".join([pattern % row for row in rows]), encoding="ascii")
