"""Compare scans with a CAD model: signed deviations, the share of the tolerance that they use, and a verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from dusnet.cad.alignment import CadAligner
from dusnet.cad.inner_faces import warnings_of
from dusnet.cad.surface import CadSurface, Floats
from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.errors import BadConfig, BadInput
from dusnet.geometry import coverage
from dusnet.geometry.clean_scan import CleanScan
from dusnet.geometry.outer_surface import outer_surface
from dusnet.inspection.regions import components, minimum_region
from dusnet.inspection.result_parts import AllowedDeviation, CadFile, Comparison, ModelFile, OutOfTolerance, PartFrame
from dusnet.inspection.verdict import ABOVE, Expectations, Reason, Verdict, decide
from dusnet.io import Mesh, read_mesh, rigid_motion, sample_mesh
from dusnet.result import Context, Result
from dusnet.scans import Scan, read
from dusnet.units import METRES, require_unit

MESH_SUFFIXES = (".stl", ".obj", ".off", ".ply")
DEFAULT_TOLERANCE_METRES = 1e-4
"""A tenth of a millimetre either way, where nobody said what is allowed."""
LIMIT = 1.0
"""The whole tolerance is used."""
NOISY = 1.0 / 3.0
"""Noise above this share of the tolerance makes good surface leave it by chance."""
_LEAST_POINTS = 16
_PLACES = 10_000
_NEIGHBORS = 9
_NOISE_SAMPLE = 4000
_TO_DEVIATION = 1.4826  # from the median of absolute values of a normal distribution to its standard deviation


@dataclass(frozen=True)
class Tolerance:
    """How far a good part may be from its CAD model.

    Attributes:
        plus: allowed excess of material, a positive length.
        minus: allowed lack of material, a positive length.
        chosen: whether somebody chose them; otherwise one or both are the default.

    Raises:
        BadConfig: one of them is zero, negative, or no finite number.
    """

    plus: float
    minus: float
    chosen: bool = True

    def __post_init__(self) -> None:
        for name, value in (("--tol-plus", self.plus), ("--tol-minus", self.minus)):
            if not (math.isfinite(value) and value > 0.0):
                raise BadConfig(f"{name} {value:g} is no tolerance; give a positive length such as 0.1.")

    @classmethod
    def of(cls, plus: float | None, minus: float | None, unit: str) -> Tolerance:
        """The tolerance in `unit`; what is None is 0.1 mm.

        Raises:
            BadConfig: a tolerance cannot be used or the unit does not exist.
        """
        default = DEFAULT_TOLERANCE_METRES / METRES[require_unit(unit)]
        chosen = plus is not None and minus is not None
        return cls(default if plus is None else plus, default if minus is None else minus, chosen)

    def used(self, deviations: NDArray[Any]) -> NDArray[np.float32]:
        """The share of the tolerance that each signed deviation uses, (N,) float32; above 1 it is left."""
        value = np.asarray(deviations, dtype=np.float64)
        return np.maximum(value / self.plus, -value / self.minus).astype(np.float32)


class CadModel:
    """A CAD model that scans are compared with.

    Args:
        path: an STL, OBJ, OFF or PLY mesh.
        unit: of the scans, a key of `units.METRES`.
        cad_unit: of the mesh, None for that of the scans.
        search: look for the pose of a scan anywhere; otherwise scans lie in the model's coordinates already.

    Attributes:
        path: the file.
        unit: of the scans and all results.
        sha256: of the file as it was read.
        surface: the outer one of all its bodies, in the unit of the scans.

    Raises:
        BadInput: the file cannot be read or holds no surface.
        BadConfig: a unit does not exist.
        MissingDependency: Open3D or one of its system libraries is absent.
    """

    def __init__(self, path: Path, *, unit: str = "mm", cad_unit: str | None = None, search: bool = True) -> None:
        self.path, self.unit, self._cad_unit = path, require_unit(unit), require_unit(cad_unit or unit)
        self._ratio = METRES[self._cad_unit] / METRES[unit]
        mesh = read_cad(path)
        assert mesh.sha256 is not None
        self.sha256 = mesh.sha256
        self._triangles = len(mesh.faces)
        self._outer = outer_surface(mesh)
        outer = self._outer.mesh
        self.surface = CadSurface(replace(outer, vertices=outer.vertices * self._ratio), exact=outer is not mesh)
        self._inner = warnings_of(self._outer, path.name)
        self._aligner = CadAligner(self.surface, search=search)
        places, _ = sample_mesh(self.surface.mesh, _PLACES, np.random.default_rng(0))
        self._places = self._in_radii(places)

    @property
    def notes(self) -> tuple[str, ...]:
        """What everybody who reads a result should know about the model."""
        if self.surface.watertight and self._outer.skin is None:
            flat = f"{self.path.name} encloses no volume, so it has no inside: every deviation counts as excess."
            return (*self._inner, flat)
        if self.surface.watertight:
            return self._inner
        return (
            *self._inner,
            f"{self.path.name} is not watertight, so it has no inside: the sign of a deviation is taken from the "
            "normal of the nearest triangle, and is wrong where that points inwards.",
        )

    @property
    def united(self) -> str:
        """What was done with several bodies, in one sentence; empty where nothing was."""
        return self._outer.summary(self.path.name)

    def deviations(self, cloud: PointCloud, tolerance: Tolerance) -> Scores:
        """Where a scan deviates.

        Args:
            cloud: the scan, N points in the unit of the scans, in any pose; one side of the part is enough.
            tolerance: in the same unit.

        Returns:
            `deviation`: signed, positive where there is too much material; `point_scores`: the share of
            the tolerance that they use; `object_score`: see `robust_maximum`; thresholds of 1. `alignment.matrix`
            brings the scan to the coordinates of the CAD file, in its unit. No reconstruction.

        Raises:
            BadInput: the scan cannot be used.
        """
        clean = CleanScan.of(cloud)
        return self._deviations(clean.cloud, tolerance).for_scan(clean)

    def _deviations(self, cloud: PointCloud, tolerance: Tolerance) -> Scores:
        cloud.require_usable(_LEAST_POINTS)
        start = time.perf_counter()
        alignment = self._aligner.align(cloud.points)
        aligned = time.perf_counter()
        placed = cloud.points @ alignment.matrix[:3, :3].T + alignment.matrix[:3, 3]
        deviations = self.surface.signed_distance(placed).astype(np.float32)
        used = tolerance.used(deviations)
        score = robust_maximum(cloud.points, used)
        unseen = coverage.Coverage.of(self._in_radii(placed), self._places).unseen_share
        end = time.perf_counter()
        return Scores(
            point_scores=used,
            object_score=score,
            distances=np.abs(deviations),
            deviation=deviations,
            threshold=LIMIT,
            point_threshold=LIMIT,
            is_anomalous=score > LIMIT,
            alignment=replace(alignment, matrix=np.diag([1.0 / self._ratio] * 3 + [1.0]) @ alignment.matrix),
            unseen=unseen,
            timings={"registration": aligned - start, "deviation": end - aligned, "total": end - start},
            warnings=self.notes,
        )

    def compare(
        self,
        scan: Scan,
        tolerance: Tolerance,
        *,
        frame: ArrayLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        stem: str | None = None,
    ) -> Result:
        """Compare one scan; nothing is written.

        Args:
            scan: a file, a cloud, or coordinates, (N, 3).
            tolerance: in the unit of the scans.
            frame: rigid motion from the coordinates of the CAD file to a frame of your own, (4, 4) in the unit of the
                CAD file; None for these coordinates themselves. See `PartFrame`.
            metadata: what the result shall say of the part besides, see `Model.score`.
            stem: what the names of the result's files begin with; None takes the name of the scan's file, or `scan`.

        Raises:
            BadInput: the scan cannot be used, or the frame is no rigid motion.
        """
        given = None if frame is None else rigid_motion(frame, "the frame")
        cloud = read(scan)
        scores = self.deviations(cloud, tolerance)
        assert scores.deviation is not None
        assert scores.alignment is not None
        noise = local_noise(cloud.points, scores.deviation)
        expected = Expectations(
            residual=0.0, scale=self.surface.radius, source="CAD model", unit=self.unit, cad_unit=self._cad_unit
        )
        context = Context(
            ModelFile(id=self.path.name, sha256=self.sha256),
            unit=self.unit,
            part_frame=PartFrame.behind(scores.alignment.matrix, "CAD model", given=given),
            comparison=self._comparison(scores, tolerance, noise),
            warnings=_noise_warning(noise, tolerance, self.unit),
            metadata=metadata or {},
        )
        return Result.of(
            cloud,
            scores,
            context,
            stem=stem,
            verdict=_in_tolerances(decide(scores, cloud.points, expected=expected), scores),
        )

    def _comparison(self, scores: Scores, tolerance: Tolerance, noise: float) -> Comparison:
        assert scores.deviation is not None
        value = scores.deviation.astype(np.float64)
        return Comparison(
            cad=CadFile(
                file=self.path.name,
                sha256=self.sha256,
                unit=self._cad_unit,
                triangles=self._triangles,
                watertight=self.surface.watertight,
                bodies=self._outer.bodies,
                united=self._outer.united,
                left_out=self._outer.left_out,
                not_united=self._outer.not_united,
            ),
            tolerance=AllowedDeviation(plus=tolerance.plus, minus=tolerance.minus, default=not tolerance.chosen),
            rms=float(np.sqrt(np.square(value).mean())),
            out_of_tolerance=OutOfTolerance(
                share=float((scores.point_scores > LIMIT).mean()),
                excess=float((value > tolerance.plus).mean()),
                missing=float((value < -tolerance.minus).mean()),
            ),
            noise=noise,
        )

    def _in_radii(self, points: Floats) -> torch.Tensor:
        return torch.from_numpy((points - self.surface.center) / self.surface.radius).float()


def read_cad(path: Path) -> Mesh:
    """Read the mesh of a CAD model.

    Raises:
        BadInput: there is no such file, it is of another kind, damaged, or holds no faces.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name the mesh file of the CAD model.")
    if path.suffix.lower() not in MESH_SUFFIXES and path.exists():
        raise BadInput(f"{path} is no mesh that can be read; export the CAD model as STL, OBJ, OFF or PLY.")
    return read_mesh(path)


