"""Shallow defects with steep flanks: material that was put onto a cast part or taken off it.

On nine public scans of Real3D-AD (airplane) the labelled points lie .5-9 % of the bounding radius off a robust quadric
through their surroundings, on average at .4-.7 of the largest distance (a cone would have a third), and the labelled
points next to undamaged ones rise by .2-.7 of their distance from them: plateaus with steep flanks, not smooth bumps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dusnet.synthesis.surface import Floats, log_uniform, perpendicular

_ROUGH_LENGTHS = (0.02, 0.06)
"""Wavelengths of the unevenness of a blob, bounding radii."""
_LABELLED = 0.1
"""Ground truth is where the surface moved by more than this share of the depth."""
_SLOPES = (0.3, 1.5)
"""Mean slope of a flank, log-uniform; a small blob gets a lower one."""
_DOMES = (0.2, 0.8)
"""By how much of its depth the top of a blob falls from its middle to its outline, like a drop of glue."""


@dataclass(frozen=True)
class Blob:
    """One place where material was put on or taken off.

    Attributes:
        center: (3,) mm.
        normal: outward normal there, (3,).
        first: unit vector across the normal, along its longest axis, (3,).
        half: half axes, (2,) mm.
        waves: amplitudes of the outline's waves around, (4,), and their phases, (4,): of the half axes.
        plateau: share of the half axes where the flank begins.
        dome: by how much of the depth the top falls from the middle to the outline.
        depth: mm; negative where material is gone.
        rough: wave vectors (8, 3) per mm and phases (8,) of its unevenness.
        roughness: standard deviation of the unevenness, of the depth.
    """

    center: Floats
    normal: Floats
    first: Floats
    half: Floats
    waves: tuple[Floats, Floats]
    plateau: float
    dome: float
    depth: float
    rough: tuple[Floats, Floats]
    roughness: float

    @classmethod
    def draw(
        cls,
        generator: np.random.Generator,
        center: Floats,
        normal: Floats,
        *,
        radius: float,
        length: float,
        depth: float,
        roughness: float,
    ) -> Blob:
        """A blob of random outline.

        Args:
            generator: source of randomness.
            center: (3,) mm.
            normal: (3,), unit.
            radius: bounding radius of the part, mm.
            length: along its longest axis, mm.
            depth: mm, negative inwards.
            roughness: standard deviation of its unevenness, of the depth.
        """
        aspect = generator.uniform(1.0, 2.2)
        half = np.array([0.5 * length, 0.5 * length / aspect])
        # The flank is as wide as its slope asks for, as far as there is room.
        flank = abs(depth) / (log_uniform(generator, *_SLOPES) * float(half[1]))
        plateau = float(np.clip(1.0 - flank, 0.0, 0.9))
        dome = generator.uniform(*_DOMES)
        depth = float(np.sign(depth)) * min(abs(depth), _SLOPES[1] * float(half[1]))
        direction = generator.normal(size=(8, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        lengths = np.array([log_uniform(generator, *_ROUGH_LENGTHS) for _ in range(8)]) * radius
        waves = (
            generator.uniform(0.0, 1.0, 4) * np.array([0.12, 0.08, 0.06, 0.04]),
            generator.uniform(0.0, 2 * np.pi, 4),
        )
        rough = 2.0 * np.pi * direction / lengths[:, None], generator.uniform(0.0, 2.0 * np.pi, 8)
        return cls(
            center, normal, perpendicular(normal, generator), half, waves, plateau, dome, depth, rough, roughness
        )

    def _place(self, points: Floats, normals: Floats) -> Floats:
        """Distance from the middle in half axes, (N,); infinite on the other side of a wall."""
        offset = points - self.center
        along, across = offset @ self.first, offset @ np.cross(self.normal, self.first)
        angle = np.arctan2(across / self.half[1], along / self.half[0])
        flat = np.hypot(along, across)
        # The length is the one in space, the direction that in the tangent plane.
        stretch = np.linalg.norm(offset, axis=1) / np.maximum(flat, 1e-9)
        outline = 1.0 + sum(a * np.sin((k + 2) * angle + p) for k, (a, p) in enumerate(zip(*self.waves, strict=True)))
        distance = np.hypot(along / self.half[0], across / self.half[1]) * np.minimum(stretch, 4.0) / outline
        return np.where(normals @ self.normal > 0.0, distance, np.inf)

    def weight(self, points: Floats, normals: Floats) -> Floats:
        """Share of the depth at places of the undamaged surface, (N,): 1 in the middle, 0 outside."""
        t = self._place(points, normals)
        fall = np.clip((t - self.plateau) / (1.0 - self.plateau), 0.0, 1.0)
        return np.asarray((1.0 - fall**2 * (3.0 - 2.0 * fall)) * (1.0 - self.dome * np.minimum(t, 1.0) ** 2))

    def marked(self, points: Floats, normals: Floats, *, grown: float = 1.0) -> NDArray[np.bool_]:
        """Ground truth, (N,); its area is `grown` times the exact one, as another person may have drawn it."""
        t = self._place(points, normals) / np.sqrt(grown)
        fall = np.clip((t - self.plateau) / (1.0 - self.plateau), 0.0, 1.0)
        return np.asarray(1.0 - fall**2 * (3.0 - 2.0 * fall) > _LABELLED)

    def heights(self, points: Floats, weight: Floats) -> Floats:
        """How far the surface lies outside of the undamaged one where the blob has `weight`, (N,) mm."""
        vectors, phases = self.rough
        uneven = np.sin(points @ vectors.T + phases).sum(axis=1) / np.sqrt(0.5 * len(phases))
        return np.asarray(weight * (self.depth + self.roughness * abs(self.depth) * uneven))
