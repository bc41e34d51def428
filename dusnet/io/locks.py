"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 60.0
_PAUSE = 0.02


@contextmanager
def folder_lock(folder: Path) -> Iterator[bool]:
    """Wait until no other process is in this block for the same folder; leaves no file there.

    A process that dies gives its lock back. Where the file system has no locks, or another process holds one for more
    than a minute, the block runs without it.

    Args:
        folder: it must exist.

    Yields:
        Whether the lock is held.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        yield _locked(handle)
    finally:
        os.close(handle)


@contextmanager
def sole_process(path: Path) -> Iterator[bool]:
    """Keep other processes out of this block for the same file; a process that dies gives its lock back.

    Args:
        path: an empty file that stays; made when absent, its folder must exist.

    Yields:
        Whether this process is the only one; also where the file system has no locks.

    Raises:
        OSError: the file cannot be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        alone = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alone = False
        except OSError:
            pass
        yield alone
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(_PAUSE)
        except OSError:
            return False
        else:
            return True