def robust_maximum(points: Floats, used: NDArray[np.float32]) -> float:
    """The share of the tolerance that a scan uses where it uses most, stray points left aside.

    Points above 1 are grouped as regions are. Of a region with at least m points (`regions.minimum_region`) the m-th
    highest share counts, and the greatest of these is the score. Where there is no such region it is the m-th highest
    share of all points, but at most 1. So the score is above 1 exactly where a region is out of tolerance.

    Args:
        points: the scan, (N, 3) float64.
        used: share of the tolerance per point, (N,).
    """
    least = minimum_region(len(points))
    number = components(points, used > LIMIT)
    found = [used[number == group] for group in np.flatnonzero(np.bincount(number[number >= 0]) >= least)]
    if found:
        return max(_ranked(one, least) for one in found)
    return min(LIMIT, _ranked(used, least))


def _ranked(values: NDArray[np.float32], rank: int) -> float:
    """The `rank`-th highest value, or the lowest where there are fewer."""
    return float(np.sort(values)[-min(rank, len(values))])


def local_noise(points: Floats, deviations: NDArray[np.float32]) -> float:
    """Standard deviation of the scan's noise: of deviations about the median of those around, the unit of both."""
    chosen = np.linspace(0, len(points) - 1, min(len(points), _NOISE_SAMPLE)).astype(np.intp)
    _, near = cKDTree(points).query(points[chosen], k=min(_NEIGHBORS, len(points)))
    around = deviations[near].astype(np.float64)
    return _TO_DEVIATION * float(np.median(np.abs(around[:, 0] - np.median(around, axis=1))))


def _in_tolerances(verdict: Verdict, scores: Scores) -> Verdict:
    """The verdict with its finding told as what it is here: a share of the tolerance."""
    words = f"The worst region uses {scores.object_score:.2f} times the tolerance."
    reasons = (Reason(ABOVE, words) if one.code == ABOVE else one for one in verdict.reasons)
    return Verdict(verdict.status, tuple(reasons))


def _noise_warning(noise: float, tolerance: Tolerance, unit: str) -> tuple[str, ...]:
    allowed = min(tolerance.plus, tolerance.minus)
    if noise <= NOISY * allowed:
        return ()
    return (
        f"The noise of the scan is about {noise:.2g} {unit}, more than a third of the tolerance {allowed:g} {unit}: "
        "good surface leaves it by chance; scan more exactly or allow more.",
    )
