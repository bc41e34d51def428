"""The building blocks against written-out numpy, and the memory bound of the patch encoder."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf, softmax
from torch import Tensor, nn

from dusnet.nn.blocks import FourierFeatures, MiniPointNet, TransformerBlock, mlp

Array = NDArray[np.float64]


def gelu(values: Array) -> Array:
    return values * 0.5 * (1 + erf(values / 2**0.5))


def linear(layer: nn.Module, values: Array) -> Array:
    assert isinstance(layer, nn.Linear)
    bias = 0.0 if layer.bias is None else layer.bias.detach().numpy()
    return values @ layer.weight.detach().numpy().T + bias


def run_mlp(layers: nn.Sequential, values: Array) -> Array:
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    values = linear(linears[0], values)
    for layer in linears[1:]:
        values = linear(layer, gelu(values))
    return values


def normalised(layer: nn.LayerNorm, values: Array) -> Array:
    centred = values - values.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + layer.eps)
    return scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_mlp_is_linear_layers_with_gelu_between() -> None:
    layers = mlp((3, 5, 4, 2)).double()
    assert [(layer.in_features, layer.out_features) for layer in layers if isinstance(layer, nn.Linear)] == list(
        pairwise((3, 5, 4, 2))
    )
    values = torch.randn(6, 3, dtype=torch.float64)
    np.testing.assert_allclose(layers(values).detach().numpy(), run_mlp(layers, values.numpy()), atol=1e-12)


class TestFourierFeatures:
    def test_worked_example(self) -> None:
        """At 1/4 the first octave stands at pi / 4, the second at pi / 2."""
        features = FourierFeatures(2)(torch.tensor([0.25, 0.0, -0.5]))
        root = 0.5**0.5
        x, y, z = (root, 1.0), (0.0, 0.0), (-1.0, 0.0)  # sin(pi v), sin(2 pi v)
        cosines = [(root, 0.0), (1.0, 1.0), (0.0, -1.0)]
        expected = [0.25, 0.0, -0.5, *x, *y, *z, *(value for pair in cosines for value in pair)]
        torch.testing.assert_close(features, torch.tensor(expected), atol=1e-6, rtol=0)

    @pytest.mark.parametrize("octaves", [0, 1, 4])
    def test_width(self, octaves: int) -> None:
        module = FourierFeatures(octaves)
        assert module(torch.zeros(2, 5, 3)).shape == (2, 5, module.width)
        assert module.width == 3 + 6 * octaves

    def test_no_octaves_are_the_coordinates(self) -> None:
        points = torch.randn(4, 3)
        assert torch.equal(FourierFeatures(0)(points), points)


class TestMiniPointNet:
    WIDTHS = (6, 8, 5)

    def reference(self, net: MiniPointNet, patches: Tensor) -> Array:
        """Eq. 2 written out: MLP, max, concatenate, MLP, max."""
        local = run_mlp(net.local, patches.numpy())
        pooled = np.broadcast_to(local.max(axis=1, keepdims=True), local.shape)
        joint = np.concatenate([local, pooled], axis=-1)
        weight = np.concatenate(
            [net.joint_point.weight.detach().numpy(), net.joint_patch.weight.detach().numpy()], axis=1
        )
        hidden = gelu(joint @ weight.T + net.joint_point.bias.detach().numpy())
        return linear(net.out, hidden).max(axis=1)

    def test_is_equation_2(self) -> None:
        net = MiniPointNet(self.WIDTHS).double()
        patches = torch.randn(7, 9, 3, dtype=torch.float64)
        np.testing.assert_allclose(net(patches).detach().numpy(), self.reference(net, patches), atol=1e-12)

    def test_the_order_of_the_points_does_not_matter(self) -> None:
        net = MiniPointNet(self.WIDTHS).double()
        patches = torch.randn(7, 9, 3, dtype=torch.float64)
        torch.testing.assert_close(net(patches), net(patches[:, torch.randperm(9)]), atol=1e-12, rtol=0)

    def test_patches_do_not_see_each_other(self) -> None:
        net = MiniPointNet(self.WIDTHS).double()
        patches = torch.randn(7, 9, 3, dtype=torch.float64)
        changed = patches.clone()
        changed[3] += 1.0
        difference = (net(patches) - net(changed)).detach().abs().amax(dim=1)
        assert difference[3] > 1e-3
        assert difference[[0, 1, 2, 4, 5, 6]].max() == 0

    @staticmethod
    def counted(net: MiniPointNet) -> list[int]:
        """Records how many patches each call of the encoder sees."""
        sizes: list[int] = []
        net.local.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
        return sizes

    def gradients(self, net: MiniPointNet, patches: Tensor, weight: Tensor) -> tuple[Tensor, list[Tensor]]:
        net.zero_grad()
        patches = patches.clone().requires_grad_()
        encoded = net(patches)
        (encoded * weight).sum().backward()
        assert patches.grad is not None
        return encoded.detach(), [
            patches.grad,
            *(value.grad.clone() for value in net.parameters() if value.grad is not None),
        ]

    @pytest.mark.parametrize("budget", [1, 18, 40])
    def test_a_small_budget_changes_neither_values_nor_gradients(self, budget: int) -> None:
        net = MiniPointNet(self.WIDTHS).double().train()
        patches, weight = torch.randn(11, 9, 3, dtype=torch.float64), torch.randn(11, 5, dtype=torch.float64)
        expected, expected_gradients = self.gradients(net, patches, weight)
        net.budget = budget
        sizes = self.counted(net)
        found, found_gradients = self.gradients(net, patches, weight)
        torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)
        assert len(found_gradients) == len(expected_gradients) == 1 + len(list(net.parameters()))
        for one, other in zip(found_gradients, expected_gradients, strict=True):
            torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)
        most = max(1, budget // 9)
        assert max(sizes) == most
        assert sum(sizes) == 2 * 11  # every patch once forward and once again for its gradient

    def test_without_gradients_nothing_is_computed_twice(self) -> None:
        net = MiniPointNet(self.WIDTHS, budget=18).double().eval()
        sizes = self.counted(net)
        patches = torch.randn(11, 9, 3, dtype=torch.float64)
        with torch.no_grad():
            np.testing.assert_allclose(net(patches).numpy(), self.reference(net, patches), atol=1e-12)
        assert sizes == [2, 2, 2, 2, 2, 1]

    def test_recomputation_keeps_no_activations_but_those_of_one_chunk(self) -> None:
        """What autograd saves for the backward pass stays about the input, however wide the layers are."""
        patches = torch.randn(64, 16, 3)

        def saved_bytes(budget: int) -> int:
            net = MiniPointNet((64, 64, 64), budget=budget).train()
            saved = 0

            def pack(tensor: Tensor) -> Tensor:
                nonlocal saved
                saved += tensor.numel() * tensor.element_size()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                net(patches)
            return saved

        assert saved_bytes(64 * 16) > 20 * patches.numel() * 4
        assert saved_bytes(64) < 4 * patches.numel() * 4


class TestTransformerBlock:
    def test_is_pre_norm_attention_and_mlp_with_residuals(self) -> None:
        block, heads = TransformerBlock(8, 2).double(), 2
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.4)
        tokens = torch.randn(3, 5, 8, dtype=torch.float64)
        expected = []
        for sample in tokens.numpy():
            query, key, value = np.split(linear(block.qkv, normalised(block.norm_attention, sample)), 3, axis=-1)
            mixed = [
                softmax(query[:, part] @ key[:, part].T / 2.0, axis=-1) @ value[:, part]  # sqrt(4 channels per head)
                for part in np.split(np.arange(8), heads)
            ]
            sample = sample + linear(block.project, np.concatenate(mixed, axis=-1))
            expected.append(sample + run_mlp(block.mlp, normalised(block.norm_mlp, sample)))
        np.testing.assert_allclose(block(tokens).detach().numpy(), np.stack(expected), atol=1e-11)
