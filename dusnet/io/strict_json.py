"""JSON of files that anybody can have written, without what a parser passes on and a program stumbles over later."""

from __future__ import annotations

import json
import math
from typing import Any

LARGEST_WHOLE = 2**63 - 1
_DIGITS = 20


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: the text is no JSON, is nested too deeply, or holds NaN, an infinite number or a whole number beyond
            64 bits, none of which this package writes.
    """
    try:
        return json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("lists and objects are nested too deeply") from error


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS or abs(value := int(digits)) > LARGEST_WHOLE:
        raise ValueError("a whole number is beyond 64 bits")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is beyond every range")
    return value


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no JSON")
