"""`dusnet train` and `dusnet score`: from defect-free scans to a model file, from a model file to verdicts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._common import (
    Config,
    Device,
    Overrides,
    Quiet,
    Seed,
    if_interrupted,
    settings_from,
)
from dusnet.errors import BadConfig


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("train", epilog="Example: dusnet train good_scans/ --out bracket.safetensors")(train)
    app.command("score", epilog="Example: dusnet score bracket.safetensors new_scan.ply --out results --gate")(score)


def train(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            show_default=False,
            help="Defect-free scans: files, a folder of scans, a class folder, or the root of a dataset.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="MODEL",
            show_default=False,
            help="A .safetensors file for one class; any other name is a folder that gets CLASS.safetensors per class.",
        ),
    ],
    layout: Annotated[
        str, typer.Option("--layout", help="auto, anomaly_shapenet, real3d_ad, folder, or shapes to pre-train.")
    ] = "auto",
    classes: Annotated[
        str | None, typer.Option("--class", metavar="NAME[,NAME]", help="Only these classes of the dataset.")
    ] = None,
    detector: Annotated[
        str | None, typer.Option("--detector", metavar="NAME", help="The method, instead of the one in the settings.")
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    device: Device = "cpu",
    unit: Annotated[
        str, typer.Option("--unit", help="The unit of the scans, kept in the model: um, mm, cm, m, in or ft.")
    ] = "mm",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training; models that are done are kept.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Learn what a good part looks like and write a model file.

    With --layout shapes the source is a pre-training archive (ShapeNetPart, PU-Net) and the result are weights for
    training.init. Checkpoints are kept beside the model in MODEL.training until it is finished. A dataset with several
    classes is trained class by class into a folder.
    """
    from dusnet.cli._train import Trainer, read_classes
    from dusnet.progress import for_terminal
    from dusnet.training.processes import is_first

    progress = for_terminal(quiet=quiet or not is_first())
    settings = settings_from(config, overrides, detector)
    if layout == "shapes":
        from dusnet.cli._train import pretrain_on

        if len(sources) != 1:
            raise BadConfig("--layout shapes takes one folder or file; name the archive.")
        pretrain_on(
            sources[0], out, settings, wanted=classes, seed=seed, device=device, resume=resume, progress=progress
        )
        return
    trainer = Trainer(settings, seed=seed, device=device, unit=unit, resume=resume, progress=progress)
    work = read_classes(sources, out, layout, classes)
    for entry in work:
        with if_interrupted(partial(trainer.saved, entry)):
            trainer.run(entry)


def score(
    model: Annotated[Path, typer.Argument(metavar="MODEL", show_default=False, help="A file that `train` wrote.")],
    scans: Annotated[
        list[Path], typer.Argument(metavar="SCAN...", show_default=False, help="Scan files, or folders of them.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Where results go.")],
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Call a scan anomalous above this object score.")
    ] = None,
    false_alarm: Annotated[
        float | None,
        typer.Option(
            "--false-alarm",
            help="Put the threshold where this share of good parts would be called anomalous.",
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Answer by exit code: 0 all normal, 1 some anomalous, 2 not decided."),
    ] = False,
    report: Annotated[
        bool,
        typer.Option("--report", help="Also write a page STEM.report.html for every scan, and index.html for all."),
    ] = False,
    png: Annotated[bool, typer.Option("--png", help="Also write a picture STEM.png of every scan.")] = False,
    unit: Annotated[
        str | None,
        typer.Option("--unit", help="The unit of the scans when it is not that of training: um, mm, cm, m, in or ft."),
    ] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Score scans: where they differ from a good part, how much, and whether that is too much.

    Writes STEM.json and STEM.scored.ply per scan and summary.csv for all into DIR, and one line per scan to standard
    output. A scan that cannot be used is reported and the others are still scored; the exit code is then 2.
    """
    from dusnet.cli._score import Choices, Scorer, exit_code
    from dusnet.progress import for_terminal

    choices = Choices(out, threshold, false_alarm, pictures=png, unit=unit, report=report)
    scorer = Scorer(model, choices, device=device, progress=for_terminal(quiet=quiet))
    with if_interrupted(scorer.saved):
        outcome = scorer.run(scans)
    for failure in outcome.failures:
        typer.echo(f"dusnet: {failure}", err=True)
    raise typer.Exit(exit_code(outcome, gate=gate))
