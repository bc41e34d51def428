"""The guided Down-Net: what its head says by hand, and the symmetries that its equation promises."""

from __future__ import annotations

import pytest
import torch
from guided_parts import networks
from torch import Tensor

from dusnet.detectors.dusnet.down_net import GuidedDownNet
from dusnet.detectors.dusnet.groups import CENTER_CHANNELS, HEIGHT, PLACE_CHANNELS, SCAN_CHANNELS


def make(*, shake: bool = True, **changes: object) -> GuidedDownNet:
    """A small double-precision net."""
    return networks(shake=shake, layers=2, **changes)[0].double()


@pytest.fixture
def inputs() -> tuple[Tensor, ...]:
    """Two clouds of nine groups."""
    source = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    axes = torch.linalg.qr(draw(2, 9, 3, 3)).Q
    return (
        draw(2, 9, 3),
        0.05 * draw(2, 9, 3),
        axes,
        draw(2, 9, 12, SCAN_CHANNELS),
        draw(2, 9, 24, PLACE_CHANNELS),
        draw(2, 9, CENTER_CHANNELS),
    )


def test_a_new_net_gives_every_group_one_half(inputs: tuple[Tensor, ...]) -> None:
    centers, logits = make(shake=False)(*inputs)
    torch.testing.assert_close(centers, inputs[0] + inputs[1] / 2)
    assert torch.equal(logits, torch.zeros(2, 9, dtype=torch.float64))


@pytest.mark.parametrize(("logits", "share"), [(-40.0, 0.0), (40.0, 1.0), (0.5, 0.6224593312018546)])
def test_the_head_by_hand(inputs: tuple[Tensor, ...], logits: float, share: float) -> None:
    """A trusted group stays, another one goes to the surface, and a correction along the local axes is added."""
    net = make(shake=False)
    correction = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    with torch.no_grad():
        net.head[-1].bias.copy_(torch.cat([torch.tensor([logits], dtype=torch.float64), correction]))
    centers, said = net(*inputs)
    first, second, normal = inputs[2].unbind(dim=2)
    torch.testing.assert_close(centers, inputs[0] + share * inputs[1] + HEIGHT * (first - 2 * second + 3 * normal))
    torch.testing.assert_close(said, torch.full((2, 9), logits, dtype=torch.float64))


def test_patches_and_judge_are_forward(inputs: tuple[Tensor, ...]) -> None:
    net = make()
    whole, parts = net(*inputs), net.judge(*inputs[:3], net.patches(*inputs[3:]))
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_patches_do_not_depend_on_each_other(inputs: tuple[Tensor, ...]) -> None:
    net, patches = make(), inputs[3:]
    whole = net.patches(*patches)
    assert whole.shape == (2, 9, 4 * 16 + CENTER_CHANNELS)
    by_group = [net.patches(*(part[:, i : i + 1] for part in patches)) for i in range(9)]
    torch.testing.assert_close(torch.cat(by_group, dim=1), whole, rtol=1e-12, atol=1e-12)
    uneven = [net.patches(*(part[:, rows] for part in patches)) for rows in (slice(0, 2), slice(2, 9))]
    torch.testing.assert_close(torch.cat(uneven, dim=1), whole, rtol=1e-12, atol=1e-12)


def test_permuted_groups_give_permuted_answers(inputs: tuple[Tensor, ...]) -> None:
    net, order = make(), torch.randperm(9, generator=torch.Generator().manual_seed(1))
    for straight, permuted in zip(net(*inputs), net(*(part[:, order] for part in inputs)), strict=True):
        torch.testing.assert_close(permuted, straight[:, order])


def test_the_order_within_a_patch_does_not_matter(inputs: tuple[Tensor, ...]) -> None:
    net, source = make(), torch.Generator().manual_seed(1)
    centers, displacement, axes, scan, places, about = inputs
    shuffled = net(
        centers,
        displacement,
        axes,
        scan[:, :, torch.randperm(12, generator=source)],
        places[:, :, torch.randperm(24, generator=source)],
        about,
    )
    for straight, permuted in zip(net(*inputs), shuffled, strict=True):
        torch.testing.assert_close(permuted, straight)


@pytest.mark.parametrize(("layers", "seen"), [(0, False), (2, True)])
def test_groups_see_each_other_through_attention_only(inputs: tuple[Tensor, ...], layers: int, seen: bool) -> None:
    net = networks(shake=True, layers=layers)[0].double()
    other = [part.clone() for part in inputs]
    other[3][:, 4] += 1.0
    change = (net(*other)[1] - net(*inputs)[1]).abs()
    assert (change[:, 4] > 1e-6).all()
    assert bool((change[:, [0, 1, 2, 3, 5, 6, 7, 8]] > 1e-9).any()) == seen


def test_clouds_of_a_batch_do_not_see_each_other(inputs: tuple[Tensor, ...]) -> None:
    net = make()
    together = net(*inputs)
    alone = [net(*(part[i : i + 1] for part in inputs)) for i in range(2)]
    for column, whole in enumerate(together):
        torch.testing.assert_close(torch.cat([one[column] for one in alone]), whole)


@pytest.mark.parametrize("part", [3, 4, 5])
def test_all_that_a_group_shows_reaches_the_answer(inputs: tuple[Tensor, ...], part: int) -> None:
    """The scan around, the places beside, and the numbers of the centre."""
    net, source = make(), [one.clone().requires_grad_() for one in inputs]
    net(*source)[1].sum().backward()
    gradient = source[part].grad
    assert gradient is not None
    assert (gradient.flatten(0, -2).abs().amax(dim=0) > 0).all()


def test_gradients_reach_all_parameters(inputs: tuple[Tensor, ...]) -> None:
    net = make()
    centers, logits = net(*inputs)
    ((centers - inputs[0]).square().sum() + logits.square().sum()).backward()
    without = [name for name, one in net.named_parameters() if one.grad is None or not one.grad.abs().any()]
    assert without == []
