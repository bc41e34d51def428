"""The networks of PBAS: the radius, where anomalies lie, and where gradients go."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from dusnet.detectors.feature_space.pbas.network import PBASNetwork
from dusnet.detectors.feature_space.pbas.settings import PBASSettings


def networks(**changes: object) -> PBASNetwork:
    torch.manual_seed(0)
    return PBASNetwork(PBASSettings.model_validate({"hidden": 6, "search": "class", **changes}), 4).eval()


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(shape, generator=generator) for shape in ((9, 4), (5, 4), (9, 4)))  # type: ignore[return-value]


def test_radius_and_logits_against_the_equations() -> None:
    model = networks(alpha=0.5)
    features, center, noise = batch()
    radius, normal, anomalous = model(features, center, noise)
    u = model.projector(features)
    distance, nearest = torch.cdist(u, center).min(dim=1)
    torch.testing.assert_close(radius, distance.mean())
    away = u - center[nearest]
    beyond = u + 0.5 * distance.mean() * away / away.norm(dim=1, keepdim=True)
    torch.testing.assert_close(normal, model.discriminator(u))
    torch.testing.assert_close(anomalous, model.discriminator(beyond))
    torch.testing.assert_close(model.logits(features), normal.detach())


def test_the_centre_of_the_same_place_is_not_searched() -> None:
    model = networks(search="place")
    features, _, noise = batch()
    center = torch.randn(9, 4, generator=torch.Generator().manual_seed(2))
    radius, _, _ = model(features, center, noise)
    torch.testing.assert_close(radius, (model.projector(features) - center).norm(dim=1).mean())


@pytest.mark.parametrize("direction", ["random", "gaussian"])
def test_other_directions_read_the_noise(direction: str) -> None:
    model = networks(direction=direction)
    features, center, noise = batch()
    one, other = (model(features, center, values)[2] for values in (noise, -noise))
    assert not torch.allclose(one, other)
    same, again = (networks()(features, center, values)[2] for values in (noise, -noise))
    assert torch.equal(same, again)


def test_the_radius_trains_the_projector_alone_and_the_centre_nothing() -> None:
    model = networks()
    features, center, noise = batch()
    model(features, center.requires_grad_(), noise)[0].backward()
    assert all(parameter.grad is not None for parameter in model.projector.parameters())
    assert all(parameter.grad is None for parameter in model.discriminator.parameters())
    assert center.grad is None


def test_clusters_have_no_places() -> None:
    with pytest.raises(ValidationError, match=r"pbas\.search"):
        PBASSettings(center="clustering", search="place")
