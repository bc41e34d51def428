"""Sizes of scans that are to be learned from together: which of them stand out, and what that looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Points
from dusnet.units import METRES
from dusnet.words import listed, verb

SPAN = 2.3
"""Ratio of sizes from which on two scans do not show the same part in the same unit. Of 640 views of one side of 16
parts, whole scans among them, no two of one part reach it (2.2, a bottle seen from its end); inch to centimetre, the
nearest two units, is 2.54."""
NEAR_UNIT = 1.3
"""A ratio of sizes up to this far from one of two units, either way, may come from these units."""

_CORE, _STRAY = 0.9, 4.0
_TAIL = 0.01  # share of the points at either end of an axis that may be stray
# The larger unit, the smaller one, and how many of the smaller one the larger one has; common mixtures first.
_RATIOS = (
    ("m", "mm", 1000.0),
    ("in", "mm", 25.4),
    ("cm", "mm", 10.0),
    ("m", "cm", 100.0),
    ("m", "in", 39.37),
    ("in", "cm", 2.54),
    ("m", "ft", 3.281),
    ("ft", "in", 12.0),
    ("ft", "mm", 304.8),
    ("ft", "cm", 30.48),
    ("in", "um", 25400.0),
    ("m", "um", 1e6),
)


def size_of(points: Points) -> float:
    """Half the diagonal of a scan along its own main axes, in the unit of the scan.

    Points that lie several times as far from the middle as nine in ten do not count, nor does the outermost 1 % along
    each axis: stray points change nothing. Turning the scan changes it by at most 2 %, seeing one side of the part only
    by a third at most, views along a slender part excepted.

    Args:
        points: (N, 3), at least two different ones.
    """
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    kept = points[distance <= _STRAY * np.quantile(distance, _CORE)]
    _, _, axes = np.linalg.svd(np.cov((kept - kept.mean(axis=0)).T))
    low, high = np.quantile(kept @ axes.T, (_TAIL, 1.0 - _TAIL), axis=0)
    return float(np.linalg.norm(high - low)) / 2.0


def size_groups(sizes: Sequence[float]) -> list[NDArray[np.intp]]:
    """Which scans are of like size: one group where all are.

    Args:
        sizes: from `size_of`, all positive.

    Returns:
        Indices of every group, the largest group first, of equal ones that with the larger scans.
    """
    order = np.argsort(sizes, kind="stable")[::-1]
    return sorted(_split(np.log(np.asarray(sizes, dtype=np.float64)), order), key=len, reverse=True)


def _split(logs: NDArray[np.float64], order: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Cut scans, ordered from large to small, where two neighbours differ most until every group is narrow."""
    values = logs[order]
    if values[0] - values[-1] <= math.log(SPAN):
        return [order]
    cut = 1 + int(np.argmax(values[:-1] - values[1:]))
    return [*_split(logs, order[:cut]), *_split(logs, order[cut:])]


def size_problem(names: Sequence[str], sizes: Sequence[float]) -> str | None:
    """One sentence that names the scans whose size is not that of the others, or None.

    Args:
        names: what to call the scans.
        sizes: from `size_of`.
    """
    if len(sizes) < 2 or not min(sizes) > 0.0:
        return None
    groups = size_groups(sizes)
    if len(groups) == 1:
        return None
    middles = [float(np.median([sizes[index] for index in group])) for group in groups]
    if len(groups[0]) == len(groups[1]):
        shown = " and ".join(
            f"{listed([names[index] for index in sorted(group)])} (size {middle:.4g})"
            for group, middle in zip(groups, middles, strict=True)
        )
        ratio = max(middles[:2]) / min(middles[:2])
        return f"The scans have {len(groups)} different sizes, {_times(ratio)} apart: {shown}{unit_words(ratio)}"
    sentences = [
        f"{listed([names[index] for index in sorted(group)])} {verb(len(group))} "
        f"{size_words(middle / middles[0])} than "
        f"{_others(len(groups[0]))} (size {middle:.4g}, not {middles[0]:.4g}){unit_words(middle / middles[0])}"
        for group, middle in zip(groups[1:], middles[1:], strict=True)
    ]
    return "; ".join(sentences)


def size_words(ratio: float) -> str:
    """How a scan compares that is `ratio` times as large, such as "about 1000 times smaller"."""
    return f"{_times(max(ratio, 1.0 / ratio))} {'larger' if ratio > 1.0 else 'smaller'}"


def unit_words(ratio: float) -> str:
    """Which units differ by `ratio`, either way, as the end of a sentence about scans; empty where none do."""
    factor = max(ratio, 1.0 / ratio)
    near = [pair for pair in _RATIOS if 1.0 / NEAR_UNIT <= factor / pair[2] <= NEAR_UNIT]
    if not near:
        return ""
    large, small, _ = min(near, key=lambda pair: abs(math.log(factor / pair[2])))
    return f": the smaller ones look like {large} and the larger ones like {small}"


def true_unit(ratio: float, read_as: str) -> str | None:
    """The unit that coordinates are in, where none but that explains their size; None where no unit does.

    Args:
        ratio: how many times too large they are when they are read in `read_as`.
        read_as: a unit.

    Example:
        >>> true_unit(0.001, "mm"), true_unit(1 / 25.4, "mm"), true_unit(5.0, "mm")
        ('m', 'in', None)
    """
    off = {unit: abs(math.log(METRES[read_as] / ratio / metres)) for unit, metres in METRES.items()}
    best = min(off, key=off.__getitem__)
    return best if best != read_as and off[best] <= math.log(NEAR_UNIT) else None


def _times(factor: float) -> str:
    return f"about {float(f'{factor:.2g}'):g} times"


def _others(count: int) -> str:
    return "the other scan" if count == 1 else f"the other {count} scans"
