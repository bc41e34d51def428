"""Bring a scan to a CAD model: a search over poses, then a robust fit to the surface itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dusnet.cad.surface import CadSurface
from dusnet.cad.symmetry import near_symmetries
from dusnet.config import RegistrationSettings
from dusnet.geometry.sampling import thin_to
from dusnet.io import sample_mesh
from dusnet.registration import Aligner, Alignment
from dusnet.registration.costs import EQUAL, cost_of
from dusnet.registration.icp import rotations

Floats = NDArray[np.float64]

_REFERENCE = 40_000  # points of the model that the search knows
_SAMPLE = 10_000  # evenly spread points of the scan that take part in the fit
_REACHES = (0.02, 0.01, 0.005, 0.0025, 0.0)  # of the radius: cutoffs of the fit's rounds
_SPREADS = 4.685 * 1.4826  # Tukey's constant, for a spread that is a median of absolute distances
_LEAST = 2e-6  # of the radius: no cutoff is below what single precision resolves
_STEPS = 10
_FINISHED = 1e-4  # of the cutoff: a smaller step ends a round
_DAMPING = 1e-9  # keeps the system solvable where the surface leaves a motion free (a plane, a cylinder)
_COARSE = 3000  # evenly spread points of the model for its symmetries
_FAR = 0.05  # of the radius: reach of their fit
_FEW = 1000  # points that turned poses are ranked with
_TRIED = 4  # turned poses that are fitted
_WORTH = 1.5  # ratio of costs, and
_NOT_FITTED = 0.01  # what it may be worse than that, up to which they are


class CadAligner:
    """Aligns scans to a CAD model. The same scan and model give the same bits.

    Args:
        surface: of the model, in the unit of the scans.
        search: look for the pose anywhere; otherwise scans lie in the model's coordinates already and stay there.
    """

    def __init__(self, surface: CadSurface, *, search: bool = True) -> None:
        self._surface, self._search = surface, search
        points, _ = sample_mesh(surface.mesh, _REFERENCE, np.random.default_rng(0))
        self._places = points[thin_to(points, _COARSE)]
        settings = RegistrationSettings(method="global" if search else "none")
        self._aligner = Aligner(points, settings, scale=surface.radius, seed=0)

    def align(self, points: Floats) -> Alignment:
        """How to bring a scan, (N, 3) float64, to the model.

        Where the part nearly looks the same after a turn, the turned poses are compared too, by their distance to the
        surface itself.

        Raises:
            BadInput: the scan has too few points, or they are identical, on one line, or not finite.
        """
        found = self._aligner.align(points)
        sample = points[thin_to(points, _SAMPLE)]
        if not self._search:
            return self._measured(found, sample, found.matrix)
        matrix = fit(sample, self._surface, found.matrix)
        first = self._cost(sample, matrix)
        symmetric = found.symmetric
        best, least = matrix, first
        for turned in self._turned(sample, matrix):
            pose = fit(sample[:: max(1, len(sample) // _COARSE)], self._surface, turned)
            cost = self._cost(sample, pose)
            symmetric |= max(cost, first) <= EQUAL * min(cost, first)
            if cost < least:
                best = fit(sample, self._surface, pose, reaches=_REACHES[-2:])
                least = self._cost(sample, best)
        # What fits next best is as far off as before, but the best may be nearer now.
        margin = found.margin * found.cost / max(found.cost - first + least, _LEAST) if least < first else found.margin
        return replace(self._measured(found, sample, best), symmetric=symmetric, margin=max(1.0, margin))

    @cached_property
    def _symmetries(self) -> list[Floats]:
        """Motions of the part onto nearly itself, in the unit of the surface about its middle, (4, 4) each."""
        surface = self._surface
        radius, center = surface.radius, surface.center

        def refine(places: Floats, start: Floats) -> Floats:
            pose = _carried(start, radius, center)
            fitted = fit(places * radius + center, surface, pose, reaches=(_FAR, *_REACHES[:2]))
            return _carried(fitted, 1.0 / radius, -center / radius)

        def distance(places: Floats) -> Floats:
            return surface.nearest(places * radius + center).distances / radius

        places = (self._places - center) / radius
        return [_carried(motion, radius, center) for motion in near_symmetries(places, refine, distance)]

    def _turned(self, sample: Floats, matrix: Floats) -> list[Floats]:
        """The likeliest of the poses that a near symmetry of the part makes of `matrix`."""
        few = sample[:: max(1, len(sample) // _FEW)]
        poses = [turn @ matrix for turn in self._symmetries]
        costs = [self._cost(few, pose) for pose in poses]
        limit = _WORTH * self._cost(few, matrix) + _NOT_FITTED
        order = np.argsort(costs, kind="stable")[:_TRIED]
        return [poses[number] for number in order if costs[number] <= limit]

    def _distances(self, sample: Floats, matrix: Floats) -> Floats:
        """In radii."""
        return self._surface.nearest(sample @ matrix[:3, :3].T + matrix[:3, 3]).distances / self._surface.radius

    def _cost(self, sample: Floats, matrix: Floats) -> float:
        return float(cost_of(self._distances(sample, matrix)))

    def _measured(self, found: Alignment, sample: Floats, matrix: Floats) -> Alignment:
        measured = Alignment.measured(matrix, self._distances(sample, matrix), found.method)
        return replace(measured, symmetric=found.symmetric, margin=found.margin)


def _carried(motion: Floats, factor: float, offset: Floats) -> Floats:
    """A motion of points p as one of the points `factor * p + offset`."""
    carried = motion.copy()
    carried[:3, 3] = factor * motion[:3, 3] + offset - motion[:3, :3] @ offset
    return carried


def fit(points: Floats, surface: CadSurface, matrix: Floats, *, reaches: tuple[float, ...] = _REACHES) -> Floats:
    """The rigid motion that brings points to a surface, from a motion that nearly does.

    Gauss-Newton steps on the distances to the surface with Tukey's biweight. The cutoff falls from 2 % of the radius to
    seven times the median distance, so that in the end only what lies where it should has a vote: a dent, a bump or a
    displaced face does not draw the part towards itself.

    Args:
        points: (N, 3) float64, the unit of the surface.
        surface: of the model.
        matrix: (4, 4) float64, the motion to start from.
        reaches: cutoffs of the rounds, fractions of the radius.

    Returns:
        (4, 4) float64.
    """
    pose = matrix.copy()
    for reach in reaches:
        for _ in range(_STEPS):
            moved = points @ pose[:3, :3].T + pose[:3, 3]
            step, cutoff = _step(moved, surface, reach)
            turn = rotations(step[None, :3])[0]
            middle = surface.center
            pose[:3, :3] = turn @ pose[:3, :3]
            pose[:3, 3] = turn @ (pose[:3, 3] - middle) + middle + step[3:] * surface.radius
            if np.abs(step).max() < _FINISHED * cutoff:
                break
    left, _, right = np.linalg.svd(pose[:3, :3])  # removes the rounding that many small turns have piled up
    rotation = left @ right
    pose[:3, 3] += (pose[:3, :3] - rotation) @ points.mean(axis=0)
    pose[:3, :3] = rotation
    return pose


def _step(moved: Floats, surface: CadSurface, reach: float) -> tuple[Floats, float]:
    """Turn about the surface's middle and shift in radii, (6,), for points where they are, (N, 3); and the cutoff."""
    found = surface.nearest(moved)
    arm = (moved - surface.center) / surface.radius
    # Touching points have the normal of their triangle, and of the distance what is along it.
    height = np.einsum("ni,ni->n", moved - found.feet, found.directions) / surface.radius
    cutoff = max(reach, _SPREADS * float(np.median(np.abs(height))), _LEAST)
    weight = np.square(1.0 - np.minimum(np.square(height / cutoff), 1.0))
    jacobian = np.column_stack([np.cross(arm, found.directions), found.directions])
    left = (jacobian * weight[:, None]).T @ jacobian
    left += _DAMPING * max(float(np.trace(left)), 1.0) * np.eye(6)
    return np.asarray(np.linalg.solve(left, -(jacobian * weight[:, None]).T @ height)), cutoff
