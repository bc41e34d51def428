"""Quantiles of long tensors, of which torch takes only short ones."""

from __future__ import annotations

from torch import Tensor

LIMIT = 2**24
"""Most values that torch takes a quantile of."""


def quantile(values: Tensor, share: float) -> float:
    """The value that this share of the values, (N,), is below; of very many, some are looked at."""
    return float(values[:: 1 + len(values) // LIMIT].quantile(share))
