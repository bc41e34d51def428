"""Write the embedded benchmark in the layout of a public archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.io import atomic_path, parse_json, write_cloud, write_json
from dusnet.progress import Progress, Silent
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.specimens import GOOD, PartClass, entropy, load_parts, make_scan

MANIFEST = "benchmark.json"
_FORMAT = 1
"""Raised whenever the same settings would give other files."""

__all__ = ["MANIFEST", "BenchmarkSettings", "write_benchmark"]


@dataclass(frozen=True)
class _Item:
    """One scan to write: what it is, what its randomness comes from, and where it goes."""

    part: PartClass
    split: str
    kind: str
    index: int
    scan: Path
    ground_truth: Path | None


def write_benchmark(out: Path, settings: BenchmarkSettings, *, progress: Progress | None = None) -> Path:
    """Write a benchmark, or what is still missing of it.

    Every scan depends on (seed, class, split or kind, index) and the settings of a scan only, so that adding classes
    or scans changes no other scan. Files are written whole or not at all; a benchmark that was interrupted is
    completed by writing it again.

    Args:
        out: folder; made when absent. `benchmark.json` in it holds the settings and the seed of every scan.
        settings: what to write.
        progress: where to report to.

    Returns:
        The folder that holds the classes: `out/pcd` for anomaly_shapenet, `out` for real3d_ad.

    Raises:
        BadInput: `out` holds something else or a benchmark of other settings, a part or kind is unknown, or a mesh
            cannot be used.
    """
    progress = progress if progress is not None else Silent()
    parts = load_parts(settings)
    for part in parts:
        for note in part.notes:
            progress.log(note)
    items = [item for part in parts for item in _items(out, part, settings)]
    manifest = _manifest(parts, items, settings, out)
    _claim(out, manifest)
    missing = [item for item in items if not _exists(item)]
    if missing:
        write_json(out / MANIFEST, {**manifest, "complete": False})
        with progress.task("Writing the benchmark", len(missing)) as task:
            for item in missing:
                _write(item, settings)
                task.advance()
    write_json(out / MANIFEST, {**manifest, "complete": True})
    return out / "pcd" if settings.layout == "anomaly_shapenet" else out


def _items(out: Path, part: PartClass, settings: BenchmarkSettings) -> Iterator[_Item]:
    """All scans of one class, in the names of the layout."""
    splits = [("train", GOOD, settings.train), ("test", GOOD, settings.good)]
    splits += [("test", kind, settings.per_kind) for kind in settings.chosen_kinds]
    number = 0
    for split, kind, count in splits:
        for index in range(count):
            number += 1
            if settings.layout == "anomaly_shapenet":
                folder, truth = out / "pcd" / part.name, "GT"
                word = "template" if split == "train" else "positive" if kind == GOOD else kind
                stem = f"{part.name}_{word}{index}"
            else:
                folder, truth = out / part.name, "gt"
                stem = f"{number}_{'template' if split == 'train' else kind}"
            ground_truth = None if kind == GOOD else folder / truth / f"{stem}.txt"
            yield _Item(part, split, kind, index, folder / split / f"{stem}.pcd", ground_truth)


def _entropy(item: _Item, settings: BenchmarkSettings) -> tuple[int, int, int, int]:
    return entropy(settings.seed, item.part.name, "train" if item.split == "train" else item.kind, item.index)


def _manifest(parts: list[PartClass], items: list[_Item], settings: BenchmarkSettings, out: Path) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "settings": settings.model_dump(mode="json"),
        "classes": {part.name: {"radius_mm": part.radius, "surface": _fingerprint(part)} for part in parts},
        "scans": [
            {
                "file": item.scan.relative_to(out).as_posix(),
                "kind": item.kind,
                "entropy": list(_entropy(item, settings)),
            }
            for item in items
        ],
    }


def _fingerprint(part: PartClass) -> str:
    """Changes when the nominal surface does."""
    digest = hashlib.sha256(np.ascontiguousarray(part.mesh.vertices, dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(part.mesh.faces, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


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


def _exists(item: _Item) -> bool:
    return item.scan.is_file() and (item.ground_truth is None or item.ground_truth.is_file())


def _write(item: _Item, settings: BenchmarkSettings) -> None:
    generator = np.random.default_rng(_entropy(item, settings))
    cloud = make_scan(item.part, item.kind, generator, settings, train=item.split == "train")
    # The scan is stored in single precision; its ground truth names the very same coordinates.
    cloud = PointCloud(cloud.points.astype(np.float32).astype(np.float64), labels=cloud.labels)
    if item.ground_truth is not None:
        delimiter = "," if settings.layout == "anomaly_shapenet" else " "
        _write_ground_truth(item.ground_truth, cloud, delimiter)
    write_cloud(item.scan, PointCloud(cloud.points))


def _write_ground_truth(path: Path, cloud: PointCloud, delimiter: str) -> None:
    assert cloud.labels is not None
    pattern = delimiter.join(["%.6f", "%.6f", "%.6f", "%d\n"])
    rows = zip(*cloud.points.T.tolist(), cloud.labels.tolist(), strict=True)
    with atomic_path(path) as temporary:
        temporary.write_text("".join([pattern % row for row in rows]), encoding="ascii")
