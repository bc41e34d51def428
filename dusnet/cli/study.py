"""`dusnet evaluate` and `dusnet bench`: how good, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._common import (
    Config,
    Device,
    Layout,
    Overrides,
    Quiet,
    comma_list,
    if_interrupted,
    settings_from,
)
from dusnet.cli._streams import show
from dusnet.errors import BadConfig

Sizes = Annotated[str, typer.Option("--sizes", metavar="N,N", help="Points per cloud.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("evaluate", epilog="Example: dusnet evaluate bench/ --detector dusnet,nearest --out results")(evaluate)
    bench = typer.Typer(help="Speed on this machine, beside the installed peers.", rich_markup_mode=None)
    bench.command("ops", epilog="Example: dusnet bench ops --sizes 1024,8192")(bench_ops)
    bench.command("score", epilog="Example: dusnet bench score bracket.safetensors --sizes 10000,100000")(bench_score)
    app.add_typer(bench, name="bench")


def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", show_default=False, help="Root of a dataset.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Where tables go.")],
    detectors: Annotated[
        list[str] | None,
        typer.Option(
            "--detector",
            metavar="NAME[,NAME]",
            show_default="that of the settings or the study, unless --together is given",
            help="The methods, with a model per class. May be given again.",
        ),
    ] = None,
    together: Annotated[
        list[str] | None,
        typer.Option(
            "--together",
            metavar="NAME[,NAME]",
            help="Detectors that learn all classes with one model, beside those of --detector. May be given again.",
        ),
    ] = None,
    classes: Annotated[str | None, typer.Option("--classes", metavar="a,b", help="Only these classes.")] = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="NAME|FILE",
            help="Compare variants: table5 to 9, levers, cras, hpi, pbas, or a file.",
        ),
    ] = None,
    layout: Layout = "auto",
    config: Config = None,
    overrides: Overrides = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds; tables show mean and spread.")] = 3,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="So many classes at a time, one process each.")] = 1,
    calibrate: Annotated[
        bool, typer.Option("--calibrate/--no-calibrate", help="Learn thresholds too: false alarms and found.")
    ] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute rows again that DIR already has.")] = False,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train and score detectors on a labelled dataset: one row per class, detector and seed.

    Writes results.json, results.csv and results.md into DIR and prints the table. Finished rows are kept, so the same
    command continues an interrupted run.
    """
    from dusnet.data import open_dataset
    from dusnet.evaluation.contender import Contender, title_of
    from dusnet.evaluation.report import markdown
    from dusnet.evaluation.run import evaluate as run
    from dusnet.evaluation.studies import contenders, load_study
    from dusnet.progress import for_terminal

    variants = None if study is None else load_study(study)
    shared, alone = _names(together or ()), _names(detectors or ())
    if not (alone or shared):
        alone = [(variants and variants.detector) or settings_from(config, overrides).detector]
    if variants is None:
        entries = [
            Contender(
                title_of(name, together=one),
                name,
                settings_from(config, overrides, name, beside=[*alone, *shared], together=bool(shared)),
                together=one,
            )
            for names, one in ((alone, False), (shared, True))
            for name in names
        ]
    else:
        entries = contenders(variants, alone, together=shared, config=config, overrides=overrides or ())
    progress = for_terminal(quiet=quiet)
    with if_interrupted(lambda: f"finished rows are in {out}; the same command goes on from there."):
        rows = run(
            open_dataset(dataset, layout),
            entries,
            classes=comma_list(classes) or None,
            seeds=seeds,
            out=out,
            device=device,
            progress=progress,
            resume=not fresh,
            calibrate=calibrate,
            jobs=jobs,
            study=variants,
        )
    show(markdown(rows))
    progress.log(f"wrote {out / 'results.json'}, results.csv and results.md.")


def _names(words: Sequence[str]) -> list[str]:
    """The names in comma-separated lists, each once."""
    return list(dict.fromkeys(name for word in words for name in comma_list(word)))


def bench_ops(
    sizes: Annotated[
        str, typer.Option("--sizes", metavar="N,N|full", help="Points per cloud, or full: the sizes of the docs.")
    ] = "1024,4096,16384",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Counted runs; the table shows their median.")] = 5,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Time the ops beside plain torch and, on the CPU, whatever peers are installed, as ratios."""
    counts = None if sizes == "full" else _counts(sizes)

    from dusnet.evaluation.speed import FULL, as_markdown, as_text, of_size, time_ops
    from dusnet.progress import for_terminal
    from dusnet.training.devices import require_device

    require_device(device)
    clouds = [FULL] if counts is None else [of_size(count) for count in counts]
    timings = time_ops(clouds, device, for_terminal(quiet=quiet), repeats=repeats)
    show(as_markdown(timings) if markdown else as_text(timings))


def bench_score(
    model: Annotated[Path, typer.Argument(metavar="MODEL", show_default=False, help="A file that `train` wrote.")],
    sizes: Sizes = "5000,20000,80000",
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Time scoring: copies of the model's own part with noise, drawn to several sizes."""
    counts = _counts(sizes)

    from dusnet.evaluation.speed import as_text, time_scoring
    from dusnet.progress import for_terminal

    show(as_text(time_scoring(model, counts, device, for_terminal(quiet=quiet))))


def _counts(text: str) -> list[int]:
    words = comma_list(text)
    if not words or not all(word.isdigit() and int(word) >= 64 for word in words):
        raise BadConfig(f"--sizes must be whole numbers from 64 up, separated by commas, got {text!r}.")
    return [int(word) for word in words]
