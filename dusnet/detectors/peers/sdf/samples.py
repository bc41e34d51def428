"""What the network learns from: places on and around the good surface with their distances from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.geometry.outward import outward_normals
from dusnet.geometry.surface import DiscSurface

Floats = NDArray[np.float64]

PLANES = 6
"""Nearest points of the surface whose mean plane says on which side a place lies."""
FAR = 1.5
"""Radius of a sphere around the part, in units of the frame: every place on it is outside of a closed surface."""
LOOKED_AT = 1000
"""Places on that sphere that are looked at."""
INSIDE = 0.02
"""Share of them that may seem to be inside before the orientation counts as unknown: a closed part of 8,000 points
had none, a sheet with one side has about half."""


@dataclass(frozen=True)
class SurfaceField:
    """Distances to the surface of the good scans.

    Attributes:
        surface: points of all scans, each with a small disc around it.
        outward: their unit normals away from the material, (M, 3).
        signed: whether the surface has an inside; distances have a sign only then.
    """

    surface: DiscSurface
    outward: Floats
    signed: bool

    @classmethod
    def of(cls, points: Floats, *, seed: int) -> SurfaceField:
        """The surface through points in the frame, (M, 3).

        Args:
            points: of all good scans.
            seed: of the places from which the orientation is checked.
        """
        outward = outward_normals(torch.from_numpy(points).float()).double().numpy()
        field = cls(DiscSurface.of(points), outward, signed=True)
        around = np.random.default_rng(seed).normal(size=(LOOKED_AT, 3))
        around *= FAR / np.linalg.norm(around, axis=1, keepdims=True)
        inside = float((field.distance(around) < 0).mean())
        return cls(field.surface, outward, signed=inside <= INSIDE)

    def distance(self, places: Floats) -> Floats:
        """Distance of places to the surface, (N, 3) -> (N,); negative inside of it where it has an inside."""
        distance = self.surface.distance(places)
        if not self.signed:
            return distance
        _, near = self.surface.search.knn(places, min(PLANES, len(self.outward)))
        heights = np.einsum("nkj,nkj->nk", places[:, None] - self.surface.points[near], self.outward[near])
        return np.where(heights.mean(axis=1) < 0, -distance, distance)


@dataclass(frozen=True)
class Samples:
    """Places and their distances.

    Attributes:
        places: (N, 3) float32 in the frame.
        distances: (N,) float32; signed where `signed`.
        signed: whether the surface has an inside.
    """

    places: Tensor
    distances: Tensor
    signed: bool

    @classmethod
    def draw(cls, clouds: Sequence[Floats], *, surface: int, box: int, volume: int, seed: int) -> Samples:
        """Samples as PASDF takes them: on the surface, in the box around the part, and in the unit cube around it.

        Args:
            clouds: good scans in the frame, (N, 3) each.
            surface: number of samples on the surface: points of the scans, drawn with repetition.
            box: number of samples in the box around all scans.
            volume: number of samples in the cube from -1 to 1.
            seed: of the draws.
        """
        points = np.concatenate(list(clouds))
        field = SurfaceField.of(points, seed=seed)
        rng = np.random.default_rng(seed)
        places = np.concatenate(
            [
                points[rng.integers(len(points), size=surface)],
                rng.uniform(points.min(axis=0), points.max(axis=0), size=(box, 3)),
                rng.uniform(-1.0, 1.0, size=(volume, 3)),
            ]
        )
        distances = torch.from_numpy(field.distance(places)).float()
        return cls(torch.from_numpy(places).float(), distances, field.signed)
