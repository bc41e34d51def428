"""Numbers and sentences, as every picture and page writes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dusnet.result import kind_words
from dusnet.words import plain

if TYPE_CHECKING:
    from dusnet.inspection.result_parts import Defect

MISSING = "–"


def number(value: float | None, digits: int = 4, *, signed: bool = False) -> str:
    """As `plain`, with a real minus sign; a dash for None and what is not finite."""
    if value is None or not math.isfinite(value):
        return MISSING
    return plain(value, digits, signed=signed).replace("-", "−")


def fixed(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """A number with so many decimals, such as a length in a table; a dash for None and what is not finite."""
    if value is None or not math.isfinite(value):
        return MISSING
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def percent(share: float) -> str:
    """A share, 0 to 1, in per cent; a small one is never written as nothing."""
    if 0.0 < share < 0.0001:
        return "below 0.01 %"
    return f"{100.0 * share:.2f} %"


def coverage(unseen_share: float) -> str:
    """How much of the part a scan shows, in per cent: 100 % is written only where nothing is left out.

    Example:
        >>> [coverage(share) for share in (0.0, 0.0004, 0.125)]
        ['100 %', '99.9 %', '87.5 %']
    """
    if unseen_share <= 0.0:
        return "100 %"
    return f"{math.floor(1000.0 * (1.0 - unseen_share) + 1e-9) / 10.0:.1f} %"


def grouped(count: int) -> str:
    """A count with narrow spaces between thousands."""
    return f"{count:,}".replace(",", "\u202f")


def defect_line(place: int, defect: Defect, unit: str | None) -> str:
    """One defect of a list, counted from 1: `1 protrusion: 30.9 x 30.8 x 13 mm, peak 0.0917`."""
    size = " x ".join(plain(extent, 3) for extent in defect.size)
    kind = "" if defect.kind is None else f" {kind_words(defect.kind)}"
    peak = f", peak {defect.peak_score:.3g}" if math.isfinite(defect.peak_score) else ""
    return f"{place}{kind}: {size}{f' {unit}' if unit else ''}{peak}"
