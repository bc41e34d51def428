"""What the verbs share: their common options, the line between a mistake and a bug, and small helpers."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dusnet.errors import BadInput, DusnetError, out_of_memory
from dusnet.io.files import printable

if TYPE_CHECKING:
    from dusnet.config import Settings

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on standard error unless something is wrong.")]
Device = Annotated[str, typer.Option("--device", help="Where to compute: cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Fixes everything that is random.")]
Config = Annotated[
    str | None,
    typer.Option("--config", metavar="NAME|FILE", help="Settings: a known name or a YAML file."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.SUB=VALUE",
        help="Change one setting; may be given again.",
    ),
]
Layout = Annotated[str, typer.Option("--layout", help="auto, anomaly_shapenet, real3d_ad or folder.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", show_default=False, help="A file that `train` wrote.")]
Scans = Annotated[
    list[Path], typer.Argument(metavar="SCAN...", show_default=False, help="Scan files, or folders of them.")
]
OtherUnit = Annotated[
    str | None,
    typer.Option("--unit", help="The unit of the scans when it is not that of training: um, mm, cm, m, in or ft."),
]
Png = Annotated[bool, typer.Option("--png", help="Also write a picture STEM.png of every scan.")]
Pages = Annotated[
    bool, typer.Option("--report", help="Also write a page STEM.report.html for every scan, and index.html for all.")
]

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


def one_line(text: str) -> str:
    """`text` without line breaks, runs of blanks and what cannot be printed."""
    return " ".join(printable(text).split())


def settings_from(config: str | None, overrides: Sequence[str] | None, detector: str | None = None) -> Settings:
    """The settings that `--config`, `--set` and `--detector` ask for."""
    from dusnet.config import load_settings

    words = list(overrides or ())
    if detector is not None:
        words.append(f"detector={detector}")
    return load_settings(config, words)


def scans_in(paths: Sequence[Path]) -> list[Path]:
    """The scan files that `paths`, files or folders, name; each once, in the order given.

    Raises:
        BadInput: a path does not exist or a folder holds no scan.
    """
    from dusnet.io import find_clouds

    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path} does not exist; name a scan file or a folder of scans.")
        if path.is_dir():
            inside = [
                scan for scan in find_clouds(path) if not scan.name.endswith((".scored.ply", ".reconstruction.ply"))
            ]
            if not inside:
                raise BadInput(f"{path} holds no scans; name a folder with .ply, .pcd or other cloud files.")
            found.update(dict.fromkeys(inside))
        else:
            found[path] = None
    return list(found)


def comma_list(text: str | None) -> list[str]:
    """`"a, b"` -> `["a", "b"]`; None -> []."""
    return [] if text is None else [word.strip() for word in text.split(",") if word.strip()]


def seconds(duration: float) -> str:
    """A duration for people: `0.35 s`, `42 s`, `3 min 20 s`."""
    if duration < 10:
        return f"{duration:.2g} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{rest} s" if not minutes else f"{minutes} min {rest} s"
