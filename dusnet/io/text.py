"""XYZ, TXT, CSV, ASC and PTS: rows of numbers with any usual delimiter, with or without a header line."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.columns import RawCloud, check_names, cloud_from_columns, cut_note
from dusnet.io.decimal_commas import decimal_commas, is_decimal_row, looks_whole
from dusnet.io.files import read_bytes
from dusnet.io.guard import only_bad_input
from dusnet.io.header_names import Axes, find_axes, names_something, without_unit
from dusnet.io.numbers import LONGEST_NUMBER, count_of, is_number, shown

_COMMENT = ("#", "//", "%")
_COMMENTS = 200  # lines right above the numbers that may name the columns
_GRID = "ncols"  # the first word of an ESRI ASCII grid
_QUOTED = re.compile(r'"[^"]*"|\S+')
_LABELS = ("label", "labels", "scalar_label", "gt", "ground_truth", "anomaly", "defect", "mask", "class")
# More unnamed columns than any format of points has; a height map has one for every place along a line.
_UNNAMED_COLUMNS = 20


class _Rows(NamedTuple):
    values: NDArray[np.float64]  # (N, C)
    names: list[str] | None  # of the columns, when a header line has them; those of the coordinates are x, y and z
    notes: list[str]


class _Start(NamedTuple):
    first: int  # index of the first line of numbers
    header: str | None  # a line of text above it
    comments: list[str]  # the last comment lines above it
    announced: int | None  # a count of points above it


def read_text(path: Path, data: bytes) -> RawCloud:
    """Read points from the columns that a header line names as coordinates, without one from the first three columns.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        BadInput: it is not text, has rows that are not at least three numbers, or a header line that does not tell
            which columns are x, y and z.
    """
    rows = _read_rows(path, data)
    if rows.names is not None:
        cloud = cloud_from_columns(path, dict(zip(rows.names, rows.values.T, strict=True)))
        cloud.notes += rows.notes
        return cloud
    extra = rows.values.shape[1] - 3
    if extra:
        rows.notes.append(f"{extra} columns after the first three were ignored")
    return RawCloud(points=np.ascontiguousarray(rows.values[:, :3]), notes=rows.notes)


def read_labelled_points(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Points and their ground truth from a text file whose fourth column says which belong to a defect.

    Args:
        path: rows of `x y z label`, separated by commas, semicolons or white space; the label is a number. With a
            header line the columns are found by their names.

    Returns:
        points (N, 3) float64 in the order of the file, and labels (N,) bool, True where the label is above 0.5. Rows
        of a scanner's empty pixels (see `RawCloud.empty_pixels`) are dropped, as they are from scans.

    Raises:
        BadInput: the file cannot be read, has fewer than four columns or a row that is not finite.
    """
    with only_bad_input(path):
        rows = _read_rows(path, read_bytes(path))
        table = _labelled_columns(path, rows)
        bad = int((~np.isfinite(table).all(axis=1)).sum())
        if bad:
            raise BadInput(f"{path} has {bad} rows with NaN or infinite numbers, which ground truth must not have.")
        cloud = RawCloud(np.ascontiguousarray(table[:, :3]))
        cloud.check_range(path)
        empty = cloud.empty_pixels()
        kept = ~empty if not empty.all() else empty  # a file of nothing else is told by what is done with its points
        return cloud.points[kept], table[kept, 3] > 0.5


def _labelled_columns(path: Path, rows: _Rows) -> NDArray[np.float64]:
    """The columns x, y, z and label, (N, 4)."""
    width = rows.values.shape[1]
    if width < 4:
        raise BadInput(f"{path} has {width} columns, but ground truth needs x, y, z and a label; check the file.")
    if rows.names is None:
        return rows.values[:, :4]
    lower = [name.lower() for name in rows.names]
    others = [place for place, name in enumerate(lower) if name not in ("x", "y", "z")]
    named = [place for place in others if lower[place] in _LABELS]
    if len(named) != 1 and len(others) != 1:
        raise BadInput(f"{path} has no column called label (found: {shown(rows.names)}); name it in the header line.")
    return rows.values[:, [*(lower.index(axis) for axis in "xyz"), (named if len(named) == 1 else others)[0]]]


