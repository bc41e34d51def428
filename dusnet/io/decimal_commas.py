"""Whether the commas of a table are decimal commas, so that what looks like two columns is one number."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

_DECIMAL = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)?(?:e[+-]?[0-9]+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DIFFERENT_DIGITS = 8  # of the ten that a fraction of one digit can be
_FRACTIONS = (1, 3, 5)  # where the digits behind the comma stand when two columns are one number


def is_decimal_row(text: str) -> bool:
    """Whether white space separates at least three numbers of which some have decimal commas: "1,5 2 3,25"."""
    words = text.split()
    return len(words) >= 3 and "," in text and all(_DECIMAL.fullmatch(word) for word in words)


def looks_whole(words: list[str]) -> bool:
    """Whether at least four words are whole numbers, as the halves of numbers with decimal commas are."""
    return len(words) >= 4 and all(_WHOLE.fullmatch(word) for word in words)


def decimal_commas(values: NDArray[np.float64], rows: list[str]) -> bool:
    """Whether a table with commas between its columns gives away that they are decimal commas.

    Whole numbers alone are no sign: a table may hold whole coordinates and colours. Signs are zeros in front of the
    digits that would be a fraction ("12,05"), a negative zero in front of a comma ("-0,5"), and single digits of all
    kinds wherever fractions would be ("12,5"), behind numbers that have more.

    Args:
        values: the table as it would be read, (N, C) float64.
        rows: the lines that it comes from.
    """
    width = values.shape[1]
    with np.errstate(invalid="ignore"):
        if width < 4 or not (values == np.rint(values)).all():
            return False
    fractions = [place for place in _FRACTIONS if place < width] if width >= 6 else [1]
    single = width >= 6
    longer = False
    digits: dict[int, set[str]] = {place: set() for place in fractions}
    for row in rows:
        words = [word.strip().strip('"') for word in row.split(",")]
        if not looks_whole(words):
            return False
        if any(len(words[place]) > 1 and words[place][0] == "0" for place in fractions):
            return True
        if any(words[place - 1] == "-0" for place in fractions):
            return True
        single = single and all(len(words[place]) == 1 for place in fractions)
        for place in fractions if single else ():
            digits[place].add(words[place])
        longer = longer or any(len(words[place - 1].lstrip("+-")) > 1 for place in fractions)
    return single and longer and min(map(len, digits.values())) >= _DIFFERENT_DIGITS
