"""Running the two trained networks on a scan: anomaly-free centres, then the dense anomaly-free cloud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dusnet import ops
from dusnet.config import Settings
from dusnet.detectors.dusnet_paper.networks import Networks
from dusnet.errors import out_of_memory
from dusnet.finite import require_given
from dusnet.geometry.sampling import cell_for, thin
from dusnet.nn.grouping import neighbor_index, random_chunks

TOKENS_AT_ONCE = 4096
MOST_CENTERS = 8192


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

        Farthest point order dealt out in turn gives chunks of G that each cover the whole scan. More than
        `MOST_CENTERS` centres are thinned to that number first.

        Args:
            centers: anomaly-free centres, (M, 3) in the frame.

        Returns:
            (about min(M, MOST_CENTERS) gamma, 3) in the frame.
        """
        groups = min(self.settings.grouping.groups, len(centers))
        order = ops.farthest_point_sample(centers.unsqueeze(0), min(len(centers), MOST_CENTERS))[0]
        chunks = max(1, len(order) // groups)
        dealt = order[: chunks * groups].view(groups, chunks).T
        at_once = max(1, TOKENS_AT_ONCE // groups)
        rebuilt = [self._run(self.up, centers[batch]) for batch in dealt.split(at_once)]
        return torch.cat(rebuilt).flatten(0, 1)

    def _run(self, network: nn.Module, *chunks: Tensor) -> Tensor:
        # On a CPU without bfloat16 units it would be slower than float32.
        mixed = self.device.type == "cuda" and self.settings.training.precision == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            return in_halves(network, tuple(tensor.to(self.device) for tensor in chunks))[0]

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
        moved = []
        chunks = random_chunks(len(centers), self.settings.grouping.groups, generator)
        for batch in chunks.split(max(1, TOKENS_AT_ONCE // chunks.shape[1])):
            here, around = centers[batch], neighbors[batch]
            if noisy:
                corrupted = self.noise.independent(here, around, generator)
                here, around = corrupted.centers, corrupted.neighbors
            moved.append(self._run(self.down, here, around))
        # The chunks begin with every centre once; what fills the last one is predicted a second time and dropped.
        predicted = torch.empty_like(centers)
        predicted[chunks.flatten()[: len(centers)]] = torch.cat(moved).flatten(0, 1)[: len(centers)]
        return predicted


def in_halves(network: Callable[..., Any], chunks: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What `network` makes of some chunks, on the CPU; in halves where memory does not allow all at once.

    Args:
        network: takes and gives whole chunks, one per entry of the first axis.
        chunks: its inputs, on its device.

    Returns:
        Its outputs, a tuple also when it gives one tensor.

    Raises:
        BadModel: an output is NaN, infinite or far too large.
    """
    try:
        made = network(*chunks)
        return tuple(require_given(one.float().cpu()) for one in (made if isinstance(made, tuple) else (made,)))
    except (RuntimeError, MemoryError) as error:
        count = len(chunks[0])
        if count == 1 or not out_of_memory(error):
            raise
    # Here, not in the handler: the traceback keeps everything alive that did not fit.
    if chunks[0].device.type == "cuda":
        torch.cuda.empty_cache()
    halves = (tuple(tensor[: count // 2] for tensor in chunks), tuple(tensor[count // 2 :] for tensor in chunks))
    return tuple(torch.cat(both) for both in zip(*(in_halves(network, half) for half in halves), strict=True))
