"""Tables as CSV that a spreadsheet shows as they are: no text in them is a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dusnet.errors import BadInput
from dusnet.io.files import read_bytes, write_text

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a text begins that a spreadsheet computes, also behind apostrophes of its own."""


def write_table(path: Path, fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table with one head line, atomically.

    A text that a spreadsheet would take for a formula (it begins with = + - @, a tab or a line break) gets an
    apostrophe in front, which `read_table` takes away again. Numbers stay numbers; None is an empty field.

    Args:
        path: the file, replaced.
        fields: names of the columns; other keys of a row are left out.
        rows: values by column.

    Raises:
        BadInput: the file cannot be written.
    """
    lines = [",".join(map(_field, fields))]
    write_text(path, "\n".join(lines) + "\n" + "".join(table_line(fields, row) for row in rows))


def table_line(fields: Sequence[str], row: Mapping[str, Any]) -> str:
    """One row as `write_table` writes it, with the end of its line; arguments as there."""
    return ",".join(_field(row.get(name)) for name in fields) + "\n"


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table that `write_table` wrote, every value as the text that was given.

    Raises:
        BadInput: the file cannot be read or is no table.
    """
    text = read_bytes(path).decode("utf-8", "replace")
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise BadInput(f"{path} is no table that can be read ({error}); write it again.") from error
    return [{name: _text(value) for name, value in row.items() if name is not None} for row in rows]


def _field(value: Any) -> str:
    if value is None:
        return ""
    text = f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else str(value)
    # The csv module of some versions leaves a lone carriage return unquoted, which then ends the row.
    return '"' + text.replace('"', '""') + '"' if any(one in text for one in ',"\r\n') else text


def _text(value: str | None) -> str:
    given = value or ""
    return given[1:] if given.startswith("'") and _FORMULA.match(given) else given