def _read_rows(path: Path, data: bytes) -> _Rows:
    if b"\0" in data:
        raise BadInput(f"{path} is not text; it is damaged or has the wrong ending, export it again.")
    lines = data.decode("utf-8-sig", errors="replace").splitlines()
    start = _find_start(path, lines)
    delimiter = _delimiter(lines[start.first])
    width = len(_split(lines[start.first], delimiter))
    named = _header(path, start, delimiter, width, lines[start.first])
    body = [row for line in lines[start.first :] if (row := _row(line, delimiter))]
    try:
        if any(len(row) > LONGEST_NUMBER and _has_long_word(row, delimiter) for row in body):
            raise ValueError("number")
        values = np.loadtxt(body, delimiter=delimiter, comments=None, quotechar='"', ndmin=2, dtype=np.float64)
        if values.shape != (len(body), width):
            raise ValueError("rows")
    except ValueError as error:
        raise _bad_row(path, lines, start.first, delimiter, width) from error
    if start.announced is not None and start.announced != len(values):
        raise BadInput(
            f"{path} announces {start.announced} points but holds {len(values)}; it is truncated, export it again."
        )
    if named is not None:
        return _Rows(values, named[0], [*named[1], *cut_note(data)])
    if delimiter == "," and decimal_commas(values, body):
        raise _decimal_commas(path)
    if width > _UNNAMED_COLUMNS:
        raise BadInput(
            f"{path} has {width} columns without names, as height maps have, but a point has only x, y and z; "
            "export the scan as points or name the columns in a header line."
        )
    return _Rows(values, None, cut_note(data))


def _has_long_word(row: str, delimiter: str | None) -> bool:
    return max(map(len, row.split(delimiter))) > LONGEST_NUMBER


def _decimal_commas(path: Path) -> BadInput:
    return BadInput(
        f"{path} seems to have decimal commas between columns that commas or spaces separate; "
        "export it with decimal points, or with semicolons between the columns."
    )


def _bad_row(path: Path, lines: list[str], first: int, delimiter: str | None, width: int) -> BadInput:
    """What is wrong with the first row that is not like the first one."""
    beginning = _split(lines[first], delimiter)
    for number, line in enumerate(lines[first:], start=first + 1):
        words = _split(row, delimiter) if (row := _row(line, delimiter)) else beginning
        if len(words) == width and all(map(is_number, words)):
            continue
        if delimiter == "," and looks_whole(words) and looks_whole(beginning):
            return _decimal_commas(path)
        return BadInput(
            f"{path} has a row that is not {width} numbers like its first one, in line {number}; "
            "it is damaged, export it again."
        )
    return BadInput(f"{path} has a row that is not {width} numbers like its first one; it is damaged, export it again.")


def _row(line: str, delimiter: str | None) -> str:
    """A line as the number parser takes it; nothing where it has no numbers."""
    text = line.strip()
    if text.startswith(_COMMENT):
        return ""
    if delimiter == ";":
        text = text.replace(",", ".")
    return text.rstrip(f"{delimiter} ") if delimiter else text


def _find_start(path: Path, lines: list[str]) -> _Start:
    """The first row of numbers and what stands above it."""
    header: str | None = None
    comments: list[str] = []
    announced: int | None = None
    for i, line in enumerate(lines):
        text = line.strip()
        if not text:
            continue
        if text.startswith(_COMMENT):
            comments.append(text)
            continue
        words = _split(text, _delimiter(text))
        if len(words) >= 3 and all(map(is_number, words)):
            return _Start(i, header, comments[-_COMMENTS:], announced)
        if is_decimal_row(text):
            raise _decimal_commas(path)
        if text.isdecimal() and announced is None:
            announced = _announced(path, text)
            continue
        if text.lower().startswith(_GRID):
            raise BadInput(f"{path} is a height map, not points; export the scan as points with x, y and z.")
        if header is not None:
            break
        header = text
    raise BadInput(f"{path} has no rows of at least three numbers; it is not a point cloud, export it as one.")


