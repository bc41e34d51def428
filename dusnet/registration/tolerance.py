"""How far off a good part may be, place by place."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dusnet import ops
from dusnet.geometry.spacing import interpolate


@dataclass(frozen=True)
class ToleranceField:
    """What good parts do, place by place: root mean square of the training clouds' own distances.

    Attributes:
        places: points of the reconstructed training clouds, (M, 3).
        values: tolerance there, (M,).
        level: root mean square over all places.
    """

    places: Tensor
    values: Tensor
    level: float

    NEIGHBORS = 60
    FLOOR = 0.6

    @classmethod
    def of(cls, places: Tensor, distances: Tensor) -> ToleranceField:
        """Pool the distances of all training clouds over the nearest places.

        Args:
            places: reconstructed positions, (M, 3).
            distances: distance of the training point to its reconstruction, (M,).
        """
        count = min(cls.NEIGHBORS, len(places))
        _, index = ops.knn(places.unsqueeze(0), places.unsqueeze(0), count)
        values = distances.square()[index[0]].mean(dim=1).sqrt()
        return cls(places, values, float(distances.square().mean().sqrt()))

    def normalise(self, distances: Tensor, places: Tensor) -> Tensor:
        """Distances divided by the tolerance at their places, scaled so that a typical place keeps its value.

        Args:
            distances: (N,).
            places: reconstructed positions, (N, 3).

        Returns:
            (N,), still in the frame's unit of length for a place of average tolerance. Unchanged where the training
            clouds show no distance at all.
        """
        if self.level == 0:
            return distances
        return distances * (1 + self.FLOOR) * self.level / (self.at(places) + self.FLOOR * self.level)

    def at(self, places: Tensor) -> Tensor:
        """Tolerance at places of the frame, (N, 3) -> (N,)."""
        return interpolate(self.values, self.places, places)
