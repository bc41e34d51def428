"""Effect sizes: how much farther a scan's features are from those of good scans than these are from each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dusnet import ops

LEAST_SPREAD = 1e-4
"""Standard deviation of distances that is never fallen below: the public code of COSSAD names it for FPFH, whose
distances can all be equal."""
_BLOCK = 2**22
"""Entries of a block of distances."""


def cohens_d(one: Tensor, other: Tensor) -> Tensor:
    """Cohen's d of two samples, row by row: difference of the means over the pooled standard deviation.

    J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.5.

    Args:
        one: (P, A) with A >= 1.
        other: (P, B) with B >= 1 and A + B >= 3.

    Returns:
        Absolute values, (P,); the standard deviation is never less than `LEAST_SPREAD`.
    """
    first, second = one.mean(dim=1, keepdim=True), other.mean(dim=1, keepdim=True)
    squares = (one - first).square().sum(dim=1) + (other - second).square().sum(dim=1)
    spread = (squares / (one.shape[1] + other.shape[1] - 2)).sqrt().clamp_min(LEAST_SPREAD)
    return (first - second)[:, 0].abs() / spread


def cosine_distance(one: Tensor, other: Tensor) -> Tensor:
    """1 - cos of vectors, (..., C) each -> (...); 1 where one of them is zero."""
    return 1 - torch.nn.functional.cosine_similarity(one, other, dim=-1)


@dataclass(frozen=True, eq=False)
class PlaceBank:
    """Features of the good scans at the places of the part.

    Attributes:
        features: (T, P, C) float32, T >= 2.
        places: (P, 3) float32 in the frame.
        neighbors: nearest places whose distances are taken together.
    """

    features: Tensor
    places: Tensor
    neighbors: int

    @cached_property
    def _around(self) -> Tensor:
        """The places around each, itself among them, (P, K) int64."""
        count = min(self.neighbors, len(self.places))
        return ops.knn(self.places[None], self.places[None], count)[1][0]

    @cached_property
    def apart(self) -> Tensor:
        """Distances between the good scans at each place and around it, (P, K T (T - 1) / 2) float64."""
        one, other = torch.triu_indices(len(self.features), len(self.features), offset=1)
        features = self.features.double()
        return self._together(cosine_distance(features[one], features[other]))

    def effects(self, features: Tensor) -> Tensor:
        """Effect size of a scan at each place, (P, C) -> (P,) float64."""
        return cohens_d(self.apart, self._together(cosine_distance(self.features.double(), features.double()[None])))

    def _together(self, distances: Tensor) -> Tensor:
        """Distances of each place, (D, P), with those of the places around it, (P, K D)."""
        return distances.T[self._around].flatten(1)


def carried(points: Tensor, places: Tensor, values: Tensor, width: float) -> Tensor:
    """Values of places at points: the mean over all places, weighed by a Gaussian of their distance.

    Args:
        points: (N, 3) float.
        places: (P, 3).
        values: (P,).
        width: standard deviation of the Gaussian.

    Returns:
        (N,) float64. Far from all places the nearest ones decide.
    """
    places, values = places.double(), values.double()
    found = []
    for block in points.double().split(max(1, _BLOCK // len(places))):
        squared = torch.cdist(block, places, compute_mode="donot_use_mm_for_euclid_dist").square()
        # Less the smallest, which changes no ratio, so that not all weights vanish.
        weights = (-(squared - squared.amin(dim=1, keepdim=True)) / (2 * width**2)).exp()
        found.append((weights * values).sum(dim=1) / weights.sum(dim=1))
    return torch.cat(found)
