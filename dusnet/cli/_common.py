"""What the verbs share: the line between a mistake and a bug, and how their words are read."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dusnet.errors import DusnetError, out_of_memory
from dusnet.terminal import one_line

if TYPE_CHECKING:
    from dusnet.detectors.settings import Settings

# What the surroundings refuse, as opposed to what our code does wrong.
_REFUSALS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.EFBIG,
    errno.EIO,
    errno.ELOOP,
}


class Interrupted(Exception):
    """The user stopped the work; the message says what was saved and how to go on."""


@contextmanager
def if_interrupted(advice: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C inside the block into `Interrupted`.

    Args:
        advice: asked only then for what was saved and how to go on.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {advice()}") from None


def mendable(error: Exception) -> str | None:
    """The sentence to print when the user can mend `error`, None when it is a bug."""
    if isinstance(error, DusnetError):
        return one_line(str(error))
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        where = f" {error.filename}" if error.filename else ""
        return f"cannot use{where}: {error.strerror}; choose another place or free this one."
    if out_of_memory(error):
        return (
            "out of memory; free memory on this machine, or train with lower settings (--set): guide.centers and "
            "grouping.groups of the default detector, also training.down.batch, training.up.batch and "
            "scoring.max_centers with --config paper, features.points of cras, pbas and crr, memory.points and "
            "memory.entries of the detectors with a memory."
        )
    # Typer carries Click inside it under a name that changes between versions; usage errors are told by their shape.
    if hasattr(error, "format_message") and getattr(error, "exit_code", None) == 2:
        context: Any = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "dusnet"
        return one_line(f"{error.format_message().rstrip('.')}; see `{command} --help`.")
    return None


def settings_from(
    config: str | None,
    overrides: Sequence[str] | None,
    detector: str | None = None,
    *,
    beside: Sequence[str] = (),
    together: bool = False,
) -> Settings:
    """The settings that `--config`, `--set` and `--detector` ask for; arguments as for `asked_settings`."""
    from dusnet.detectors import asked_settings

    return asked_settings(config, overrides or (), detector, beside=beside, together=together)


def comma_list(text: str | None) -> list[str]:
    """`"a, b"` -> `["a", "b"]`; None -> []."""
    return [] if text is None else [word.strip() for word in text.split(",") if word.strip()]
