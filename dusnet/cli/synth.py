"""`dusnet synth`: a labelled dataset of parts, defects and a virtual scanner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from dusnet.cli._common import comma_list, if_interrupted
from dusnet.cli._options import Quiet, Seed
from dusnet.errors import BadConfig

if TYPE_CHECKING:
    from dusnet.config import Section
    from dusnet.progress import Progress

SettingsClass = TypeVar("SettingsClass", bound="Section")


def synth(
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False, help="Folder of the new dataset.")],
    parts: Annotated[
        str | None,
        typer.Option(
            "--parts", metavar="a,b|all", help="Which embedded parts; a handful without it, none with --mesh."
        ),
    ] = None,
    meshes: Annotated[
        list[Path] | None, typer.Option("--mesh", metavar="FILE", help="A mesh of your own. May be given again.")
    ] = None,
    layout: Annotated[
        Literal["anomaly_shapenet", "real3d_ad"] | None,
        typer.Option("--layout", help="How the dataset is laid out; without it anomaly_shapenet."),
    ] = None,
    like: Annotated[
        Literal["anomaly_shapenet", "real3d_ad"] | None,
        typer.Option("--like", help="Classes, scans and defects with the statistics of an archive, in its layout."),
    ] = None,
    half: Annotated[
        Literal["development", "reported", "both"] | None,
        typer.Option("--half", help="With --like: which half of the classes; without it both."),
    ] = None,
    size: Annotated[
        Literal["full", "small"] | None,
        typer.Option("--size", help="With --like: as large as the archive (full), or a small copy; without it full."),
    ] = None,
    variation: Annotated[
        float | None,
        typer.Option("--variation", help="How far good parts differ smoothly, as a fraction of the bounding radius."),
    ] = None,
    jitter: Annotated[
        float | None,
        typer.Option("--jitter", help="How far the main dimensions of embedded parts vary, as a fraction of each."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other setting: points, train, good, per_kind, kinds, noise, outliers, "
            "missing, even, view, pose, amplitude; with --like those of the archive. May be given again.",
        ),
    ] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Make a labelled dataset: parts, defects and a virtual scanner. Equal settings give equal files."""
    from dusnet.io.places import require_folder
    from dusnet.progress import for_terminal

    given: dict[str, Any] = {"seed": seed, "meshes": tuple(meshes or ())}
    given |= {name: value for name, value in (("variation", variation), ("jitter", jitter)) if value is not None}
    if like is None:
        if half is not None or size is not None:
            raise BadConfig("--half and --size are sizes of a dataset like an archive; add --like or leave them out.")
        if parts is not None or meshes:
            given["parts"] = tuple(comma_list(parts))
        write = _benchmark(out, {**given, "layout": layout or "anomaly_shapenet"}, overrides or ())
    else:
        if parts is not None:
            raise BadConfig("--like has its own classes; leave --parts out (--mesh adds classes, --half halves them).")
        if layout not in (None, like):
            raise BadConfig(f"--like {like} is laid out like {like}; leave --layout {layout} out.")
        write = _likeness(out, {**given, "half": half or "both"}, overrides or (), like=like, size=size or "full")
    require_folder(out, option="OUT")
    progress = for_terminal(quiet=quiet)
    with if_interrupted(lambda: f"{out} is incomplete; give the same command again."):
        write(progress)
    progress.log(f"wrote {out}; train on it with `dusnet train {out} --out models`.")


def _benchmark(out: Path, given: dict[str, Any], overrides: Sequence[str]) -> Callable[[Progress], Path]:
    """What writes the embedded benchmark."""
    from dusnet.synthesis.benchmark import BenchmarkSettings, write_benchmark

    settings = _settings(BenchmarkSettings, given, overrides)
    return lambda progress: write_benchmark(out, settings, progress=progress)


def _likeness(
    out: Path,
    given: dict[str, Any],
    overrides: Sequence[str],
    *,
    like: Literal["anomaly_shapenet", "real3d_ad"],
    size: Literal["full", "small"],
) -> Callable[[Progress], Path]:
    """What writes a dataset like an archive."""
    from dusnet.synthesis.likeness.registry import LIKENESSES
    from dusnet.synthesis.writer import write_dataset

    likeness = LIKENESSES[like]
    for name in ("variation", "jitter"):
        if name in given and name not in likeness.settings.model_fields and given.pop(name) != 0.0:
            raise BadConfig(f"good parts of --like {like} are all alike; leave --{name} out or give 0.")
    settings = _settings(likeness.settings, {**likeness.defaults(size), **given}, overrides)
    plan = likeness.plan(settings)
    return lambda progress: write_dataset(out, plan, progress=progress)


def _settings(kind: type[SettingsClass], given: dict[str, Any], overrides: Sequence[str]) -> SettingsClass:
    """Settings of a dataset from the options of the command.

    Args:
        kind: class of the settings.
        given: values by name.
        overrides: `key=value`, the value is read as YAML; wins over everything else.

    Raises:
        BadConfig: a key is unknown or a value is out of range.
    """
    import difflib

    from pydantic import ValidationError

    from dusnet.config import BadYaml, parse_yaml, shown

    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise BadConfig(f"--set {override!r} is not of the form key=value, for example points=5000.")
        try:
            value = parse_yaml(text)
        except BadYaml as error:
            raise BadConfig(f"the value in --set {shown(override)} {error}.") from error
        # One word for a list of words is what people write.
        given[key.strip()] = comma_list(value) if key.strip() == "kinds" and isinstance(value, str) else value
    try:
        return kind(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        if not problem["loc"]:  # settings that do not go together; the message is ours
            raise BadConfig(f"{problem['msg'].removeprefix('Value error, ')}.") from error
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, kind.model_fields, n=1, cutoff=0.0)
            raise BadConfig(f"there is no benchmark setting {key!r}; did you mean {near[0]!r}?") from error
        value = shown(problem["input"])
        raise BadConfig(f"{key} of the benchmark cannot be {value}: {problem['msg']}; give another value.") from error
