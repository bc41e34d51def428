"""PatchCore on FPFH: coreset memory, nearest-neighbour distance, re-weighted object score.

K. Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022 (arXiv 2106.08265). Its image features
are replaced by FPFH, as in the 3D benchmarks.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from dusnet.detectors.peers.feature_memory import Compared, FeatureMemory

NEIGHBORHOOD = 3
"""Memories around the nearest one that weigh the object score, itself included; the paper prints no number."""


def reweighted(feature: Tensor, memory: Tensor, nearest: int, neighbors: int) -> float:
    """The object score of PatchCore (Eq. 7): the largest distance, less where the nearest memory is a lonely one.

    Args:
        feature: the test feature that is farthest from the memory, (C,).
        memory: (K, C).
        nearest: index of the memory that is nearest to it.
        neighbors: size of the neighbourhood of that memory, itself included.

    Returns:
        `(1 - exp(d) / sum of exp over the neighbourhood) * distance`, where the exponents d are distances divided by
        sqrt(C): the printed exponents have the unit of the feature, and those of FPFH, in per cent, are so large that
        every weight would be 1. The plain distance where the neighbourhood is the nearest memory alone.
    """
    count = min(neighbors, len(memory))
    memory = memory.double()
    to_nearest = (memory - memory[nearest]).norm(dim=1)
    to_nearest[nearest] = -1  # first of its own neighbourhood also where another memory is the same
    around = to_nearest.topk(count, largest=False).indices
    distances = (memory[around] - feature.double()).norm(dim=1)
    if count == 1:
        return float(distances[0])
    weight = 1 - torch.softmax(distances / math.sqrt(len(feature)), dim=0)[0]
    return float(weight * distances[0])


class PatchCore(FeatureMemory):
    """FPFH within `memory.radius`; the registration settles the sign of the normals of partial scans, nothing else."""

    name: ClassVar[str] = "patchcore"
    settings_sections: ClassVar[frozenset[str]] = FeatureMemory.settings_sections | {"memory.radius"}

    def _own_object_score(self, found: Compared) -> float:
        worst = int(found.distances.argmax())
        return reweighted(found.described.features[worst], found.bank.features, int(found.nearest[worst]), NEIGHBORHOOD)


class UnalignedPatchCore(PatchCore):
    """The same without registration, whatever `registration.method` says."""

    name: ClassVar[str] = "patchcore_unaligned"
    registered: ClassVar[bool] = False
