"""A small real dataset on disk and a small real detector: distance to the nearest training point."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput
from dusnet.evaluation import run
from dusnet.evaluation.contender import contenders_of
from dusnet.evaluation.rows import Row
from dusnet.evaluation.setup import Evaluation


def evaluate(dataset, detectors, *, settings=None, classes=None, seeds=1, jobs=1, **options) -> list[Row]:
    """`dusnet.evaluation.run.evaluate` with all options in one call."""
    setup = Evaluation(dataset, contenders_of(detectors, settings), **options)
    return run.evaluate(setup, classes=classes, seeds=seeds, jobs=jobs)


FILE_BYTES = 2_500_000
"""Size of a model file."""


def sheet(rng: np.random.Generator, bumps: int, *, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """A wavy sheet with `bumps` bumps, and which points belong to one."""
    plane = rng.random((400, 2)) * 10
    height = np.sin(plane[:, 0]) + noise * rng.normal(size=400)
    labels = np.zeros(400, dtype=bool)
    for center in ((2.5, 2.5), (7.0, 7.0))[:bumps]:
        inside = np.linalg.norm(plane - center, axis=1) < 1.5
        height += 1.2 * inside
        labels |= inside
    return np.column_stack([plane, height]), labels


def write_class(folder: Path, seed: int) -> None:
    """Two training scans, three good and two bumpy test scans with ground truth."""
    rng = np.random.default_rng(seed)
    for part in ("normal", "test/good", "test/bump", "gt"):
        (folder / part).mkdir(parents=True)
    for number in range(2):
        np.savetxt(folder / "normal" / f"n{number}.xyz", sheet(rng, 0)[0])
    for number in range(3):
        np.savetxt(folder / "test/good" / f"good{number}.xyz", sheet(rng, 0)[0])
    for number in range(2):
        points, labels = sheet(rng, number + 1)
        np.savetxt(folder / "test/bump" / f"bump{number}.xyz", points)
        np.savetxt(folder / "gt" / f"bump{number}.txt", np.column_stack([points, labels]))


class Nearest:
    """Distance to the nearest point of a random half of the training points, which makes the seed matter."""

    def __init__(self, name: str, settings: Settings, seed: int, log: list[tuple[str, ...]]) -> None:
        self.name, self.settings, self.seed, self.log = name, settings, seed, log
        self.saw_labels = False
        self.calibration = None

    def set_calibration(self, calibration):
        self.calibration = calibration

    def fit(self, clouds, *, progress=None, workdir=None, resume=False):
        assert progress is not None
        self.log.append(("fit", self.name, str(clouds[0].path.parent.parent.name), str(self.seed), str(resume)))
        (workdir / "checkpoint").write_text("state")
        points = np.concatenate([cloud.points for cloud in clouds])
        self.tree = cKDTree(points[np.random.default_rng(self.seed).random(len(points)) < 0.5])

    def save(self, path: Path) -> None:
        path.write_bytes(b"x" * FILE_BYTES)

    fits_in_seconds = False

    def score(self, cloud: PointCloud, *, explain: bool = True) -> Scores:
        assert not explain
        self.saw_labels |= cloud.labels is not None
        time.sleep(1e-4)
        distance = self.tree.query(cloud.points)[0].astype(np.float32)
        if self.name == "flat":
            distance[:] = 1.0
        threshold = 0.9 if self.calibration is None else self.calibration.threshold(0.2)
        return Scores(distance, float(np.sort(distance)[-20:].mean()), threshold=threshold)


class Factory:
    """`create` as `evaluate` calls it; remembers what it made and what happened."""

    def __init__(self, broken: tuple[str, str] | None = None) -> None:
        self.broken, self.log, self.made = broken, [], []

    def __call__(self, name: str, settings: Settings, *, seed: int = 0, device: str = "cpu") -> Nearest:
        assert device == "cpu"
        if name not in ("near", "flat", "second"):
            raise BadConfig(f"There is no detector {name!r}; use near.")
        detector = Nearest(name, settings, seed, self.log)
        if self.broken is not None:
            original = detector.fit

            def fit(clouds, **options):
                original(clouds, **options)
                if (name, clouds[0].path.parent.parent.name) == self.broken:
                    raise BadInput("n0.xyz is odd; take it out.")

            detector.fit = fit  # type: ignore[method-assign]
        self.made.append(detector)
        return detector

    @property
    def fits(self) -> list[tuple[str, ...]]:
        return [entry[1:4] for entry in self.log if entry[0] == "fit"]


class NearestOfParts:
    """One model of several classes; takes a scan for the class whose folder it is in, but those in `mistaken` not."""

    mistaken = ("lid/good1", "lid/bump0")

    def __init__(self, name: str, settings: Settings, seed: int, log: list[tuple[str, ...]], broken: bool) -> None:
        self.name, self.settings, self.seed, self.log, self.broken = name, settings, seed, log, broken
        self.parts: dict[str, Nearest] = {}
        self.scored: list[str] = []

    def fit(self, parts, *, progress=None, workdir=None, resume=False):
        self.log.append(("fit", self.name, ",".join(parts), str(self.seed), str(resume)))
        for name, clouds in parts.items():
            self.parts[name] = Nearest(self.name, self.settings, self.seed, [])
            self.parts[name].fit(clouds, progress=progress, workdir=workdir)
        if self.broken:
            raise BadInput("n0.xyz is odd; take it out.")

    def save(self, path: Path) -> None:
        path.write_bytes(b"x" * FILE_BYTES * 2)

    def score(self, cloud: PointCloud, *, explain: bool = True) -> Scores:
        right = next(name for name in self.parts if name in cloud.path.parts)
        self.scored.append(f"{right}/{cloud.path.stem}")
        taken = next(name for name in self.parts if name != right) if self.scored[-1] in self.mistaken else right
        return replace(self.parts[taken].score(cloud, explain=explain), part=taken)


class FactoryForParts:
    """`create_for_parts` as `evaluate` calls it; remembers what it made and what happened."""

    def __init__(self, broken: bool = False) -> None:
        self.broken, self.log, self.made = broken, [], []

    def __call__(self, name: str, settings: Settings, *, seed: int = 0, device: str = "cpu") -> NearestOfParts:
        assert device == "cpu"
        if name == "flat":
            raise BadConfig("flat learns one part at a time; choose near.")
        self.made.append(NearestOfParts(name, settings, seed, self.log, self.broken))
        return self.made[-1]

    @property
    def fits(self) -> list[tuple[str, ...]]:
        return [entry[1:] for entry in self.log]
