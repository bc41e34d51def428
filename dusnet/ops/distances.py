"""Distances between clouds: Chamfer (nearest neighbours both ways) and earth mover's (one-to-one match)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from dusnet.ops import checks
from dusnet.ops.neighbors import gather_points, knn

ops = torch.ops.dusnet
MAX_ITER = 10_000


@dataclass(frozen=True)
class ChamferMatches:
    """The nearest neighbours behind a Chamfer distance.

    Attributes:
        x_dist2: squared distance of each x to its nearest y, (B, N); infinity on padding.
        x_idx: index in y, (B, N) int64; -1 on padding.
        y_dist2: squared distance of each y to its nearest x, (B, M).
        y_idx: index in x, (B, M) int64.
    """

    x_dist2: Tensor
    x_idx: Tensor
    y_dist2: Tensor
    y_idx: Tensor


def _mean(values: Tensor, lengths: Tensor | None) -> Tensor:
    """Mean over the points of each cloud and then over the batch: (B, N) -> ()."""
    if lengths is None:
        return values.mean()
    inside = torch.arange(values.shape[1], device=values.device) < lengths[:, None]
    return (torch.where(inside, values, 0.0).sum(dim=1) / lengths).mean()


def chamfer_distance(
    x: Tensor,
    y: Tensor,
    *,
    return_matches: bool = False,
    x_lengths: Tensor | None = None,
    y_lengths: Tensor | None = None,
) -> Tensor | tuple[Tensor, ChamferMatches]:
    """Symmetric squared Chamfer distance: mean over x of min d2 to y plus mean over y of min d2 to x.

    Args:
        x: (B, N, 3) float, any unit.
        y: (B, M, 3) float, the same unit.
        return_matches: also return the nearest neighbours in both directions.
        x_lengths: (B,) integers, how many leading points of each x count; None for all.
        y_lengths: (B,) integers, likewise for y.

    Returns:
        The mean over the batch, a scalar in the squared unit, differentiable in both clouds; with `return_matches`
        also a `ChamferMatches`.

    Raises:
        ValueError: an argument has the wrong shape, type or range.

    Examples:
        >>> x = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])
        >>> chamfer_distance(x, x + 0.25)
        tensor(0.3750)
    """
    x, y = checks.pair("x", x, "y", y)
    x_lengths = checks.lengths("x_lengths", x_lengths, x)
    y_lengths = checks.lengths("y_lengths", y_lengths, y)
    x_dist2, x_idx = knn(x, y, 1, query_lengths=x_lengths, lengths=y_lengths)
    y_dist2, y_idx = knn(y, x, 1, query_lengths=y_lengths, lengths=x_lengths)
    matches = ChamferMatches(x_dist2[..., 0], x_idx[..., 0], y_dist2[..., 0], y_idx[..., 0])
    loss = _mean(matches.x_dist2, x_lengths) + _mean(matches.y_dist2, y_lengths)
    return (loss, matches) if return_matches else loss


def earth_movers_distance(
    x: Tensor, y: Tensor, *, eps: float = 1e-3, max_iter: int = MAX_ITER, lengths: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The cheapest one-to-one match of two clouds of equal size, by auction.

    The mean Euclidean length of the match is at most `eps` above the least possible. The match is a bijection also when
    the auction was cut short, which is said with a warning. The cost is differentiable through the match, which is held
    fixed; a pair of coinciding points contributes no gradient.

    Args:
        x: (B, N, 3) float, any unit.
        y: (B, N, 3) float, the same unit.
        eps: allowed excess of the mean cost, in the same unit, positive; smaller is slower.
        max_iter: the most bids per point, on average over the cloud.
        lengths: (B,) integers, how many leading points of both clouds count; None for all.

    Returns:
        Cost (B,): mean Euclidean distance between partners; assignment (B, N) int64: index in y of the partner of each
        point of x, -1 on padding.

    Raises:
        ValueError: an argument has the wrong shape, type or range.

    Examples:
        >>> x = torch.tensor([[[0.0, 0, 0], [2, 0, 0]]])
        >>> earth_movers_distance(x, x.flip(1) + torch.tensor([0.0, 1, 0]))
        (tensor([1.]), tensor([[1, 0]]))
    """
    x, y = checks.pair("x", x, "y", y)
    if x.shape != y.shape:
        raise ValueError(f"x and y must have the same number of points, got {x.shape[1]} and {y.shape[1]}.")
    lengths = checks.lengths("lengths", lengths, x)
    checks.positive("eps", eps)
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}.")
    assignment, converged = ops.earth_movers_match(x.detach(), y.detach(), float(eps), max_iter, lengths)
    if not torch.compiler.is_compiling() and not bool(converged.all()):
        short = int((~converged).sum())
        warnings.warn(
            f"the earth mover's match of {short} of {len(converged)} clouds used up its {max_iter} bids per point and "
            f"is not optimal to {eps}; raise max_iter or eps",
            stacklevel=2,
        )
    delta = x - gather_points(y, assignment)
    squared = (delta * delta).sum(dim=-1)
    apart = (squared > 0) & (assignment >= 0)
    length = torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)
    counts = x.shape[1] if lengths is None else lengths
    return length.sum(dim=1) / counts, assignment
