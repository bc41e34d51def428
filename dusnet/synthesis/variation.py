"""What good parts of one mould may do: smooth, low-frequency changes of shape, different for every part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dusnet.cloud import Frame
from dusnet.synthesis.surface import Floats, LabelledSurface


@dataclass(frozen=True)
class SmoothField:
    """A displacement field: a sum of plane sine waves less the rigid motion closest to it.

    Attributes:
        waves: wave vectors, (W, 3) float64, radians per mm.
        phases: (W,) float64.
        amplitudes: displacement of each wave, (W, 3) float64, mm.
        affine: (4, 3) float64: the rigid part to take away is `[p, 1] @ affine`.
    """

    waves: Floats
    phases: Floats
    amplitudes: Floats
    affine: Floats

    def displacement(self, points: Floats) -> Floats:
        """Displacement at `points`, (N, 3) mm -> (N, 3) mm."""
        waved = np.sin(points @ self.waves.T + self.phases) @ self.amplitudes
        return waved - (points @ self.affine[:3] + self.affine[3])

    def apply(self, surface: LabelledSurface) -> LabelledSurface:
        """The deformed surface; its normals turn with it."""
        if not self.amplitudes.any():
            return surface
        angle = surface.points @ self.waves.T + self.phases
        move = np.sin(angle) @ self.amplitudes - (surface.points @ self.affine[:3] + self.affine[3])
        slope = np.cos(angle)
        # Normals follow (1 + J)^-T n for the Jacobian J of the displacement: solved as m = n - J^T m, J being small.
        normals = surface.normals
        for _ in range(5):
            along = ((normals @ self.amplitudes.T) * slope) @ self.waves - normals @ self.affine[:3].T
            normals = surface.normals - along
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return LabelledSurface(surface.points + move, normals, surface.labels)


def smooth_field(generator: np.random.Generator, points: Floats, amplitude: float) -> SmoothField:
    """A random smooth field whose largest displacement over `points` is exactly `amplitude`.

    It is a sum of four sine waves that are 2 to 6 bounding radii long (a part is 2 radii across).

    Args:
        generator: source of randomness.
        points: points of the undeformed part, (N, 3) mm; they set scale and largest displacement.
        amplitude: the largest displacement of any of `points`, mm; 0 gives the zero field.
    """
    frame = Frame.of(points)
    directions = generator.normal(size=(4, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    wavelengths = frame.scale * generator.uniform(2.0, 6.0, size=4)
    vectors = directions * (2.0 * np.pi / wavelengths)[:, None]
    phases = generator.uniform(0.0, 2.0 * np.pi, size=4)
    strengths = generator.normal(size=(4, 3))
    if amplitude == 0.0:
        return SmoothField(vectors, phases, np.zeros((4, 3)), np.zeros((4, 3)))
    raw = SmoothField(vectors, phases, strengths, np.zeros((4, 3))).displacement(points)
    rigid = _closest_rigid(points, raw, -frame.translation)
    left = raw - (points @ rigid[:3] + rigid[3])
    factor = amplitude / float(np.sqrt((left**2).sum(axis=1).max()))
    return SmoothField(vectors, phases, strengths * factor, rigid * factor)


def _closest_rigid(points: Floats, displacement: Floats, center: Floats) -> Floats:
    """Least-squares small motion `t + w x (p - center)`, as the (4, 3) matrix of `[p, 1] @ matrix`."""
    local = points - center
    mean_local, mean_move = local.mean(axis=0), displacement.mean(axis=0)
    spread, moved = local - mean_local, displacement - mean_move
    inertia = np.eye(3) * (spread**2).sum() - spread.T @ spread
    turn = np.linalg.solve(inertia, np.cross(spread, moved).sum(axis=0))
    cross = np.array([[0.0, -turn[2], turn[1]], [turn[2], 0.0, -turn[0]], [-turn[1], turn[0], 0.0]])
    offset = mean_move - cross @ (mean_local + center)
    return np.vstack([cross.T, offset])
