"""Measurements of speed as text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from dusnet.evaluation.markdown import table
from dusnet.evaluation.speed.timing import Timing

HEADS = ("what", "size", "by", "ms", "±", "MiB", "ratio")


def as_text(timings: Sequence[Timing]) -> str:
    """A table, one line per measurement."""
    rows = [HEADS, *map(_cells, timings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = []
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
        lines.append("  ".join([*words, *numbers]))
    return "\n".join(lines)


def as_markdown(timings: Sequence[Timing]) -> str:
    """The same for a page."""
    return table("lllrrrr", HEADS, map(_cells, timings)).rstrip("\n")


def _cells(timing: Timing) -> tuple[str, ...]:
    return (
        timing.what,
        timing.size,
        timing.by,
        f"{1000 * timing.seconds:.2f}",
        f"{100 * timing.spread:.0f} %",
        f"{timing.memory:.0f}",
        "" if timing.ratio is None else f"{timing.ratio:.1f}x",
    )
