"""`dusnet synth`: a labelled dataset of parts, defects and a virtual scanner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dusnet.cli._common import comma_list, if_interrupted
from dusnet.cli._options import Quiet, Seed
from dusnet.errors import BadConfig

if TYPE_CHECKING:
    from dusnet.synthesis.settings import BenchmarkSettings


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
        Literal["anomaly_shapenet", "real3d_ad"], typer.Option("--layout", help="How the dataset is laid out.")
    ] = "anomaly_shapenet",
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
            "missing, even, view, pose, amplitude. May be given again.",
        ),
    ] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Make a labelled dataset: parts, defects and a virtual scanner. Equal settings give equal files."""
    from dusnet.io.places import require_folder
    from dusnet.progress import for_terminal
    from dusnet.synthesis.benchmark import write_benchmark

    given: dict[str, Any] = {"layout": layout, "seed": seed, "meshes": tuple(meshes or ())}
    if parts is not None or meshes:
        given["parts"] = tuple(comma_list(parts))
    given |= {name: value for name, value in (("variation", variation), ("jitter", jitter)) if value is not None}
    settings = _settings(given, overrides or ())
    require_folder(out, option="OUT")
    progress = for_terminal(quiet=quiet)
    with if_interrupted(lambda: f"{out} is incomplete; give the same command again."):
        write_benchmark(out, settings, progress=progress)
    progress.log(f"wrote {out}; train on it with `dusnet train {out} --out models`.")


def _settings(given: dict[str, Any], overrides: Sequence[str]) -> BenchmarkSettings:
    """Settings of the benchmark from the options of the command.

    Args:
        given: values by name.
        overrides: `key=value`, the value is read as YAML; wins over everything else.

    Raises:
        BadConfig: a key is unknown or a value is out of range.
    """
    import difflib

    from pydantic import ValidationError

    from dusnet.config import BadYaml, parse_yaml, shown
    from dusnet.synthesis.settings import BenchmarkSettings

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
        return BenchmarkSettings(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "the benchmark"
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, BenchmarkSettings.model_fields, n=1, cutoff=0.0)
            raise BadConfig(f"there is no benchmark setting {key!r}; did you mean {near[0]!r}?") from error
        value = shown(problem["input"])
        raise BadConfig(f"{key} of the benchmark cannot be {value}: {problem['msg']}; give another value.") from error
