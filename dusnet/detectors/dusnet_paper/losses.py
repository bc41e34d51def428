"""The loss of the Down-Net (Eq. 5-8)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from dusnet import ops
from dusnet.config import LossSettings
from dusnet.nn.losses import Loss, weighted


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
    return weighted(terms, predicted)
