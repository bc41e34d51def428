"""Numbers in text: what counts as one, how long it may be, and reading a text of nothing but numbers."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput

LONGEST_NUMBER = 1200
"""Characters of a number: the smallest double has 1,074 digits in full, and whatever is longer is damage."""
LARGEST_COORDINATE = 1e15
"""Of either sign. The sum of ten million squared distances below it still fits into single precision."""

_COUNT_DIGITS = 20  # of the largest number of 64 bits
_SHOWN = 160
# No two parts of it can match the same characters in two ways, so that it takes linear time on every text.
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:e[+-]?[0-9]+)?|[+-]?nan|[+-]?inf(?:inity)?", re.IGNORECASE
)


def is_number(word: str) -> bool:
    """Whether a word is one number, with a decimal point or a decimal comma."""
    return len(word) <= LONGEST_NUMBER and _NUMBER.fullmatch(word) is not None


def count_of(text: str) -> int:
    """A count from a header, at least 0.

    Raises:
        ValueError: it is not a whole number of at most 20 digits.
    """
    if not (0 < len(text) <= _COUNT_DIGITS and text.isascii() and text.isdecimal()):
        raise ValueError("count")
    return int(text)


def check_words(line: bytes) -> None:
    """Refuse a line in which Python would read another number than other programs, or would read for long.

    Args:
        line: white space separates its numbers.

    Raises:
        ValueError: a word is longer than any number, or has underscores, which only Python takes for part of one.
    """
    if b"_" in line or (len(line) > LONGEST_NUMBER and max(map(len, line.split())) > LONGEST_NUMBER):
        raise ValueError("number")


def parse_numbers(path: Path, text: bytes, lines_above: int = 0) -> NDArray[np.float64]:
    """All numbers of a text that holds nothing but numbers and white space.

    Args:
        path: the file, for messages.
        text: the text.
        lines_above: how many lines the file has above the text, for messages.

    Returns:
        (K,) float64.

    Raises:
        BadInput: something in the text is not a number.
    """
    # NumPy reads text without any number as one number.
    if not text or text.isspace():
        return np.empty(0)
    try:
        if _longest_word(text) > LONGEST_NUMBER:
            raise ValueError("number")
        with warnings.catch_warnings():
            # Older NumPy only warns about text that it could not read.
            warnings.simplefilter("error", DeprecationWarning)
            return np.fromstring(text, dtype=np.float64, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        place = _bad_line(text)
        where = "" if place is None else f" in line {lines_above + place}"
        raise BadInput(
            f"{path} holds something that is not a number{where}; it is damaged, export it again."
        ) from error


def shown(names: list[str]) -> str:
    """Names from a file for a message: printable, and not more of them than a sentence can hold."""
    text = ", ".join(names)[: 2 * _SHOWN]
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= _SHOWN else clean[:_SHOWN] + " ..."


def _longest_word(text: bytes) -> int:
    """Length of the longest run of bytes above the space; lower ones are white space or damage."""
    gaps = np.flatnonzero(np.frombuffer(text, np.uint8) <= 32)
    if not len(gaps):
        return len(text)
    inner = int(np.diff(gaps).max()) - 1 if len(gaps) > 1 else 0
    return max(inner, int(gaps[0]), len(text) - 1 - int(gaps[-1]))


def _bad_line(text: bytes) -> int | None:
    """The first line, counted from 1, with something that is not a number."""
    for number, line in enumerate(text.splitlines(), start=1):
        for word in line.split():
            if b"," in word or not is_number(word.decode("latin-1")):
                return number
    return None
