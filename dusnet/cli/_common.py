"""What the verbs share: their common options, the line between a mistake and a bug, and small helpers."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dusnet.cli._streams import warn
from dusnet.errors import BadInput, DusnetError, out_of_memory
from dusnet.terminal import one_line

if TYPE_CHECKING:
    from dusnet.detectors.settings import Settings
    from dusnet.io.clouds import Sorted

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
OwnDetector = Annotated[
    str | None,
    typer.Option(
        "--detector",
        metavar="PACKAGE.MODULE:CLASS",
        help="The class of a model of your own detector; a model file never says which code is run.",
    ),
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


def allow_own(detector: str | None) -> None:
    """Let models of a detector of somebody's own be read in this process.

    Raises:
        BadConfig: there is no such class, or it is no detector.
    """
    if detector is not None:
        from dusnet.detectors import detector_class

        detector_class(detector)


def scans_in(paths: Sequence[Path], say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """The scan files that `paths`, files or folders, name; each once, in the order given.

    Results of dusnet are no scans, whatever they are called, and are left out.

    Args:
        paths: what the user named.
        say: is told what was left out.

    Raises:
        BadInput: a path does not exist, a folder holds no scan, or all that was named are results.
    """
    from dusnet.io.clouds import sort_folder
    from dusnet.io.marks import is_result

    found: dict[Path, None] = {}
    results: list[Path] = []
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path} does not exist; name a scan file or a folder of scans.")
        if not path.is_dir():
            if is_result(path):
                results.append(path)
            else:
                found[path] = None
            continue
        inside = sort_folder(path)
        tell_left_out(path, inside, say)
        if not inside.scans:
            raise BadInput(f"{path} holds no scans; name a folder with .ply, .pcd or other cloud files.")
        found.update(dict.fromkeys(inside.scans))
    if not found:
        raise BadInput(f"{results[0]} is a result of dusnet and no scan; name the scan itself.")
    for path in results:
        say(f"{path} is a result of dusnet and no scan; it is left out.")
    return list(found)


def tell_left_out(folder: Path, inside: Sorted, say: Callable[[str], None]) -> None:
    """Name what a folder of scans holds that is not read."""
    for link in inside.broken:
        warn(f"{link} is a link that leads nowhere; it is left out.")
    if inside.others:
        say(f"{folder}: {named(inside.others)} left out, no scans by their names.")
    if inside.results:
        say(f"{folder}: {named(inside.results)} left out, results of dusnet.")


def named(paths: Sequence[Path], most: int = 5) -> str:
    """Names of files for a sentence: the first ones, and how many more, with the verb that belongs to them."""
    names = ", ".join(path.name for path in paths[:most])
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return f"{names}{more} {'is' if len(paths) == 1 else 'are'}"


def comma_list(text: str | None) -> list[str]:
    """`"a, b"` -> `["a", "b"]`; None -> []."""
    return [] if text is None else [word.strip() for word in text.split(",") if word.strip()]


def seconds(duration: float) -> str:
    """A duration for people: `0.35 s`, `42 s`, `3 min 20 s`."""
    if duration < 10:
        return f"{duration:.2g} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{rest} s" if not minutes else f"{minutes} min {rest} s"
