"""Write the embedded benchmark in the layout of a public archive."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.progress import Progress
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.specimens import GOOD, PartClass, entropy, fingerprint, load_parts, make_scan
from dusnet.synthesis.writer import MANIFEST, PlannedScan, write_dataset

__all__ = ["MANIFEST", "BenchmarkSettings", "write_benchmark"]


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
    write_dataset(out, _Benchmark(settings), progress=progress)
    return out / "pcd" if settings.layout == "anomaly_shapenet" else out


class _Benchmark:
    """The content of the embedded benchmark."""

    def __init__(self, settings: BenchmarkSettings) -> None:
        self.settings = settings
        self.delimiter = "," if settings.layout == "anomaly_shapenet" else " "

    @cached_property
    def _parts(self) -> dict[str, PartClass]:
        return {part.name: part for part in load_parts(self.settings)}

    def notes(self) -> list[str]:
        return [note for part in self._parts.values() for note in part.notes]

    def classes(self) -> dict[str, dict[str, Any]]:
        return {
            part.name: {"radius_mm": part.radius, "surface": fingerprint(part.mesh)} for part in self._parts.values()
        }

    def scans(self) -> list[PlannedScan]:
        return [scan for name in self._parts for scan in self._scans_of(name)]

    def _scans_of(self, name: str) -> Iterator[PlannedScan]:
        """All scans of one class, in the names of the layout."""
        settings = self.settings
        splits = [("train", GOOD, settings.train), ("test", GOOD, settings.good)]
        splits += [("test", kind, settings.per_kind) for kind in settings.chosen_kinds]
        number = 0
        for split, kind, count in splits:
            for index in range(count):
                number += 1
                if settings.layout == "anomaly_shapenet":
                    folder, truth = Path("pcd") / name, "GT"
                    word = "template" if split == "train" else "positive" if kind == GOOD else kind
                    stem = f"{name}_{word}{index}"
                else:
                    folder, truth = Path(name), "gt"
                    stem = f"{number}_{'template' if split == 'train' else kind}"
                ground_truth = None if kind == GOOD else folder / truth / f"{stem}.txt"
                words = entropy(settings.seed, name, "train" if split == "train" else kind, index)
                yield PlannedScan(name, split, kind, index, folder / split / f"{stem}.pcd", ground_truth, words)

    def make(self, scan: PlannedScan) -> PointCloud:
        part, generator = self._parts[scan.class_name], np.random.default_rng(scan.entropy)
        return make_scan(part, scan.kind, generator, self.settings, train=scan.split == "train")
