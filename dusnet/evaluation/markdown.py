"""Markdown of all result files: tables and lists of notes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dusnet.terminal import table_cell


def table(align: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table; what would end a cell or a line is escaped.

    Args:
        align: `l` for a column of words and `r` for one of numbers, one letter per column.
        head: titles of the columns.
        rows: cells of every line.

    Example:
        >>> print(table("lr", ["class", "O-AUROC"], [["a|b", "0.900"]]), end="")
        | class | O-AUROC |
        |---|---:|
        | a\|b | 0.900 |
    """
    lines = ["| " + " | ".join(map(table_cell, cells)) + " |" for cells in (head, *rows)]
    lines.insert(1, "|" + "".join("---:|" if one == "r" else "---|" for one in align))
    return "\n".join(lines) + "\n"


def notes(texts: Iterable[str]) -> str:
    """A list with one line per text."""
    return "".join(f"* {text}\n" for text in texts)


def number(value: float, digits: int, spread: float = math.nan) -> str:
    """A cell: mean ± spread, the mean alone where there is no spread, a dash where there is no mean."""
    if math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text if math.isnan(spread) else f"{text} ± {spread:.{digits}f}"
