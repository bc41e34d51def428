"""The networks of CRR: what is hidden, where gradients go, and its losses by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dusnet.detectors.feature_space.crr.network import CRRNetwork, dice_loss, repair_loss
from dusnet.detectors.feature_space.crr.settings import CRRSettings


def networks() -> CRRNetwork:
    torch.manual_seed(0)
    return CRRNetwork(CRRSettings(width=16, heads=2, layers=1), 3)


def batch(places: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, places, 3, generator=generator), torch.rand(2, places, 3, generator=generator)


def test_shapes_and_that_the_order_of_the_places_does_not_matter() -> None:
    model, (features, positions) = networks(), batch()
    repaired, logits = model(features, positions)
    assert (repaired.shape, logits.shape) == ((2, 7, 3), (2, 7))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(model(features[:, order], positions[:, order])[1], logits[:, order])


def test_the_decoder_does_not_see_what_is_hidden_and_the_head_does() -> None:
    model, (features, positions) = networks(), batch()
    hidden = torch.zeros(2, 7, dtype=torch.bool)
    hidden[:, 3] = True
    changed = features.clone()
    changed[:, 3] += 5.0
    torch.testing.assert_close(model.repair(changed, positions, hidden), model.repair(features, positions, hidden))
    assert not torch.allclose(model.repair(changed, positions), model.repair(features, positions))
    logits, others = model(features, positions, hidden)[1], model(changed, positions, hidden)[1]
    same = ~hidden
    torch.testing.assert_close(logits[same], others[same])
    assert not torch.allclose(logits[hidden], others[hidden])


def test_the_mask_trains_the_head_and_the_repair_trains_the_decoder() -> None:
    model, (features, positions) = networks(), batch()
    repaired, logits = model(features, positions, torch.ones(2, 7, dtype=torch.bool))
    logits.sum().backward(retain_graph=True)
    assert {name.split(".")[0] for name, one in model.named_parameters() if one.grad is not None} == {"segment"}
    model.zero_grad(set_to_none=True)
    repaired.square().sum().backward()
    learned = {name.split(".")[0] for name, one in model.named_parameters() if one.grad is not None}
    assert learned == {"mask", "place", "join", "blocks", "norm", "out"}


def test_dice_by_hand() -> None:
    """Probabilities .5 and .5, mask 1 and 0: 1 - (2 * .5 + 1) / (1 + 1 + 1) = 1 / 3; nothing wrong or found: 0."""
    assert float(dice_loss(torch.zeros(1, 2), torch.tensor([[True, False]]))) == pytest.approx(1 / 3)
    nothing = dice_loss(torch.full((1, 4), -50.0), torch.zeros(1, 4, dtype=torch.bool))
    assert float(nothing) == pytest.approx(0, abs=1e-6)


def test_the_loss_against_numpy() -> None:
    repaired, clean = np.array([[[0.5], [3.0]]]), np.array([[[0.0], [1.0]]])
    logits, wrong = np.array([[1.0, -2.0]]), np.array([[True, False]])
    smooth = (0.5 * 0.5**2 + (2.0 - 0.5)) / 2
    p = 1 / (1 + np.exp(-logits))
    entropy = -(np.log(p[0, 0]) + np.log(1 - p[0, 1])) / 2
    dice = 1 - (2 * p[0, 0] + 1) / (p.sum() + 1 + 1)
    loss = repair_loss(*(torch.from_numpy(value) for value in (repaired, logits, clean, wrong)))
    assert float(loss.total) == pytest.approx(smooth + entropy + dice)
    assert {name: float(value) for name, value in loss.terms.items()} == pytest.approx(
        {"repair": smooth, "cross_entropy": entropy, "dice": dice}
    )