def _announced(path: Path, text: str) -> int:
    try:
        return count_of(text)
    except ValueError as error:
        raise BadInput(f"{path} announces an impossible number of points; it is damaged, export it again.") from error


def _header(
    path: Path, start: _Start, delimiter: str | None, width: int, row: str
) -> tuple[list[str], list[str]] | None:
    """The names of the columns and what is to be said of them; None where no line names any."""
    if start.header is not None:
        splits = _header_splits(start.header, delimiter)
        fitting = [names for names in splits if len(names) == width]
        if not fitting:
            if delimiter == "," and looks_whole(_split(row, delimiter)) and width == 2 * len(splits[0]):
                raise _decimal_commas(path)
            raise _other_count(path, splits[0], width)
        if (named := _first_named(path, fitting)) is None:
            raise _not_understood(path, fitting[0])
        return named
    for comment in reversed(start.comments):
        text = comment.lstrip("#/% ")
        splits = _header_splits(text, delimiter)
        fitting = [names for names in splits if len(names) == width]
        if (named := _first_named(path, fitting)) is not None:
            return named
        # Else a comment is prose, unless it is right above the numbers and looks like names.
        listed = delimiter is not None and delimiter in text
        near = comment is start.comments[-1] and width > 3
        if near and fitting and (listed or any(map(names_something, fitting))):
            raise _not_understood(path, fitting[0])
        bare = [without_unit(name).lower() for name in splits[0]]
        if {"x", "y", "z"} <= set(bare) and not (width == 3 and "x y z" in " ".join(bare)):
            raise _other_count(path, splits[0], width)
    return None


def _first_named(path: Path, splits: list[list[str]]) -> tuple[list[str], list[str]] | None:
    for names in splits:
        if (axes := find_axes(path, names)) is not None:
            return _named(path, names, axes)
    return None


def _not_understood(path: Path, names: list[str]) -> BadInput:
    return BadInput(
        f"{path} has a header line that does not tell which columns are coordinates (found: {shown(names)}); "
        "call them x, y and z there."
    )


def _other_count(path: Path, names: list[str], width: int) -> BadInput:
    return BadInput(f"{path} has {len(names)} names in its header line for {width} columns; mend that line.")


def _named(path: Path, names: list[str], axes: Axes) -> tuple[list[str], list[str]]:
    bare = [without_unit(name) for name in names]
    for place, axis in zip(axes.places, "xyz", strict=True):
        bare[place] = axis
    check_names(path, bare)
    notes = [] if axes.plain else [f"x, y and z are the columns {shown([names[place] for place in axes.places])}"]
    return bare, notes


def _header_splits(text: str, delimiter: str | None) -> list[list[str]]:
    """The names in a header line, by what separates them: its own delimiter first, then others that it may use."""
    own = _delimiter(text)
    marks = dict.fromkeys([own, delimiter, "\t", None])
    return [_split_names(text, mark) for mark in marks if mark is None or mark in text]


def _split_names(text: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        # A unit in brackets belongs to the name before it.
        glued = " ".join(text.split()).replace(" [", "[").replace(" (", "(")
        words = _QUOTED.findall(glued)
    else:
        try:
            words = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))
        except (csv.Error, StopIteration):
            words = text.split(delimiter)
    words = [word.strip().strip('"') for word in words]
    return words[:-1] if words and not words[-1] else words


def _delimiter(line: str) -> str | None:
    """What separates the numbers of a line; None is white space."""
    return next((mark for mark in (";", ",") if mark in line), None)


def _split(line: str, delimiter: str | None) -> list[str]:
    words = [word.strip().strip('"') for word in line.strip().split(delimiter)]
    return words[:-1] if words and not words[-1] else words
