"""Networks on single features that the methods in feature space share: adapter or projector, and discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOPE = 0.2


def linear_layers(size: int, width: int, count: int) -> nn.Sequential:
    """An adapter or projector: linear layers with leaky ReLU between them, normally initialised.

    Args:
        size: channels of the features.
        width: of every layer.
        count: layers; 0 leaves features as they are.
    """
    layers: list[nn.Module] = []
    for index in range(count):
        if index:
            layers.append(nn.LeakyReLU(SLOPE))
        layers.append(_normally_initialised(nn.Linear(width if index else size, width)))
    return nn.Sequential(*layers)


class Discriminator(nn.Module):
    """Tells normal features from anomalous ones.

    Args:
        size: width of its input.
        layers: linear layers, the last one gives one value.
        hidden: width between them; None makes every layer two thirds as wide as the one before.
    """

    def __init__(self, size: int, *, layers: int = 3, hidden: int | None = None) -> None:
        super().__init__()
        body: list[nn.Module] = []
        width = size
        for _ in range(layers - 1):
            after = hidden or max(1, 2 * width // 3)
            body += [
                _normally_initialised(nn.Linear(width, after)),
                nn.BatchNorm1d(after),
                nn.LeakyReLU(SLOPE),
            ]
            width = after
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
