"""Words of sentences for people: names in a list, counts with their plural, durations."""

from __future__ import annotations

from collections.abc import Sequence


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


def seconds(duration: float) -> str:
    """A duration: `0.35 s`, `42 s`, `3 min 20 s`."""
    if duration < 10:
        return f"{duration:.2g} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{rest} s" if not minutes else f"{minutes} min {rest} s"
