"""Running the two trained networks on a scan: anomaly-free centres, then the dense anomaly-free cloud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dusnet import ops
from dusnet.detectors.dusnet_paper.networks import Networks
from dusnet.detectors.settings import Settings
from dusnet.geometry.sampling import cell_for, thin
from dusnet.nn.chunks import TOKENS_AT_ONCE, dealt_chunks, in_halves, through_chunks
from dusnet.nn.grouping import neighbor_index

MOST_CENTERS = 8192
"""Centres that the Up-Net rebuilds the dense cloud from."""


@dataclass(frozen=True)
class Centers:
    """Group centres of a scan and where a good part would have them.

    Attributes:
        index: which input points are centres, (M,) int64.
        points: the centres, (M, 3) in the frame.
        predicted: anomaly-free centres, (M, 3) in the frame.
    """

    index: Tensor
    points: Tensor
    predicted: Tensor


class Reconstructor:
    """Trained networks, fed with scans as they saw the training clouds.

    Args:
        networks: trained Down-Net and Up-Net.
        settings: grouping and scoring.
        device: where the networks run.
        seed: of the thinning, the chunks and the noise; the same scan always gives the same answer.
    """

    def __init__(self, networks: Networks, settings: Settings, *, device: torch.device, seed: int) -> None:
        self.down, self.up = networks.down.to(device).eval(), networks.up.to(device).eval()
        self.noise, self.cell = networks.noise, networks.measured.cell
        self.settings, self.device, self.seed = settings, device, seed

    @torch.inference_mode()
    def centers(self, points: Tensor) -> Centers:
        """Predict anomaly-free centres.

        With `grouping.dense` every input point is a centre once (a thinned choice of at most
        `scoring.max_centers`), in disjoint random chunks of G; without it, G centres by farthest point sampling.

        Args:
            points: the scan in the frame, (N, 3) float32.
        """
        generator = torch.Generator().manual_seed(self.seed)
        support = self._support(points)
        index = self._choose(points)
        centers = points[index]
        neighbors = neighbor_index(centers, support, self.settings.grouping)
        draws = self.settings.scoring.draws
        total = torch.zeros_like(centers)
        for _ in range(max(1, draws)):
            total += self._predict(centers, support[neighbors], generator, noisy=draws > 0)
        return Centers(index, centers, total / max(1, draws))

    @torch.inference_mode()
    def dense(self, centers: Tensor) -> Tensor:
        """Rebuild gamma points around each centre.

        Chunks of G that each cover the whole scan are rebuilt on their own. More than `MOST_CENTERS` centres are
        thinned to that number first.

        Args:
            centers: anomaly-free centres, (M, 3) in the frame.

        Returns:
            (about min(M, MOST_CENTERS) gamma, 3) in the frame.
        """
        dealt = dealt_chunks(centers, self.settings.grouping.groups, MOST_CENTERS)
        at_once = max(1, TOKENS_AT_ONCE // dealt.shape[1])
        with self._mixed():
            rebuilt = [in_halves(self.up, (centers[batch].to(self.device),))[0] for batch in dealt.split(at_once)]
        return torch.cat(rebuilt).flatten(0, 1)

    def _mixed(self) -> torch.autocast:
        # On a CPU without bfloat16 units it would be slower than float32.
        mixed = self.device.type == "cuda" and self.settings.training.precision == "bf16-mixed"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)

    def _support(self, points: Tensor) -> Tensor:
        kept = thin(points.double().numpy(), self.cell, np.random.default_rng(self.seed))
        return points[torch.from_numpy(kept)]

    def _choose(self, points: Tensor) -> Tensor:
        count = len(points)
        if not self.settings.grouping.dense:
            return ops.farthest_point_sample(points.unsqueeze(0), min(self.settings.grouping.groups, count))[0]
        limit = self.settings.scoring.max_centers
        if count <= limit:
            return torch.arange(count)
        rng = np.random.default_rng(self.seed)
        coordinates = points.double().numpy()
        return torch.from_numpy(thin(coordinates, cell_for(coordinates, limit, rng), rng))

    def _predict(self, centers: Tensor, neighbors: Tensor, generator: torch.Generator, *, noisy: bool) -> Tensor:
        def corrupted(here: Tensor, around: Tensor) -> tuple[Tensor, Tensor]:
            made = self.noise.independent(here, around, generator)
            return made.centers, made.neighbors

        with self._mixed():
            (predicted,) = through_chunks(
                self.down,
                (centers, neighbors),
                self.settings.grouping.groups,
                generator,
                device=self.device,
                prepare=corrupted if noisy else None,
            )
        return predicted
