"""Words of sentences for people: names in a list, counts with their plural, numbers, durations."""

from __future__ import annotations

from collections.abc import Sequence

_ORDINARY = 1e6


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 scan`, `1,200 points`; `many` where the plural is not formed with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def verb(count: int, one: str = "is", many: str = "are") -> str:
    """The form of a verb that belongs to so many things."""
    return one if count == 1 else many


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in one phrase, at most so many of them: `a`, `a and b`, `a, b and 3 more`."""
    shown = [*names[:most], f"{len(names) - most} more"] if len(names) > most else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


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


def seconds(duration: float) -> str:
    """A duration: `0.35 s`, `42 s`, `3 min 20 s`."""
    if duration < 10:
        return f"{duration:.2g} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{rest} s" if not minutes else f"{minutes} min {rest} s"
