"""Losses of the two stages (Eq. 5-8 and Eq. 12-14)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

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


def matched_mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of predicted centre i to original centre i (Eq. 5, index-matched), (B, G, 3) -> scalar.

    The printed double sum over all pairs has its minimum where every centre lies on the mean of the cloud.
    """
    return (predicted - target).square().sum(dim=-1).mean()


def all_pairs_mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance over all pairs of centres (Eq. 5 as printed), (B, G, 3) -> scalar.

    Multiplied out, the double sum needs no pairs.
    """
    squares = predicted.square().sum(dim=-1).mean(dim=1) + target.square().sum(dim=-1).mean(dim=1)
    return (squares - 2 * (predicted.mean(dim=1) * target.mean(dim=1)).sum(dim=-1)).mean()


def all_pairs_cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cos over all pairs of centres (Eq. 6 as printed), (B, G, 3) -> scalar."""
    directions = [functional.normalize(centers, dim=-1).mean(dim=1) for centers in (predicted, target)]
    return (1 - (directions[0] * directions[1]).sum(dim=-1)).mean()


def matched_cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cos between the vectors from the origin to matching centres (Eq. 6), (B, G, 3) -> scalar."""
    return (1 - functional.cosine_similarity(predicted, target, dim=-1)).mean()


def repulsion(points: Tensor, *, neighbors: int, form: str, h: float) -> Tensor:
    """Keeps rebuilt points apart (Eq. 12), (B, M, 3) -> scalar.

    Args:
        points: the reconstruction.
        neighbors: nearest other points that repel each point.
        form: `paper` is the printed -d exp(-d^2), summed over the neighbours, which has no length scale; `punet` is
            the hinge max(0, h - d) exp(-d^2 / h^2) in the sense of PU-Net.
        h: length scale of `punet`, in the frame.
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


def down_loss(predicted: Tensor, target: Tensor, settings: LossSettings) -> Loss:
    """Loss of the first stage (Eq. 8): MSE + COS + CD on centres, (B, G, 3) each."""
    terms: dict[str, tuple[float, Tensor]] = {}
    matched = settings.pairing == "index"
    if settings.mse:
        terms["mse"] = settings.mse, (matched_mse if matched else all_pairs_mse)(predicted, target)
    if settings.cos:
        terms["cos"] = settings.cos, (matched_cosine if matched else all_pairs_cosine)(predicted, target)
    if settings.chamfer:
        chamfer = ops.chamfer_distance(predicted, target)
        assert isinstance(chamfer, Tensor)
        terms["chamfer"] = settings.chamfer, chamfer
    return _weigh(terms, predicted)


def up_loss(points: Tensor, target: Tensor, settings: LossSettings) -> Loss:
    """Loss of the second stage (Eq. 14): REP + EMD, (B, M, 3) each."""
    terms: dict[str, tuple[float, Tensor]] = {}
    if settings.repulsion:
        repelled = repulsion(
            points, neighbors=settings.repulsion_neighbors, form=settings.repulsion_form, h=settings.repulsion_h
        )
        terms["repulsion"] = settings.repulsion, repelled
    if settings.emd:
        terms["emd"] = settings.emd, matching(points, target, form=settings.emd_form)
    return _weigh(terms, points)


def _weigh(terms: dict[str, tuple[float, Tensor]], like: Tensor) -> Loss:
    total = torch.stack([weight * value for weight, value in terms.values()]).sum() if terms else like.sum() * 0
    return Loss(total, {name: value.detach() for name, (_, value) in terms.items()})
