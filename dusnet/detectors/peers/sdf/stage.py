"""The training of the signed distance function."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dusnet.detectors.peers.sdf.network import SDFNet
from dusnet.detectors.peers.sdf.samples import Samples
from dusnet.nn.losses import Loss


class SDFStage:
    """The one stage of the network: random samples, and the clamped absolute error.

    Args:
        model: the network.
        samples: on and around the good surface.
        batch: samples per step.
        clamp: distance from which on the loss sees no difference.
    """

    name = "sdf"

    def __init__(self, model: SDFNet, samples: Samples, *, batch: int, clamp: float) -> None:
        self.model: nn.Module = model
        self._samples, self._batch, self._clamp = samples, batch, clamp

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Loss of one random batch."""
        drawn = torch.randint(len(self._samples.places), (self._batch,), generator=generator)
        device = next(model.parameters()).device
        predicted = model(self._samples.places[drawn].to(device)).float()
        return clamped_loss(predicted, self._samples.distances[drawn].to(device), self._clamp)


def clamped_loss(predicted: Tensor, target: Tensor, clamp: float) -> Loss:
    """Mean absolute error of distances, (N,) each, both held between -`clamp` and `clamp` (DeepSDF, arXiv 1901.05103).

    Returns:
        The one term `distance`.
    """
    error = (predicted.clamp(-clamp, clamp) - target.clamp(-clamp, clamp)).abs().mean()
    return Loss(error, {"distance": error.detach()})
