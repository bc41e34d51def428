"""The results of a folder as a whole: all of them read back, and `summary.csv` with one line for each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from dusnet.errors import BadInput
from dusnet.io.files import reason
from dusnet.io.locks import folder_lock
from dusnet.io.marks import FileKind, require_replaceable
from dusnet.io.tables import read_table, table_line, write_table
from dusnet.result import COLUMNS, Result

SUMMARY = "summary.csv"


def stored_results(folder: Path) -> tuple[list[Result], list[str]]:
    """All results of a folder, oldest first, and one sentence per JSON file that is none.

    The time grows with the number of files.

    Raises:
        BadInput: the folder cannot be read.
    """
    found: list[tuple[datetime, int, Result]] = []
    trouble: list[str] = []
    try:
        paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    except OSError as error:
        raise BadInput(f"{folder} cannot be read ({reason(error)}); check its permissions.") from error
    for path in paths:
        try:
            result = Result.read(path)
            found.append((datetime.fromisoformat(result.timestamp), path.stat().st_mtime_ns, result))
        except BadInput as error:
            trouble.append(str(error))
        except OSError:
            continue  # another process replaces it at this moment, and lists it afterwards
    found.sort(key=lambda entry: (entry[0], entry[1], entry[2].stem))
    return [result for _, _, result in found], trouble


def write_summary(folder: Path, results: Iterable[Result]) -> Path:
    """Write `summary.csv`, one line per scan in the order given, atomically; an empty field means "not known".

    A text that a spreadsheet would take for a formula has an apostrophe in front; `read_summary` takes it away.

    Args:
        folder: where to write; made when absent.
        results: of the scans.

    Returns:
        The file.

    Raises:
        BadInput: the file cannot be written, or one of this name was written by others.
    """
    target = folder / SUMMARY
    require_replaceable(target, FileKind.SUMMARY)
    write_table(target, tuple(COLUMNS), (result.row() for result in results))
    return target


class GrowingSummary:
    """A `summary.csv` that one process lengthens by a line per scan, in a time that does not grow with the results.

    It is lengthened only while it is the file that this process left. Whatever else became of it (another process
    wrote it anew, a killed one left half a line) asks for `renew_overview`, which makes it from the results.

    Args:
        folder: of the results.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / SUMMARY
        self._left: tuple[int, int, int] | None = None

    def renewed(self) -> None:
        """Take the file as it is for one that lists all results so far; to be called after it was made anew."""
        self._left = self._state()

    def append(self, result: Result) -> bool:
        """Add the line of a scan that has none, in one write.

        Args:
            result: the newest of the folder, whose files are written.

        Returns:
            Whether it was added; else the overviews have to be renewed.
        """
        line = table_line(tuple(COLUMNS), result.row()).encode("utf-8", "replace")
        with folder_lock(self._folder) as held:
            if not held or self._left is None or self._left != self._state():
                return False
            self._left = None
            try:
                handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
                try:
                    whole = os.write(handle, line) == len(line)
                finally:
                    os.close(handle)
            except OSError:
                return False
            if whole:
                self._left = self._state()
        return whole

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def read_summary(path: Path) -> list[dict[str, str]]:
    """The lines of a `summary.csv` by column, with the names as the scans have them.

    Raises:
        BadInput: the file cannot be read or is no table.
    """
    return read_table(path)
