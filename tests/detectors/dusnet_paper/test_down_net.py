"""Down-Net: symmetries that its equations promise, and its two heads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dusnet.detectors.dusnet_paper.down_net import DownNet
from dusnet.detectors.dusnet_paper.settings import DownNetSettings


def make(*, seed: int = 0, shake: bool = True, **settings: object) -> DownNet:
    """A small double-precision net; `shake` gives its zero-initialised head random weights."""
    tree = {
        "patch_widths": (8, 12, 10),
        "width": 16,
        "layers": 2,
        "heads": 4,
        "fourier_octaves": 2,
    } | settings
    torch.manual_seed(seed)
    net = DownNet(DownNetSettings.model_validate(tree), patch_radius=0.2).double().eval()
    if shake:
        torch.nn.init.normal_(net.head[-1].weight)
        torch.nn.init.normal_(net.head[-1].bias)
    return net


def groups(batch: int = 2, count: int = 9, neighbors: int = 7) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(3)
    centers = torch.randn(batch, count, 3, generator=source, dtype=torch.float64)
    return centers, centers.unsqueeze(2) + 0.2 * torch.randn(
        batch, count, neighbors, 3, generator=source, dtype=torch.float64
    )


@pytest.mark.parametrize("layers", [0, 3])
@pytest.mark.parametrize("head", ["offset", "absolute"])
def test_permuted_groups_give_permuted_centres(layers: int, head: str) -> None:
    net, (centers, neighbors) = make(layers=layers, head=head), groups()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net(centers, neighbors)[:, order], net(centers[:, order], neighbors[:, order]))


@pytest.mark.parametrize("head", ["offset", "absolute"])
def test_mixed_precision_gives_coordinates_in_full_precision(head: str) -> None:
    """Next to the origin the spacing of float32 numbers is far below that of bfloat16, which is 2^-8 of the value."""
    net, (centers, neighbors) = make(head=head).float(), (part.float() for part in groups())
    with torch.autocast("cpu", torch.bfloat16):
        found = net(centers, neighbors)
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.bfloat16().float())


def test_the_order_of_neighbours_does_not_matter() -> None:
    net, (centers, neighbors) = make(), groups()
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net(centers, neighbors), net(centers, neighbors[:, :, order]))


def test_clouds_of_a_batch_do_not_see_each_other() -> None:
    net, (centers, neighbors) = make(), groups()
    together = net(centers, neighbors)
    alone = torch.cat([net(centers[i : i + 1], neighbors[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(("layers", "seen"), [(0, False), (2, True)])
def test_groups_see_each_other_through_attention_only(layers: int, seen: bool) -> None:
    net, (centers, neighbors) = make(layers=layers), groups()
    changed = neighbors.clone()
    changed[:, 0] += 0.3
    difference = (net(centers, neighbors) - net(centers, changed)).detach().abs().amax(dim=-1)
    assert bool((difference[:, 0] > 1e-6).all())
    assert bool((difference[:, 1:] > 1e-9).all()) == seen
    assert bool((difference[:, 1:] == 0).all()) != seen


class TestHeads:
    @pytest.mark.parametrize("layers", [0, 2])
    def test_the_offset_head_starts_as_the_identity(self, layers: int) -> None:
        net, (centers, neighbors) = make(layers=layers, shake=False), groups()
        assert torch.equal(net(centers, neighbors), centers)

    def test_the_absolute_head_starts_anywhere(self) -> None:
        net, (centers, neighbors) = make(head="absolute", shake=False), groups()
        predicted = net(centers, neighbors).detach()
        assert float((predicted - centers).norm(dim=-1).min()) > 0.05
        assert float(predicted.abs().max()) < 1.0  # an untrained head is near the origin, not near its centre

    def test_the_offset_is_a_quarter_of_the_head(self) -> None:
        net, (centers, neighbors) = make(), groups()
        offset = net.head(net.norm(net.embed(centers, neighbors)))
        torch.testing.assert_close(net(centers, neighbors), centers + 0.25 * offset)

    def test_only_the_offset_head_is_zero_initialised(self) -> None:
        assert float(make(shake=False).head[-1].weight.detach().abs().max()) == 0
        assert float(make(shake=False, head="absolute").head[-1].weight.detach().abs().max()) > 0


class TestPatches:
    def test_are_relative_to_their_centre(self) -> None:
        """Without coordinates of the centre a shift of the whole cloud only shifts the answer."""
        net, (centers, neighbors) = make(layers=0), groups()
        for layer in net.center_encoder:
            if hasattr(layer, "weight"):
                torch.nn.init.zeros_(layer.weight)
        shift = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
        torch.testing.assert_close(net(centers + shift, neighbors + shift), net(centers, neighbors) + shift)

    def test_are_measured_in_mean_patch_radii(self) -> None:
        net, (centers, neighbors) = make(layers=0), groups()
        doubled = make(layers=0)
        doubled.patch_radius.fill_(0.4)
        wide = centers.unsqueeze(2) + 2 * (neighbors - centers.unsqueeze(2))
        torch.testing.assert_close(doubled(centers, wide), net(centers, neighbors))

    def test_hold_the_centre_itself(self) -> None:
        """P of the mini-PointNet is K + 1."""
        net, (centers, neighbors) = make(), groups()
        seen: list[Tensor] = []
        net.patch_encoder.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        net(centers, neighbors)
        assert seen[0].shape == (18, 8, 3)
        assert float(seen[0][:, 0].abs().max()) == 0


def test_a_chunked_net_has_the_same_gradients() -> None:
    net, (centers, neighbors) = make().train(), groups()

    def gradient(budget: int) -> list[Tensor]:
        net.patch_encoder.budget = budget
        net.zero_grad()
        net(centers, neighbors).square().sum().backward()
        return [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]

    whole, chunked = gradient(10_000), gradient(16)
    assert len(whole) == len(list(net.parameters()))
    for one, other in zip(whole, chunked, strict=True):
        torch.testing.assert_close(one, other)


def test_gradcheck() -> None:
    net, (centers, neighbors) = make(layers=1), groups(batch=1, count=3, neighbors=4)
    assert torch.autograd.gradcheck(net, (centers.requires_grad_(), neighbors.requires_grad_()))


def test_a_state_dict_carries_the_patch_radius() -> None:
    net, other = make(), make(seed=1)
    net.patch_radius.fill_(0.7)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(*groups()), net(*groups()))
