"""Networks on single features that the methods in feature space share: adapter or projector, and discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOPE = 0.2


def linear_layers(size: int, count: int) -> nn.Sequential:
    """An adapter or projector: linear layers of one width with leaky ReLU between them, normally initialised.

    It must not be wider than the features: noise would then lie in directions that no feature ever takes, and a
    discriminator of noise would say nothing about features.

    Args:
        size: channels of the features.
        count: layers; 0 leaves features as they are.
    """
    layers: list[nn.Module] = []
    for index in range(count):
        if index:
            layers.append(nn.LeakyReLU(SLOPE))
        layers.append(_normally_initialised(nn.Linear(size, size)))
    return nn.Sequential(*layers)


class Discriminator(nn.Module):
    """Tells normal features from anomalous ones.

    Args:
        size: width of its input.
        layers: linear layers, the last one gives one value.
        hidden: width between them.
    """

    def __init__(self, size: int, *, layers: int = 3, hidden: int = 64) -> None:
        super().__init__()
        body: list[nn.Module] = []
        width = size
        for _ in range(layers - 1):
            body += [
                _normally_initialised(nn.Linear(width, hidden)),
                nn.BatchNorm1d(hidden),
                nn.LeakyReLU(SLOPE),
            ]
            width = hidden
        self.body = nn.Sequential(*body)
        self.tail = _normally_initialised(nn.Linear(width, 1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """The logit of a feature being anomalous, (M, size) -> (M,)."""
        logits: Tensor = self.tail(self.body(features))[:, 0]
        return logits


def anomaly_score(logits: Tensor) -> Tensor:
    """`-log(1 - D)` of the probability D = sigmoid(logit): in the order of D, which would round to 1 far off."""
    return nn.functional.softplus(logits)


def _normally_initialised(layer: nn.Linear) -> nn.Linear:
    torch.nn.init.xavier_normal_(layer.weight)
    return layer
