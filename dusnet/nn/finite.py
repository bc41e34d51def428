"""Numbers that a model gives while it scores: those of a damaged one are refused before anything is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dusnet.errors import BadModel

LARGEST_GIVEN = 1e9
"""A part has the radius 1 where networks judge it; not even a scan in a wrong unit makes them give such numbers."""


def require_given(given: Tensor) -> Tensor:
    """What a network of points gave, when it can be worked with.

    Args:
        given: any floating point tensor.

    Raises:
        BadModel: a number is NaN, infinite or larger than any that a network gives.
    """
    # NaN goes through the maximum and is not below anything.
    if given.numel() and not bool(given.abs().amax() <= LARGEST_GIVEN):
        raise damaged("The model")
    return given


def require_finite(name: str, *found: NDArray[Any] | float | None) -> None:
    """Check what a model says of a scan.

    Args:
        name: the model, as the first words of a sentence.
        found: what it says; None is nothing to check.

    Raises:
        BadModel: a number is NaN or infinite.
    """
    if not all(one is None or bool(np.isfinite(one).all()) for one in found):
        raise damaged(name)


def damaged(name: str) -> BadModel:
    """What to say of a model whose numbers cannot be used."""
    return BadModel(
        f"{name} gives numbers that are not finite or too large; its file is damaged or its training failed, so copy "
        "the file again or train again."
    )
