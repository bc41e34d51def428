"""Whether results can be written, found out before the work by writing: permissions alone do not tell."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dusnet.errors import BadConfig
from dusnet.io.files import reason
from dusnet.io.leftovers import temporary_file


def require_folder(folder: Path, names: Iterable[str] = (), *, option: str = "--out") -> None:
    """Refuse a folder in which files could not be written; leaves nothing behind.

    Args:
        folder: it need not exist, and neither do the folders above it.
        names: of files that will be written there.
        option: what the user gave it with, for the message.

    Raises:
        BadConfig: a file is in the way, the folder may not be written, the disk is full, or a name is too long.
    """
    made: list[Path] = []
    try:
        for place in reversed((folder, *folder.parents)):
            if place.is_dir():
                continue
            if place.exists() or place.is_symlink():
                what = "is a file" if place.exists() else "is a link that leads nowhere"
                which = f"{option} {folder}" if place == folder else f"{option} {folder} cannot be written: {place}"
                raise BadConfig(f"{which} {what} and no folder; choose another place.")
            place.mkdir()
            made.append(place)
        with temporary_file(folder, ".probe") as probe:
            probe.write_bytes(bytes(4096))
        for name in names:
            with suppress(FileNotFoundError):
                (folder / name).lstat()  # says when the name is too long
    except OSError as error:
        raise BadConfig(f"{option} {folder} cannot be written ({reason(error)}); choose another place.") from error
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
