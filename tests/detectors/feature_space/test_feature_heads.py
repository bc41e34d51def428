"""Adapter and discriminator: shapes, initialisation, and a score without an end."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dusnet.detectors.feature_space.feature_heads import Discriminator, anomaly_score, linear_layers


def test_an_adapter_of_no_layers_leaves_features_as_they_are() -> None:
    features = torch.randn(4, 5)
    assert torch.equal(linear_layers(5, 0)(features), features)


@pytest.mark.parametrize("count", [1, 3])
def test_layers_of_the_adapter(count: int) -> None:
    layers = linear_layers(5, count)
    assert layers(torch.randn(2, 4, 5)).shape == (2, 4, 5)
    assert [type(layer) for layer in layers] == [nn.Linear, *([nn.LeakyReLU, nn.Linear] * (count - 1))]


def test_weights_are_normal_with_the_variance_of_glorot() -> None:
    torch.manual_seed(0)
    weight = linear_layers(250, 1)[0].weight.detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / 500), rel=0.02)
    assert float((weight / weight.std()).pow(4).mean()) == pytest.approx(3.0, rel=0.05)  # that of a normal


def test_layers_of_a_discriminator() -> None:
    model = Discriminator(90, layers=3, hidden=7)
    assert [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)] == [7, 7, 1]
    assert model(torch.randn(6, 90)).shape == (6,)


def test_the_score_is_the_surprise_of_a_normal_feature() -> None:
    logits = torch.tensor([-3.0, 0.0, 2.0], dtype=torch.float64)
    expected = [-math.log(1 - 1 / (1 + math.exp(-value))) for value in logits.tolist()]
    assert anomaly_score(logits).tolist() == pytest.approx(expected)
    far = anomaly_score(torch.tensor([60.0, 61.0]))
    assert far[1] > far[0]
    assert torch.sigmoid(torch.tensor(60.0)) == torch.sigmoid(torch.tensor(61.0))
