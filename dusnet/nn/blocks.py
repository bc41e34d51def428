"""Building blocks that the networks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from dusnet.config.section import TransformerSettings


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with GELU between them; acts on the last dimension, so it is a 1x1 convolution on points.

    Args:
        widths: input width, hidden widths, output width.
    """
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        if index:
            layers.append(nn.GELU())
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)


def zeroed(layers: nn.Sequential) -> nn.Sequential:
    """The same layers, of which the last one begins with zeros, so that they say nothing at first."""
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return layers


def in_full_precision(network: nn.Module, values: Tensor) -> Tensor:
    """What a network makes of coordinates, or coordinates that it makes: bfloat16 has too few digits for either."""
    with torch.autocast(values.device.type, enabled=False):
        made: Tensor = network(values.float() if values.dtype in (torch.bfloat16, torch.float16) else values)
    return made


class FourierFeatures(nn.Module):
    """Coordinates with sines and cosines of `octaves` doubling frequencies beside them.

    A plain MLP of coordinates is too smooth to tell neighbouring places of a part apart.
    """

    frequencies: Tensor

    def __init__(self, octaves: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.pi * 2.0 ** torch.arange(octaves), persistent=False)
        self.width = 3 + 6 * octaves

    def forward(self, points: Tensor) -> Tensor:
        """(..., 3) in [-1, 1] -> (..., 3 + 6 octaves)."""
        angles = (points.unsqueeze(-1) * self.frequencies).flatten(-2)
        return torch.cat([points, angles.sin(), angles.cos()], dim=-1)


def fits_cache_better(patches: Tensor) -> bool:
    """Whether to take few patches at a time: on a CPU without gradients, where nothing is kept between the layers."""
    return not (torch.is_grad_enabled() or patches.is_cuda)


def in_blocks(encode: Callable[[Tensor], Tensor], patches: Tensor, groups: int, width: int) -> Tensor:
    """Encode some patches at a time, so that what lies between the layers stays in the cache of the processor.

    Args:
        encode: (g, P, C) -> (g, width), every patch for itself.
        patches: (G, P, C).
        groups: patches at a time.
        width: of the result.

    Returns:
        (G, width).
    """
    # Small results that are kept between large ones that are not would leave the heap full of holes.
    encoded = patches.new_empty((len(patches), width))
    for some, place in zip(patches.split(groups), encoded.split(groups), strict=True):
        place.copy_(encode(some))
    return encoded


def maximum(patches: Tensor) -> Tensor:
    """The largest of every channel over the points of a patch, (..., P, C) -> (..., C).

    The gradient goes to one of equally large points: `amax` deals it out over all, which takes as long as the layers
    around it.
    """
    return patches.max(dim=-2).values if patches.requires_grad else patches.amax(dim=-2)


class MiniPointNet(nn.Module):
    """Patch encoder of Eq. 2: per-point MLP, max-pool, concatenate, MLP, max-pool.

    Groups are independent, so at most `budget` points are processed at once; with gradients the activations of every
    such chunk are recomputed in the backward pass. That bounds memory at G 8192 x K 640 without changing the result.
    Without gradients a CPU takes as few points at a time as its cache holds.
    """

    IN_CACHE = 16_384

    def __init__(self, widths: tuple[int, int, int], budget: int = 262_144) -> None:
        super().__init__()
        first, second, out = widths
        self.local = mlp((3, first, second))
        self.joint_point = nn.Linear(second, second)
        self.joint_patch = nn.Linear(second, second, bias=False)
        self.out = nn.Linear(second, out)
        self.budget = budget

    def forward(self, patches: Tensor) -> Tensor:
        """(G, P, 3) relative coordinates -> (G, width) patch embeddings."""
        if fits_cache_better(patches):
            budget = min(self.budget, self.IN_CACHE)
            return in_blocks(self._encode, patches, max(1, budget // patches.shape[1]), self.out.out_features)
        if patches.shape[0] * patches.shape[1] <= self.budget:
            return self._encode(patches)
        # Memory that is asked for anew in every chunk is cheap only while it is small.
        groups = max(1, (self.budget if patches.is_cuda else min(self.budget, self.IN_CACHE)) // patches.shape[1])
        recompute = torch.is_grad_enabled() and self.training
        encoded = [
            checkpoint(self._encode, chunk, use_reentrant=False) if recompute else self._encode(chunk)
            for chunk in patches.split(groups)
        ]
        return torch.cat(encoded)

    def _encode(self, patches: Tensor) -> Tensor:
        local = self.local(patches)
        pooled = maximum(local).unsqueeze(1)
        # A linear layer on [local; pooled] is the sum of one on each, and the second is the same for the whole patch.
        joint = functional.gelu(self.joint_point(local) + self.joint_patch(pooled))
        return maximum(self.out(joint))


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and MLP, both with a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = mlp((width, 4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, G, width) -> (B, G, width)."""
        batch, count, width = tokens.shape
        split = self.qkv(self.norm_attention(tokens)).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.project(mixed.transpose(1, 2).reshape(batch, count, width))
        return tokens + self.mlp(self.norm_mlp(tokens))


def transformer_blocks(settings: TransformerSettings) -> nn.Sequential:
    """As many blocks as the settings say, one after the other."""
    return nn.Sequential(*(TransformerBlock(settings.width, settings.heads) for _ in range(settings.layers)))
