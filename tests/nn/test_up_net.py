"""Up-Net: the layout of its output, its symmetries, and the two heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from dusnet.config import UpNetSettings
from dusnet.nn.up_net import SetAbstraction, UpNet


def make(*, seed: int = 0, spacing: float = 0.3, **settings: object) -> UpNet:
    tree = {"gamma": 4, "neighbors": 5, "widths": (8, 12)} | settings
    torch.manual_seed(seed)
    return UpNet(UpNetSettings.model_validate(tree), spacing=spacing).double().eval()


def cloud(batch: int = 2, count: int = 24, seed: int = 5) -> Tensor:
    return torch.randn(batch, count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("gamma", [1, 3, 8])
@pytest.mark.parametrize("head", ["offset", "absolute"])
@pytest.mark.parametrize("count", [4, 9, 24])
def test_gamma_points_per_centre(gamma: int, head: str, count: int) -> None:
    rebuilt = make(gamma=gamma, head=head)(cloud(count=count))
    assert rebuilt.shape == (2, count * gamma, 3)
    assert bool(torch.isfinite(rebuilt).all())


def test_point_g_gamma_plus_i_belongs_to_centre_g() -> None:
    """A head that sees nothing but its bias puts point i at offset i of every centre."""
    net, centers = make(), cloud()
    last = net.head[-1]
    torch.nn.init.zeros_(last.weight)
    offsets = torch.arange(12, dtype=torch.float64).view(4, 3)
    with torch.no_grad():
        last.bias.copy_(offsets.flatten())
    rebuilt = net(centers)
    for batch in range(2):
        for group in range(24):
            for i in range(4):
                expected = centers[batch, group] + 0.3 * offsets[i]
                torch.testing.assert_close(rebuilt[batch, 4 * group + i], expected)


def test_the_offset_head_stays_near_its_centre_and_scales_with_the_spacing() -> None:
    centers = cloud()
    near, far = (make(spacing=spacing)(centers).view(2, 24, 4, 3) - centers.unsqueeze(2) for spacing in (1e-3, 1e-2))
    near, far = near.detach(), far.detach()
    assert float(near.norm(dim=-1).max()) < 0.01
    assert float(far.norm(dim=-1).max()) < 0.1
    assert float(near.norm(dim=-1).min()) > 0


def test_the_absolute_head_does_not_add_the_centre() -> None:
    net, centers = make(head="absolute"), cloud()
    torch.nn.init.zeros_(net.head[-1].weight)
    torch.nn.init.constant_(net.head[-1].bias, 0.5)
    torch.testing.assert_close(net(centers), torch.full((2, 96, 3), 0.5, dtype=torch.float64))


def test_clouds_of_a_batch_do_not_see_each_other() -> None:
    net, centers = make(), cloud()
    alone = torch.cat([net(centers[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(net(centers), alone)


def test_permuted_centres_give_permuted_points() -> None:
    """With the first centre in its place, farthest point sampling picks the same points in any order."""
    net, centers = make(), cloud(batch=1)
    order = torch.cat(
        [torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(23, generator=torch.Generator().manual_seed(2))]
    )
    torch.testing.assert_close(net(centers[:, order]).view(1, 24, 4, 3), net(centers).view(1, 24, 4, 3)[:, order])


def test_distant_centres_are_heard_through_the_coarse_scales() -> None:
    """Set abstraction sees neighbours: moving one centre changes points of others, not only its own."""
    net, centers = make(), cloud(batch=1)
    before, heard = net(centers), 0
    for index in range(24):
        moved = centers.clone()
        moved[0, index] += 0.05
        change = (net(moved) - before).detach().view(24, 4, 3).norm(dim=-1).amax(dim=1)
        assert int(change.argmax()) == index
        heard += int((change > 1e-9).sum()) > 1
    assert (
        heard > 12
    )  # 23 of 24, deviation 1.1 over eight seeds; a centre in no group of the coarser scale is not heard


class TestSetAbstraction:
    def test_is_sampling_grouping_mlp_and_max(self) -> None:
        torch.manual_seed(0)
        layer = SetAbstraction(4, 6, share=3, neighbors=5).double()
        points, features = cloud(batch=1, count=20), torch.randn(1, 20, 4, dtype=torch.float64)
        centers, found = layer(points, features)
        xyz = points[0].numpy()
        chosen = [0]
        while len(chosen) < 20 // 3:
            distance = np.linalg.norm(xyz[:, None] - xyz[None, chosen], axis=-1).min(axis=1)
            chosen.append(int(distance.argmax()))
        np.testing.assert_array_equal(centers[0].numpy(), xyz[chosen])
        _, near = cKDTree(xyz).query(xyz[chosen], k=5)
        for row, center, index in zip(found[0], xyz[chosen], near, strict=True):
            grouped = np.concatenate([xyz[index] - center, features[0].numpy()[index]], axis=-1)
            expected = layer.mlp(torch.from_numpy(grouped)).amax(dim=0)
            torch.testing.assert_close(row, expected)

    def test_sees_lengths_in_spacings_of_the_centres(self) -> None:
        net, centers, seen = make(spacing=0.3), cloud(), []
        for layer in (net.to_half, net.to_quarter):
            layer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs))
        net(centers)
        torch.testing.assert_close(seen[0][0], centers / 0.3)
        torch.testing.assert_close(seen[0][1], net.stem(centers))
        assert np.linalg.norm(seen[1][0][0, 1:] - seen[1][0][0, :1], axis=1).max() > 3  # 6 half-centres of a unit cloud

    def test_halves_and_quarters(self) -> None:
        net, sizes = make(), []
        for layer in (net.to_half, net.to_quarter):
            layer.register_forward_hook(lambda _module, _inputs, output: sizes.append(output[0].shape[1]))
        net(cloud(count=24))
        assert sizes == [12, 6]


def test_carrying_back_is_inverse_distance_interpolation() -> None:
    points, query = cloud(batch=1, count=8)[0].numpy(), cloud(batch=1, count=5, seed=6)[0].numpy()
    features = np.random.default_rng(0).normal(size=(8, 2))
    found = UpNet._carry_back(*(torch.from_numpy(value).unsqueeze(0) for value in (query, points, features)))
    for row, where in zip(found[0].numpy(), query, strict=True):
        distance = np.linalg.norm(points - where, axis=1)
        near = np.argsort(distance)[:3]
        weights = 1 / distance[near]
        np.testing.assert_allclose(row, weights @ features[near] / weights.sum(), atol=1e-12)


def test_gradients_match_finite_differences() -> None:
    """Weights of the interpolation and the choice of neighbours carry no gradient, so only the network's part is
    checked: with respect to its parameters it must be exact."""
    net, centers = make(gamma=2, widths=(4, 4)), cloud(batch=1, count=8)
    names, values = zip(*net.named_parameters(), strict=True)

    def run(*parameters: Tensor) -> Tensor:
        return torch.func.functional_call(net, dict(zip(names, parameters, strict=True)), (centers,))

    assert torch.autograd.gradcheck(run, tuple(value.detach().requires_grad_() for value in values), fast_mode=True)


def test_every_weight_learns() -> None:
    net = make()
    net(cloud()).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name
