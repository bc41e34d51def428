"""Numbers as people write them."""

from __future__ import annotations

_ORDINARY = 1e6


def plain(value: float, digits: int, *, signed: bool = False) -> str:
    """A finite number with at least so many significant digits; from a ten-thousandth to a million without exponent.

    Args:
        value: the number.
        digits: significant digits; whole numbers keep all of theirs.
        signed: whether to write a plus too.

    Example:
        >>> [plain(value, 3) for value in (1500.0, 0.0123456, 1e-7, 2e7)]
        ['1500', '0.0123', '1e-07', '2e+07']
    """
    sign = "+" if signed else ""
    words = f"{value:{sign}.{digits}g}"
    return f"{value:{sign}.0f}" if "e+" in words and abs(value) < _ORDINARY else words
