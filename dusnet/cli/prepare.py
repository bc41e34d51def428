"""`dusnet demo`, `dusnet synth` and `dusnet check`: data that is made, and data that is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dusnet.cli._common import Layout, Quiet, Seed, if_interrupted
from dusnet.cli._streams import show


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("demo", epilog="Example: dusnet demo --out demo")(demo)
    app.command("synth", epilog="Example: dusnet synth bench --parts bottle,gear --set points=5000 --seed 1")(synth)
    app.command("check", epilog="Example: dusnet check scans/")(check)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where everything goes.")] = Path("demo"),
    budget: Annotated[
        Literal["short", "full"], typer.Option("--budget", help="short: fewer parts and training steps, same code.")
    ] = "full",
    quiet: Quiet = False,
) -> None:
    """The main job on embedded data: make parts and defects, train, score, print a table, draw pictures.

    Compares `dusnet` with the distance to the nearest training scan. A second run reuses what is there.
    """
    from dusnet.demo import run
    from dusnet.progress import for_terminal

    with if_interrupted(lambda: f"what is finished is in {out}; the same command goes on from there."):
        show(run(out, budget=budget, progress=for_terminal(quiet=quiet)))


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
    from dusnet.cli._synth import benchmark_settings
    from dusnet.io.places import require_folder
    from dusnet.progress import for_terminal
    from dusnet.synthesis.benchmark import write_benchmark

    settings = benchmark_settings(
        parts, meshes or [], layout, seed, overrides or [], variation=variation, jitter=jitter
    )
    require_folder(out, option="OUT")
    progress = for_terminal(quiet=quiet)
    with if_interrupted(lambda: f"{out} is incomplete; give the same command again."):
        write_benchmark(out, settings, progress=progress)
    progress.log(f"wrote {out}; train on it with `dusnet train {out} --out models`.")


def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", show_default=False, help="A scan, a folder or a dataset.")],
    layout: Layout = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Say what a scan or a dataset holds, and what is wrong with it; exit code 2 when something cannot be used."""
    import json

    from dusnet.cli._check import check_folder, check_scan
    from dusnet.errors import BadInput
    from dusnet.progress import for_terminal

    found = check_folder(path, layout, for_terminal(quiet=quiet)) if path.is_dir() else check_scan(path)
    page = json.dumps(found.data, indent=2) if as_json else found.text
    if page:
        show(page)
    if found.problem is not None:
        raise BadInput(found.problem)
