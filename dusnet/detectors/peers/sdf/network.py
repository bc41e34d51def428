"""A network whose value at a place is the signed distance to the good surface."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from dusnet.detectors.peers.sdf.settings import ENCODED, FREQUENCIES, TOP_OCTAVE

BEFORE, AFTER = 3, 3
"""Layers before and after the one that the encoded place joins again; with that one and the last one they are eight."""


class SDFNet(nn.Module):
    """PASDF's network (arXiv 2505.24431 and its public code): eight layers with the encoded place joined half-way.

    Args:
        width: channels of a layer, more than the encoded place has.
        encoding: whether the place is encoded.
    """

    def __init__(self, width: int, *, encoding: bool) -> None:
        super().__init__()
        size = ENCODED if encoding else 3
        self._encoding = encoding
        self.before = _layers(size, width, BEFORE)
        self.joined = nn.Sequential(nn.Linear(width, width - size), nn.ReLU())
        self.after = _layers(width, width, AFTER)
        self.last = nn.Sequential(nn.Linear(width, 1), nn.Tanh())

    def forward(self, places: Tensor) -> Tensor:
        """The signed distance at places of the frame, (N, 3) -> (N,), fractions of the frame."""
        code = encoded(places) if self._encoding else places
        found: Tensor = self.last(self.after(torch.cat([self.joined(self.before(code)), code], dim=1)))
        return found[:, 0]


def encoded(places: Tensor) -> Tensor:
    """The place, and sine and cosine of its multiples, (N, 3) -> (N, 63)."""
    octaves = TOP_OCTAVE * torch.arange(FREQUENCIES, device=places.device) / (FREQUENCIES - 1)
    angles = (places.unsqueeze(1) * (2.0**octaves).to(places.dtype).view(1, -1, 1)).unsqueeze(2)
    waves = torch.cat([angles.sin(), angles.cos()], dim=2)
    return torch.cat([places, waves.flatten(1)], dim=1)


def _layers(size: int, width: int, count: int) -> nn.Sequential:
    sizes = [size, *[width] * count]
    return nn.Sequential(
        *(nn.Sequential(weight_norm(nn.Linear(low, high)), nn.ReLU()) for low, high in pairwise(sizes))
    )
