"""Anomalies made in the space of features: away from the centre, or in any direction by as much as the place allows.

Equations of CRAS are those of arXiv 2505.17551, those of PBAS of arXiv 2412.17458.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Ratio = Literal["fixed", "residual", "noise"]
Direction = Literal["center", "random", "gaussian"]

LEAST_RESIDUAL = 0.01
"""Of the mean residual: what a smaller one counts as, since a feature on its centre would be thrown to infinity."""


def residual_norm(features: Tensor, centers: Tensor) -> Tensor:
    """Distance of every feature to its centre vector (CRAS Eq. 4), (..., C) -> (..., 1)."""
    return (features - centers).norm(dim=-1, keepdim=True)


def distance_ratio(residual: Tensor, noise: Tensor, *, beta: float, form: Ratio) -> Tensor:
    """How much noise each feature gets (CRAS Eq. 5).

    Args:
        residual: distances to the centre, (..., 1).
        noise: norms of the noise, (..., 1).
        beta: how strongly the ratio counts, 0 to 1.
        form: `noise` is Eq. 5, `beta (g / r * r' / g' - 1) + 1` with the means r' and g' of all norms; `residual` is
            the same without the noise, `beta (r' / r - 1) + 1`; `fixed` is 1, plain Gaussian noise.

    Returns:
        (..., 1): a feature near its centre gets more noise, one that already lies far off gets less.
    """
    if form == "fixed":
        return torch.ones_like(residual)
    mean = residual.mean()
    # Of a single map every feature is on its centre, and none is nearer than another.
    ratio = torch.where(mean > 0, mean / residual.clamp_min(LEAST_RESIDUAL * mean), torch.ones_like(residual))
    if form == "noise":
        ratio = ratio * noise / noise.mean()
    return beta * (ratio - 1) + 1


def distance_guided(features: Tensor, centers: Tensor, noise: Tensor, *, beta: float, form: Ratio) -> Tensor:
    """Anomalous features v = u + alpha g (CRAS Eq. 6).

    Args:
        features: normal ones, (..., C).
        centers: the centre vector of each, (..., C).
        noise: Gaussian, (..., C).
        beta: see `distance_ratio`.
        form: see `distance_ratio`.

    Returns:
        (..., C); the gradient goes through the features, not through the amount of noise.
    """
    norm = noise.norm(dim=-1, keepdim=True)
    alpha = distance_ratio(residual_norm(features, centers).detach(), norm, beta=beta, form=form)
    return features + alpha * noise


def boundary_guided(features: Tensor, centers: Tensor, radius: Tensor, *, alpha: float) -> Tensor:
    """Anomalous features on the rays from the centre, z = u + alpha L_c (u - c) / |u - c| (PBAS Eq. 7).

    Args:
        features: normal ones, (..., C).
        centers: the centre vector of each, (..., C).
        radius: L_c, the mean distance of features to their centre, a scalar.
        alpha: how far beyond the feature, in radii.

    Returns:
        (..., C); the gradient goes through the features, not through the step.
    """
    direction = functional.normalize(features - centers, dim=-1)
    return features + (alpha * radius * direction).detach()


def undirected(features: Tensor, noise: Tensor, radius: Tensor, *, alpha: float, form: Direction) -> Tensor:
    """What the ray of `boundary_guided` is compared with (PBAS Table V).

    Args:
        features: normal ones, (..., C).
        noise: standard normal, (..., C).
        radius: L_c, a scalar.
        alpha: as there.
        form: `random` steps as far in a random direction; `gaussian` adds noise of that length on average.

    Returns:
        (..., C).
    """
    if form == "random":
        return features + (alpha * radius * functional.normalize(noise, dim=-1)).detach()
    return features + (alpha * radius / features.shape[-1] ** 0.5 * noise).detach()
