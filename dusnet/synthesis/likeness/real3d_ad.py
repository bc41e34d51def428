"""A benchmark like Real3D-AD: small cast toys on a turntable, shallow defects, dense templates, every test scan twice.

Where the numbers come from is said in `real3d_ad_settings.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.io import Mesh
from dusnet.synthesis.likeness.halves import of_half
from dusnet.synthesis.likeness.real3d_ad_settings import Real3dAdLike
from dusnet.synthesis.likeness.toy_scans import ScannedToy
from dusnet.synthesis.relief import Relief, grain
from dusnet.synthesis.scanner import random_pose
from dusnet.synthesis.specimens import GOOD, entropy, own_surfaces, remarks
from dusnet.synthesis.surface import Floats
from dusnet.synthesis.toys import TOYS
from dusnet.synthesis.writer import PlannedScan

KINDS = {"bulge": 0.621, "bulges": 0.086, "sink": 0.236, "sinks": 0.037, "hybrid": 0.02}
"""Kinds of defects and how often they are (list of files: 374, 52, 142, 22 and 12 of 602)."""
_TWIN = "_cut"
_GRAIN = 0.0018
"""Grain of a mesh of the user's own."""


class Real3dAdPlan:
    """The content of a benchmark like Real3D-AD; a `Plan`.

    Args:
        settings: what to make.

    Raises:
        BadInput: a mesh cannot be used, or two classes have the same name.
    """

    delimiter = " "

    def __init__(self, settings: Real3dAdLike) -> None:
        self.settings = settings
        self._notes: list[str] = []
        self._parts: dict[str, Callable[[], tuple[Mesh, Relief]]] = {
            name: partial(_toy, name) for name in of_half(settings.parts, settings.half)
        }
        own = zip(settings.meshes, own_surfaces(settings.meshes, TOYS).items(), strict=True)
        for path, (name, outer) in own:
            self._notes += remarks(outer, path.name)
            self._parts[name] = partial(_own, outer.mesh, entropy(settings.seed, name, "relief", 0)[1])
        self._class = cache(self._made_class)

    def notes(self) -> list[str]:
        """What everybody who uses the classes should know."""
        return self._notes

    def classes(self) -> dict[str, dict[str, Any]]:
        """Radius and spacing in mm, and a fingerprint of the surface, by name."""
        found = {}
        for name in self._parts:
            toy = self._class(name)
            found[name] = {
                "radius_mm": toy.part.radius,
                "spacing_mm": toy.spacing,
                "surface": toy.surface,
            }
        return found

    def scans(self) -> list[PlannedScan]:
        """All scans in the names of the archive; twins behind each other."""
        return [scan for name in self._parts for scan in self._scans_of(name)]

    def _scans_of(self, name: str) -> Iterator[PlannedScan]:
        folder, number = Path(name), 0
        own = self.settings
        splits = [("train", GOOD, own.templates), ("test", GOOD, own.good)]
        splits += [("test", kind, count) for kind, count in _shared_out(own.defective).items()]
        for split, kind, count in splits:
            for index in range(count):
                number += 1
                stem = f"{number}_{'template' if split == 'train' else kind}"
                source = entropy(own.seed, name, "train" if split == "train" else kind, index)
                for suffix in ("", _TWIN) if own.paired and split == "test" else ("",):
                    truth = None if kind == GOOD else folder / "gt" / f"{stem}{suffix}.txt"
                    file = folder / split / f"{stem}{suffix}.pcd"
                    yield PlannedScan(name, split, kind, index, file, truth, (*source, 1) if suffix else source)

    def make(self, scan: PlannedScan) -> PointCloud:
        """One scan with its labels, in mm."""
        toy, source = self._class(scan.class_name), scan.entropy[:4]
        generator = np.random.default_rng(source)
        if scan.split == "train":
            points = _placed(toy.template(generator), toy, generator)
            return PointCloud(points, labels=np.zeros(len(points), dtype=bool))
        made = toy.test(scan.kind, generator)
        points = _placed(made.points, toy, generator)
        order, grown = generator.permutation(len(points)), 1.0
        if scan.entropy != source:
            other = np.random.default_rng(scan.entropy)
            grown = other.uniform(1.0 - self.settings.relabelled, 1.0 + self.settings.relabelled)
            order = order[toy.untrimmed(made, other)[order]]
        return PointCloud(points[order], labels=made.labels(grown)[order])

    def _made_class(self, name: str) -> ScannedToy:
        generator = np.random.default_rng(entropy(self.settings.seed, name, "class", 0))
        return ScannedToy.of(*self._parts[name](), self.settings, generator)


def _toy(name: str) -> tuple[Mesh, Relief]:
    toy = TOYS[name]()
    return toy.mesh(), toy.relief


def _own(mesh: Mesh, number: int) -> tuple[Mesh, Relief]:
    """A mesh of the user's own gets the grain of a cast surface."""
    return mesh, grain(number, _GRAIN)


def _shared_out(count: int) -> dict[str, int]:
    """How many of `count` defective scans are of each kind: shares of the archive, by largest remainder."""
    exact = {kind: share * count for kind, share in KINDS.items()}
    found = {kind: int(value) for kind, value in exact.items()}
    left = sorted(exact, key=lambda kind: found[kind] - exact[kind])
    for kind in left[: count - sum(found.values())]:
        found[kind] += 1
    return found


def _placed(points: Floats, toy: ScannedToy, generator: np.random.Generator) -> Floats:
    """Points in any pose."""
    body = toy.part
    pose = random_pose("any", generator, body.radius)
    factor = 1.0 + toy.settings.scale_error * generator.normal()
    return np.asarray(factor * (points - body.center) @ pose[:3, :3].T + body.center + pose[:3, 3])
