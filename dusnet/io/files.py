"""Whole files: reading with errors that a user understands, and writing that never leaves a half-written file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dusnet.errors import BadInput
from dusnet.io.leftovers import temporary_file

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place when the block succeeds and vanishes when it fails.

    Args:
        target: the file to write; its folder is made when absent.

    Raises:
        BadInput: the folder or the file cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        with temporary_file(target.parent, target.suffix, make=True) as temporary:
            yield temporary
            _take_place(temporary, target)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise BadInput(
                f"{target} cannot be written ({reason(error)}); make room or choose another disk."
            ) from error
        if temporary is None or error.filename in (str(temporary), temporary):
            raise BadInput(f"{target} cannot be written ({reason(error)}); choose another place.") from error
        raise


def _take_place(temporary: Path, target: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    if target.is_dir():
        raise BadInput(f"{target} is a folder and cannot be replaced by a file; choose another name.")
    temporary.replace(target)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 in place of whatever `path` held."""
    with atomic_path(path) as temporary:
        # A file name in a message need not be UTF-8.
        temporary.write_text(text, encoding="utf-8", errors="replace")


def write_json(path: Path, data: Any) -> None:
    """Write `data` as indented JSON in place of whatever `path` held.

    Args:
        path: the file to write.
        data: anything that the `json` module can write; NaN and infinity are refused, because JSON has neither.
    """
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_bytes(path: Path) -> bytes:
    """The content of a file that must have some.

    Raises:
        BadInput: the file is missing, a folder, empty, or may not be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(f"{path} does not exist; check the path.") from error
    except IsADirectoryError as error:
        raise BadInput(f"{path} is a folder, but a file is needed; name one of the files in it.") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if not data:
        raise BadInput(f"{path} is empty; export the scan again.")
    return data


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits.

    Raises:
        BadInput: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest()


def file_mark(path: Path) -> str:
    """SHA-256 of a file, "none" where there is none: what tells whether another file took its place."""
    return file_sha256(path) if path.is_file() else "none"


def remove_file(path: Path) -> None:
    """Remove a file where there is one.

    Raises:
        BadInput: it cannot be removed.
    """
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise BadInput(f"{path} cannot be replaced ({reason(error)}); choose another place.") from error


def printable(name: str) -> str:
    """A file name as text that can be printed and written: what is not UTF-8 in it becomes a replacement character."""
    return os.fsencode(name).decode("utf-8", "replace")


def unreadable(path: Path, error: OSError) -> BadInput:
    """The error of a file or folder that the system does not let read."""
    return BadInput(f"{path} cannot be read ({reason(error)}); check the path and its permissions.")


def reason(error: OSError) -> str:
    """What the system says of an error, in its words."""
    return error.strerror or type(error).__name__
