"""Classes in two halves that share none: settings are chosen on one, figures come from the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

Half = Literal["development", "reported", "both"]

_SEED = 2
"""Fixes the halves. It belongs to no dataset, so that a dataset of another seed has the same halves."""


def half_of(name: str) -> Literal["development", "reported"]:
    """The half of a class. Classes of one form, such as bowl0 and bowl1, are in the same half.

    It follows from the name alone, so that more classes move no class to the other half.
    """
    form = name.rstrip("0123456789")
    first = hashlib.sha256(f"{_SEED}:{form}".encode()).digest()[0]
    return "development" if first % 2 == 0 else "reported"


def of_half(names: Iterable[str], half: Half) -> list[str]:
    """The names that belong to a half, in their order."""
    return [name for name in names if half in ("both", half_of(name))]
