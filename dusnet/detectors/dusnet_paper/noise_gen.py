"""Noise-Gen (Eq. 1): the corrupted groups that the Down-Net learns to undo."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dusnet.detectors.dusnet_paper.settings import NoiseSettings


@dataclass(frozen=True)
class NoisyGroups:
    """Corrupted groups.

    Attributes:
        centers: (B, G, 3).
        neighbors: (B, G, K, 3).
    """

    centers: Tensor
    neighbors: Tensor


class NoiseGen(nn.Module):
    """Displaces groups: every point on its own as the paper prints it, and whole neighbourhoods together.

    Independent noise alone shows a network no dent: a displaced centre among undisplaced neighbours is not what a
    defect looks like. The coherent part moves a centre with its neighbourhood along the surface normal, with a little
    sideways, and leaves some groups where they are.

    Args:
        settings: kinds and amplitudes; with `wall_limit` no coherent displacement along the normal is larger than
            `coherent_limit`.
        patch_radius: mean distance of a neighbour to its centre, in the frame; the length unit of `unit: patch`.
        coherent_limit: half the wall thickness of the part, in the frame; beyond it the nearest good surface is
            ambiguous.
    """

    STILL = 0.15
    TANGENTIAL = 0.15
    SALT_PEPPER_SHARE = 0.5

    def __init__(self, settings: NoiseSettings, *, patch_radius: float, coherent_limit: float = float("inf")) -> None:
        super().__init__()
        unit = patch_radius if settings.unit == "patch" else 1.0
        self.kind = settings.kind
        self.alpha = settings.alpha * unit
        self.beta = settings.beta * unit
        self.limit = coherent_limit if settings.wall_limit else float("inf")
        self.coherent = min(settings.coherent, self.limit)

    def forward(self, centers: Tensor, neighbors: Tensor, normals: Tensor, generator: torch.Generator) -> NoisyGroups:
        """Corrupt groups.

        Args:
            centers: (B, G, 3).
            neighbors: (B, G, K, 3).
            normals: unit normals at the centres, of either sign, (B, G, 3).
            generator: the only source of randomness.
        """
        if self.coherent > 0:
            shift = self._coherent_shift(normals, generator)
            centers, neighbors = centers + shift, neighbors + shift.unsqueeze(2)
        if self.alpha > 0:
            centers = centers + self.alpha * self._unit_noise(centers, generator)
        if self.beta > 0:
            neighbors = neighbors + self.beta * self._unit_noise(neighbors, generator)
        return NoisyGroups(centers, neighbors)

    def independent(self, centers: Tensor, neighbors: Tensor, generator: torch.Generator) -> NoisyGroups:
        """Eq. 1 alone, as the paper also applies it at test time."""
        return NoisyGroups(
            centers + self.alpha * self._unit_noise(centers, generator),
            neighbors + self.beta * self._unit_noise(neighbors, generator),
        )

    def _coherent_shift(self, normals: Tensor, generator: torch.Generator) -> Tensor:
        shape, device = normals.shape[:2], normals.device
        amplitude = self.coherent * torch.randn(*shape, 1, generator=generator, device=device)
        amplitude = amplitude.clamp(-self.limit, self.limit)
        moving = torch.rand(*shape, 1, generator=generator, device=device) >= self.STILL
        sideways = self.TANGENTIAL * torch.randn(*shape, 3, generator=generator, device=device)
        sideways = sideways - (sideways * normals).sum(dim=-1, keepdim=True) * normals
        return amplitude * moving * (normals + sideways)

    def _unit_noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Noise of unit standard deviation per coordinate, of the chosen kind (Table 6)."""
        if self.kind == "gaussian":
            return torch.randn(like.shape, generator=generator, device=like.device)
        uniform = 2 * torch.rand(like.shape, generator=generator, device=like.device) - 1
        if self.kind == "uniform":
            return uniform * 3**0.5
        hit = torch.rand(like.shape[:-1], generator=generator, device=like.device) < self.SALT_PEPPER_SHARE
        return uniform.sign() * hit.unsqueeze(-1) / self.SALT_PEPPER_SHARE**0.5
