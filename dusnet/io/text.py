"""XYZ, TXT, CSV, ASC and PTS: rows of numbers with any usual delimiter, with or without a header line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.columns import RawCloud, cloud_from_columns, cut_note
from dusnet.io.files import read_bytes

_COMMENT = ("#", "//", "%")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?|[+-]?nan|[+-]?inf(inity)?", re.IGNORECASE)
_UNIT = re.compile(r"\s*[\[(][^\])]*[\])]$")  # "x [mm]" is x
_PARAVIEW = {"points:0": "x", "points:1": "y", "points:2": "z"}


class _Rows(NamedTuple):
    values: NDArray[np.float64]  # (N, C)
    names: list[str] | None  # of the columns, when a header line has them
    notes: list[str]


def read_text(path: Path, data: bytes) -> RawCloud:
    """Read points from the columns that a header line calls x, y and z, else from the first three columns.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        BadInput: it is not text, or has rows that are not at least three numbers.
    """
    rows = _read_rows(path, data)
    if rows.names is not None and {"x", "y", "z"} <= {name.lower() for name in rows.names}:
        cloud = cloud_from_columns(path, dict(zip(rows.names, rows.values.T, strict=True)))
        cloud.notes += rows.notes
        return cloud
    if rows.names is not None:
        rows.notes.append("the header line does not name x, y and z; the first three columns were taken")
    extra = rows.values.shape[1] - 3
    if extra:
        rows.notes.append(f"{extra} columns after the first three were ignored")
    return RawCloud(points=np.ascontiguousarray(rows.values[:, :3]), notes=rows.notes)


def read_labelled_points(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Points and their ground truth from a text file whose fourth column says which belong to a defect.

    Args:
        path: rows of `x y z label`, separated by commas, semicolons or white space; the label is a number.

    Returns:
        points (N, 3) float64 in the order of the file, and labels (N,) bool, True where the label is above 0.5.

    Raises:
        BadInput: the file cannot be read, has fewer than four columns or a row that is not finite.
    """
    rows = _read_rows(path, read_bytes(path))
    if rows.values.shape[1] < 4:
        raise BadInput(
            f"{path} has {rows.values.shape[1]} columns, but ground truth needs x, y, z and a label; check the file."
        )
    bad = int((~np.isfinite(rows.values[:, :4]).all(axis=1)).sum())
    if bad:
        raise BadInput(f"{path} has {bad} rows with NaN or infinite numbers, which ground truth must not have.")
    return np.ascontiguousarray(rows.values[:, :3]), rows.values[:, 3] > 0.5


def _read_rows(path: Path, data: bytes) -> _Rows:
    if b"\0" in data:
        raise BadInput(f"{path} is not text; it is damaged or has the wrong ending, export it again.")
    lines = data.decode("utf-8-sig", errors="replace").splitlines()
    first, names, announced = _find_first_row(path, lines)
    delimiter = _delimiter(lines[first])
    width = len(_split(lines[first], delimiter))
    body = [row for line in lines[first:] if (row := _row(line, delimiter))]
    try:
        values = np.loadtxt(body, delimiter=delimiter, comments=None, quotechar='"', ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise BadInput(
            f"{path} has a row that is not {width} numbers like its first one; it is damaged, export it again."
        ) from error
    if announced is not None and announced != len(values):
        raise BadInput(
            f"{path} announces {announced} points but holds {len(values)}; it is truncated, export it again."
        )
    if names is not None and len(names) != width:
        raise BadInput(f"{path} has {len(names)} names in its header line for {width} columns; mend that line.")
    return _Rows(values, names, cut_note(data))


def _row(line: str, delimiter: str | None) -> str:
    """A line as the number parser takes it; nothing where it has no numbers."""
    text = line.strip()
    if text.startswith(_COMMENT):
        return ""
    if delimiter == ";":
        text = text.replace(",", ".")
    return text.rstrip(f"{delimiter} ") if delimiter else text


def _find_first_row(path: Path, lines: list[str]) -> tuple[int, list[str] | None, int | None]:
    """The index of the first row of numbers, the names of the columns above it, and a count of points if given."""
    names: list[str] | None = None
    announced: int | None = None
    headers = 0
    for i, line in enumerate(lines):
        text = line.strip()
        if not text:
            continue
        words = _split(text, _delimiter(text))
        if _is_row(words):
            return i, names, announced
        comment = text.startswith(_COMMENT)
        if not comment and len(words) == 1 and text.isdecimal() and announced is None:
            announced = int(text)
            continue
        if not comment:
            headers += 1
        if headers > 1:
            break
        names = _names(text, comment) or names
    raise BadInput(f"{path} has no rows of at least three numbers; it is not a point cloud, export it as one.")


def _names(line: str, comment: bool) -> list[str] | None:
    """The names of columns in a header line; a comment without x, y and z is prose."""
    text = line.lstrip("#/% ")
    words = [_UNIT.sub("", word) for word in _split(text, _delimiter(text))]
    words = [_PARAVIEW.get(word.lower(), word) for word in words]
    return words if not comment or {"x", "y", "z"} <= {word.lower() for word in words} else None


def _delimiter(line: str) -> str | None:
    """What separates the numbers of a line; None is white space."""
    return next((mark for mark in (";", ",") if mark in line), None)


def _split(line: str, delimiter: str | None) -> list[str]:
    words = [word.strip().strip('"') for word in line.strip().split(delimiter)]
    return words[:-1] if words and not words[-1] else words


def _is_row(words: list[str]) -> bool:
    return len(words) >= 3 and all(_NUMBER.fullmatch(word) for word in words)
