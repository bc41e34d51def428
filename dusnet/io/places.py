"""Whether results can be written, found out before the work by writing: permissions alone do not tell."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dusnet.errors import BadConfig
from dusnet.io.files import reason
from dusnet.io.leftovers import temporary_file

_TRIES, _PAUSE = 10, 0.02


def require_folder(folder: Path, names: Iterable[str] = (), *, option: str = "--out") -> None:
    """Refuse a folder in which files could not be written; leaves nothing behind.

    Args:
        folder: it need not exist, and neither do the folders above it.
        names: of files that will be written there.
        option: what the user gave it with, for the message.

    Raises:
        BadConfig: a file is in the way, the folder may not be written, the disk is full, or a name is too long.
    """
    names = list(names)
    for left in reversed(range(_TRIES)):
        try:
            _probe(folder, names, option)
        except (FileExistsError, FileNotFoundError) as error:
            if left:  # another process looks at the same place, makes its folders and removes them
                time.sleep(_PAUSE)
                continue
            raise _refusal(folder, option, error) from error
        except OSError as error:
            raise _refusal(folder, option, error) from error
        return


def _refusal(folder: Path, option: str, error: OSError) -> BadConfig:
    return BadConfig(f"{option} {folder} cannot be written ({reason(error)}); choose another place.")


def _probe(folder: Path, names: Iterable[str], option: str) -> None:
    """Write into a folder, and remove what was made.

    Raises:
        BadConfig: a file is in the way.
        OSError: it cannot be written.
    """
    made: list[Path] = []
    try:
        for place in reversed((folder, *folder.parents)):
            if place.is_dir():
                continue
            try:
                place.mkdir()
            except FileExistsError:
                if place.is_dir():
                    continue
                if not os.path.lexists(place):
                    raise  # another process has removed it
                what = "is a file" if place.exists() else "is a link that leads nowhere"
                which = f"{option} {folder}" if place == folder else f"{option} {folder} cannot be written: {place}"
                raise BadConfig(f"{which} {what} and no folder; choose another place.") from None
            made.append(place)
        with temporary_file(folder, ".probe") as probe:
            probe.write_bytes(bytes(4096))
        for name in names:
            with suppress(FileNotFoundError):
                (folder / name).lstat()  # says when the name is too long
    finally:
        for place in reversed(made):
            with suppress(OSError):
                place.rmdir()


def require_file(path: Path, *, option: str = "--out") -> None:
    """Refuse a file that could not be written; leaves nothing behind.

    Raises:
        BadConfig: as for `require_folder`.
    """
    require_folder(path.parent, [path.name], option=option)
