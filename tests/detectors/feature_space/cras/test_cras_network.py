"""The networks of CRAS: what the discriminator is shown, and where gradients go."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dusnet.detectors.feature_space.cras.network import CRASNetwork
from dusnet.detectors.feature_space.cras.settings import CRASSettings


def networks(**changes: object) -> CRASNetwork:
    torch.manual_seed(0)
    return CRASNetwork(
        CRASSettings.model_validate({"hidden": 6, "adapter_layers": 1, "inputs": "both", **changes}), 4
    ).eval()


def batch() -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    features, noise = torch.randn(2, 5, 4, generator=generator), 0.1 * torch.randn(2, 5, 4, generator=generator)
    return features, [torch.randn(3, 4, generator=generator), torch.randn(8, 4, generator=generator)], noise


@pytest.mark.parametrize("inputs", ["both", "residual", "raw"])
def test_logits_are_those_of_the_feature_beside_its_residual(inputs: str) -> None:
    model = networks(inputs=inputs, ratio="fixed", search="class")
    features, centers, noise = batch()
    normal, anomalous = model(features, centers, noise)
    for row in range(2):
        u, c = model.adapter(features[row]), model.adapter(centers[row])
        p = torch.stack([c[(c - one).norm(dim=1).argmin()] for one in u])
        for logits, seen in ((normal, u), (anomalous, u + noise[row])):
            shown = {"both": torch.cat([seen, seen - p], dim=1), "residual": seen - p, "raw": seen}[inputs]
            torch.testing.assert_close(logits.view(2, 5)[row], model.discriminator(shown))


def test_the_centre_of_the_same_place_is_not_searched() -> None:
    model = networks(search="place", ratio="fixed")
    features, _, noise = batch()
    centers = list(torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(2)))
    normal, anomalous = model(features, centers, noise)
    for row in range(2):
        u, p = model.adapter(features[row]), model.adapter(centers[row])
        for logits, seen in ((normal, u), (anomalous, u + noise[row])):
            torch.testing.assert_close(logits.view(2, 5)[row], model.discriminator(torch.cat([seen, seen - p], dim=1)))
    torch.testing.assert_close(model.logits(features[0], centers[0]), normal.detach().view(2, 5)[0])


def test_a_scan_is_judged_as_a_normal_feature_is_in_training() -> None:
    model = networks(search="class")
    features, centers, noise = batch()
    normal, _ = model(features, centers, noise)
    torch.testing.assert_close(model.logits(features[1], centers[1]), normal.detach().view(2, 5)[1])


def test_adapter_and_discriminator_learn_and_the_centre_does_not() -> None:
    model = networks(search="class").train()
    features, centers, noise = batch()
    centers = [center.requires_grad_() for center in centers]
    normal, anomalous = model(features, centers, noise)
    (functional.softplus(normal).mean() + functional.softplus(-anomalous).mean()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    assert all(center.grad is None for center in centers)


def test_without_an_adapter_features_are_as_wide_as_they_come() -> None:
    model = networks(adapter_layers=0, search="class")
    features, centers, _ = batch()
    assert model.logits(features[0], centers[0]).shape == (5,)
