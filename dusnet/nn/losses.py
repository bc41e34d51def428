"""What a stage minimises, and the loss of the Up-Net (Eq. 12-14)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dusnet import ops
from dusnet.config import LossSettings


@dataclass(frozen=True)
class Loss:
    """A weighted sum and its unweighted terms.

    Attributes:
        total: scalar to minimise.
        terms: scalars by name, detached, for the log.
    """

    total: Tensor
    terms: dict[str, Tensor]


def repulsion(points: Tensor, *, form: str, neighbors: int = 5, h: float = 0.03) -> Tensor:
    """Keeps rebuilt points apart (Eq. 12), (B, M, 3) -> scalar.

    Args:
        points: the reconstruction.
        form: `paper` is the printed -d exp(-d^2), summed over the neighbours, which has no length scale; `punet` is
            the hinge max(0, h - d) exp(-d^2 / h^2) in the sense of PU-Net.
        neighbors: nearest other points that repel each point; PU-Net's number.
        h: length scale of `punet`, in the frame; PU-Net's, of a unit sphere as well.
    """
    count = min(neighbors + 1, points.shape[1])
    squared, _ = ops.knn(points, points, count)
    # Coincident points have no direction to part in; the floor keeps the gradient of the root finite.
    distance = squared[..., 1:].clamp_min(1e-12).sqrt()
    if form == "paper":
        return (-distance * torch.exp(-distance.square())).sum(dim=-1).mean()
    return ((h - distance).clamp_min(0) * torch.exp(-distance.square() / h**2)).mean()


def matching(points: Tensor, target: Tensor, *, form: str) -> Tensor:
    """Distance of the reconstruction to the true cloud (Eq. 13).

    Args:
        points: the reconstruction, (B, M, 3).
        target: the true cloud, (B, M, 3).
        form: `assignment` matches one to one (earth mover's distance); `one_sided` is the printed sum over nearest
            neighbours.

    Returns:
        Mean distance, in the frame.
    """
    if form == "assignment":
        cost, _ = ops.earth_movers_distance(points, target)
        return cost.mean()
    squared, _ = ops.knn(points, target, 1)
    return squared.clamp_min(1e-12).sqrt().mean()


def up_loss(points: Tensor, target: Tensor, settings: LossSettings) -> Loss:
    """Loss of the second stage (Eq. 14): REP + EMD, (B, M, 3) each."""
    terms: dict[str, tuple[float, Tensor]] = {}
    if settings.repulsion:
        terms["repulsion"] = settings.repulsion, repulsion(points, form=settings.repulsion_form)
    if settings.emd:
        terms["emd"] = settings.emd, matching(points, target, form=settings.emd_form)
    return weighted(terms, points)


def weighted(terms: dict[str, tuple[float, Tensor]], like: Tensor) -> Loss:
    """The sum of weighted terms by name; zero of the shape of a prediction where there is none."""
    total = torch.stack([weight * value for weight, value in terms.values()]).sum() if terms else like.sum() * 0
    return Loss(total, {name: value.detach() for name, (_, value) in terms.items()})
