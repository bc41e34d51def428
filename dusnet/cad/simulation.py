"""Good scans of a CAD model, where there is no good part to scan yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from dusnet.cad.comparison import read_cad
from dusnet.cad.inner_faces import warnings_of
from dusnet.cloud import PointCloud
from dusnet.errors import BadConfig
from dusnet.geometry.outer_surface import OuterSurface, outer_surface
from dusnet.io import Mesh
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.specimens import GOOD, PartClass, entropy, make_scan, mesh_part, own_mesh


@dataclass(frozen=True)
class CadScans:
    """What a scanner would see of parts that were made after a CAD model.

    Every simulated part is the model with a smooth change of shape of its own, scanned from all sides. The first scan
    lies in the coordinates of the model: they are the frame of the part. Equal values give equal scans.

    Attributes:
        path: an STL, OBJ, OFF or PLY mesh.
        count: how many scans.
        variation: largest displacement of a part's surface, as a fraction of the bounding radius, 0 to 0.1.
        noise: standard deviation of the scanner's noise, as a fraction of the bounding radius, 0 to 0.1.
        points: mean number of points of a scan, 500 to 200,000.
        seed: fixes everything that is random.
    """

    path: Path
    count: int = 4
    variation: float = 0.01
    noise: float = 0.001
    points: int = 10_000
    seed: int = 0

    @cached_property
    def _settings(self) -> BenchmarkSettings:
        try:
            return BenchmarkSettings(
                parts=(),
                meshes=(self.path,),
                train=self.count,
                variation=self.variation,
                noise=self.noise,
                points=self.points,
                seed=self.seed,
            )
        except ValidationError as error:
            problem = error.errors()[0]
            name = {"train": "scans"}.get(str(problem["loc"][0]), str(problem["loc"][0]))
            raise BadConfig(
                f"--cad-{name} cannot be {problem['input']!r}: {problem['msg']}; give another value."
            ) from error

    @cached_property
    def _mesh(self) -> Mesh:
        """The file as it was read; refuses what is no CAD model."""
        read_cad(self.path)
        return own_mesh(self.path)

    @cached_property
    def _outer(self) -> OuterSurface:
        return outer_surface(self._mesh)

    @cached_property
    def _part(self) -> PartClass:
        return mesh_part(self.path.stem, self._outer)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What is doubtful about the surface that is scanned.

        Raises:
            BadInput: the file cannot be read or holds no surface.
            MissingDependency: Open3D or one of its system libraries is absent.
        """
        return warnings_of(self._outer, self.path.name)

    @property
    def united(self) -> str:
        """What was done with several bodies, in one sentence; empty where nothing was."""
        return self._outer.summary(self.path.name)

    def require_usable(self) -> None:
        """Raise what `scan` would raise.

        Raises:
            BadInput: the file cannot be read or holds no surface.
            BadConfig: a value is out of range.
        """
        _ = self._settings, self._part

    def scan(self, index: int) -> PointCloud:
        """Scan number `index`, from 0, in the unit of the model.

        Raises:
            BadInput: the file cannot be read or holds no surface.
            BadConfig: a value is out of range.
        """
        part, settings = self._part, self._settings
        if index == 0:
            settings = settings.model_copy(update={"pose": "fixed"})
        generator = np.random.default_rng(entropy(self.seed, part.name, "train", index))
        cloud = make_scan(part, GOOD, generator, settings, train=True)
        return PointCloud(cloud.points)

    def provenance(self) -> dict[str, Any]:
        """Where a model that learned from these scans comes from, as JSON."""
        return {
            "file": self.path.name,
            "sha256": self._mesh.sha256,
            "radius": self._part.radius,
            "scans": self.count,
            "variation": self.variation,
            "noise": self.noise,
            "points": self.points,
            "seed": self.seed,
            "in_place": True,
            **({"warnings": list(self.warnings)} if self.warnings else {}),
        }


@dataclass(frozen=True)
class SimulatedScan:
    """One of them, made when it is needed.

    Attributes:
        scans: all of them.
        index: which one.
    """

    scans: CadScans
    index: int

    def load(self) -> PointCloud:
        """Make the scan; see `CadScans.scan`."""
        return self.scans.scan(self.index)
