"""Temporary files that say whose they are, so that those of a killed process can be told from those in use."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = re.compile(r"\.dusnet-(?P<host>[0-9A-Za-z-]+)-(?P<process>\d+)-[0-9A-Za-z_]+(\..*)?")
_FRESH = 60.0
"""Seconds in which the number of a process that lives is believed to be that of the file's owner."""
_TRIES = 5
_cleaned: set[tuple[int, Path]] = set()


@contextmanager
def temporary_file(folder: Path, suffix: str, *, make: bool = False) -> Iterator[Path]:
    """A new file in `folder` that is gone after the block unless it was renamed; locked for as long as it is in use.

    Args:
        folder: where. What killed processes left there is removed, once per process.
        suffix: of the name.
        make: make the folder when it is absent.

    Raises:
        OSError: the file cannot be made.
    """
    handle, name = _made(folder, suffix, make)
    path = Path(name)
    try:
        with suppress(OSError):  # a file system without locks: the number of the process has to do
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)


def _made(folder: Path, suffix: str, make: bool) -> tuple[int, str]:
    for left in reversed(range(_TRIES)):
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        try:
            return tempfile.mkstemp(prefix=f".dusnet-{_host()}-{os.getpid()}-", suffix=suffix, dir=folder)
        except FileNotFoundError:
            if not (make and left):  # another process that only looked removes a folder that it made
                raise
    raise AssertionError("the last try returns or raises")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes of this machine that are gone; looks at a folder once per process."""
    mark = (os.getpid(), folder)
    if mark in _cleaned:
        return
    _cleaned.add(mark)
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if entry.name.startswith(".dusnet-")]
    except OSError:
        return
    for path in found:
        name = _NAME.fullmatch(path.name)
        if name is not None and name["host"] == _host() and _abandoned(path, int(name["process"])):
            with suppress(OSError):
                path.unlink()


def _abandoned(path: Path, process: int) -> bool:
    """Whether nobody writes the file any more.

    A lock ends with its process, also in another container that counts processes anew. Where no lock can be had, and
    in the moment between making a file and locking it, the number of the process decides.
    """
    try:
        age = time.time() - path.stat().st_mtime
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return not _lives(process)
    else:
        return age > _FRESH or not _lives(process)
    finally:
        os.close(handle)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is there, but another user's
        return True
    return True


def _host() -> str:
    """The name of this machine in characters that a file name and the pattern above can hold."""
    return re.sub(r"[^0-9A-Za-z]+", "-", socket.gethostname())[:40].strip("-") or "host"
