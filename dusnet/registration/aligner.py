"""The aligner: one reference, many scans, each brought to the reference by a rigid motion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.config import RegistrationSettings
from dusnet.registration.icp import icp, transform
from dusnet.registration.ransac import Features, ransac
from dusnet.registration.surface import Surface, thin_to
from dusnet.registration.sweep import Views, distinct, rank, sweep, trimmed
from dusnet.registration.visibility import Eye

Array = NDArray[np.float64]

_KEEP = 0.9  # share of the scan, nearest first, that the residual is the mean of: a defect must not decide
_FIT = 0.05  # distance to the reference, fraction of the scale, within which a point counts for the fitness
_SCALES = (0.1, 0.04, 0.02)  # reach of the three ICP passes
_ITERATIONS = 30
_REFINE_POINTS = 1000
_REFERENCE_SHARE = 20  # the reference keeps at most this many times `settings.points`
_SEARCH_REFERENCE = 3000  # evenly spread reference points that starting poses are ranked on
_SEARCH_POINTS = 200  # evenly spread scan points that do
_SEARCH_POSES = 64  # starting poses that coarse ICP follows
_SEARCH_SCALES = ((0.3, 15), (0.1, 10))  # reach and iterations of coarse ICP
_FEATURE_POSES = 100  # starting poses per set of feature matches


@dataclass(frozen=True)
class Alignment:
    """How a scan was brought to the reference.

    Attributes:
        matrix: (4, 4) float64 rigid motion, scan -> reference, both in the unit of the files.
        residual: mean distance of the 90 % of the scan's points that are nearest to the reference, as a fraction of
            the class's scale. The distance is to the surface (small discs around the reference points), so that
            neither the density of the scan nor that of the reference enters.
        fitness: share of the scan's points within 0.05 of the scale of the reference, 0 to 1.
        method: what was used in the end: "none", "icp" or "global".
    """

    matrix: Array
    residual: float
    fitness: float
    method: str


class Aligner:
    """Aligns scans to one reference. The same scan, settings and seed give the same bits.

    Args:
        reference: (M, 3) float64, in the unit of the files; large coordinates (UTM) are fine.
        settings: method and effort.
        scale: bounding radius of the class in the unit of the files; all lengths of the method are fractions of it.
        seed: of the subsampling and of RANSAC.

    Raises:
        BadInput: the reference has too few points, or they are identical, on one line, or not finite.
    """

    def __init__(self, reference: Array, settings: RegistrationSettings, *, scale: float, seed: int) -> None:
        if not (np.isfinite(scale) and scale > 0.0):
            raise ValueError(f"scale must be a positive length, got {scale}")
        PointCloud(reference).require_usable()
        self._settings, self._scale, self._seed = settings, float(scale), seed
        generator = np.random.default_rng(seed)
        points = _draw(np.asarray(reference, dtype=np.float64), settings.points * _REFERENCE_SHARE, generator)
        self._center = (points.min(axis=0) + points.max(axis=0)) / 2.0
        self._surface = Surface.of((points - self._center) / self._scale)

    @cached_property
    def _coarse(self) -> Surface:
        return Surface.of(self._surface.points[thin_to(self._surface.points, _SEARCH_REFERENCE)])

    @cached_property
    def _views(self) -> Views:
        return Views.of(self._surface)

    @cached_property
    def _features(self) -> Features:
        return Features.of(self._surface.points, None)

    def align(self, points: Array) -> Alignment:
        """The motion that brings `points`, (N, 3) float64 in the unit of the files, to the reference.

        Raises:
            BadInput: the scan has too few points, or they are identical, on one line, or not finite.
            MissingDependency: a search over all poses is needed and Open3D is absent.
        """
        PointCloud(points).require_usable()
        generator = np.random.default_rng(self._seed)
        points = _draw(np.asarray(points, dtype=np.float64), self._settings.points, generator)
        center = points.mean(axis=0)
        scan = (points - center) / self._scale
        stay = _shift((center - self._center) / self._scale)
        method = self._settings.method
        if method == "none":
            return self._result(scan, stay, center, "none")
        local = stay
        if method != "global":
            starts = np.stack([stay, _shift(self._surface.points.mean(axis=0))])
            local = self._best(scan, self._refine(scan, starts))
            found = self._result(scan, local, center, "icp")
            if method == "icp" or self._believable(found):
                return found
        searched = self._search(scan, generator)
        if method == "auto" and self._cost(scan, local) <= self._cost(scan, searched):
            return found
        return self._result(scan, searched, center, "global")

    def _believable(self, found: Alignment) -> bool:
        return found.residual <= self._settings.accept_residual and found.fitness >= self._settings.accept_fitness

    def _search(self, scan: Array, generator: np.random.Generator) -> Array:
        few, ends = scan[thin_to(scan, _SEARCH_POINTS)], []
        for eye in Eye.all_of(scan):
            ends.append(self._follow(few, sweep(scan, eye, self._views)))
            features = Features.of(scan, eye)
            ends.append(self._follow(few, ransac(features, self._features, _FEATURE_POSES, generator)))
        return self._best(scan, self._refine(scan, np.concatenate(ends)))

    def _follow(self, few: Array, poses: Array) -> Array:
        """Different poses, at most `hypotheses`, that coarse ICP reaches from the best of the starting `poses`."""
        if not len(poses):
            return poses
        poses = rank(few[::2], self._coarse, poses, _SEARCH_POSES, _KEEP)
        for reach, iterations in _SEARCH_SCALES:
            poses = icp(few, self._coarse, poses, reach, iterations, tolerance=1e-3)
        return distinct(few, rank(few, self._coarse, poses, _SEARCH_POSES, _KEEP), self._settings.hypotheses)

    def _refine(self, scan: Array, poses: Array) -> Array:
        """The three passes on part of the points, as many poses need them; `_best` polishes the winner on all."""
        part = scan[:: max(1, len(scan) // _REFINE_POINTS)]
        for reach in _SCALES:
            poses = icp(part, self._surface, poses, reach, _ITERATIONS, tolerance=1e-4)
        return poses

    def _cost(self, scan: Array, pose: Array) -> float:
        """What poses are compared by: every point counts, but none for more than `_FIT`, so no defect decides."""
        return float(np.minimum(self._surface.distance(transform(pose[None], scan)[0]), _FIT).mean())

    def _best(self, scan: Array, poses: Array) -> Array:
        winner = int(np.argmin([self._cost(scan, pose) for pose in poses]))
        return icp(scan, self._surface, poses[winner : winner + 1], _SCALES[-1], _ITERATIONS, tolerance=1e-9)[0]

    def _result(self, scan: Array, pose: Array, center: Array, method: str) -> Alignment:
        distances = self._surface.distance(transform(pose[None], scan)[0])
        matrix = np.eye(4)
        if method != "none":
            left, _, right = np.linalg.svd(pose[:3, :3])  # removes the rounding that many small turns have piled up
            matrix[:3, :3] = left @ right
            matrix[:3, 3] = pose[:3, 3] * self._scale + self._center - matrix[:3, :3] @ center
        residual = float(trimmed(distances, _KEEP))
        return Alignment(matrix, residual, float((distances <= _FIT).mean()), method)


def _draw(points: Array, count: int, generator: np.random.Generator) -> Array:
    """`count` of the points, each at most once, or all of them."""
    if len(points) <= count:
        return points
    return points[generator.choice(len(points), count, replace=False)]


def _shift(offset: Array) -> Array:
    pose = np.eye(4)
    pose[:3, 3] = offset
    return pose
