"""`dusnet train`: from defect-free scans to a model file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._common import comma_list, if_interrupted, settings_from
from dusnet.cli._options import Config, Device, Layout, Overrides, Quiet, Resume, Seed


def train(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE...",
            show_default=False,
            help="Defect-free scans: files, a folder of scans, a class folder, or the root of a dataset.",
        ),
    ] = None,
    *,
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
    layout: Layout = "auto",
    classes: Annotated[
        str | None, typer.Option("--class", metavar="NAME[,NAME]", help="Only these classes of the dataset.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector",
            metavar="NAME",
            help="The method, instead of the one in the settings; package.module:Class for one of your own.",
        ),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    device: Device = "cpu",
    unit: Annotated[
        str, typer.Option("--unit", help="The unit of the scans, kept in the model: um, mm, cm, m, in or ft.")
    ] = "mm",
    resume: Resume = False,
    one_model: Annotated[
        bool,
        typer.Option(
            "--one-model", help="One model for all classes; the detector must be able to share it (cras, crr)."
        ),
    ] = False,
    cad: Annotated[
        Path | None,
        typer.Option("--cad", metavar="PART", help="Learn from simulated scans of this mesh instead of from scans."),
    ] = None,
    cad_scans: Annotated[
        int | None, typer.Option("--cad-scans", show_default="4", help="How many scans of the mesh to simulate.")
    ] = None,
    cad_variation: Annotated[
        float | None,
        typer.Option(
            "--cad-variation",
            show_default="0.01",
            help="How far good parts will differ smoothly from the mesh, as a fraction of its bounding radius.",
        ),
    ] = None,
    cad_noise: Annotated[
        float | None,
        typer.Option(
            "--cad-noise", show_default="0.001", help="Noise of the scanner, as a fraction of the bounding radius."
        ),
    ] = None,
    cad_points: Annotated[
        int | None, typer.Option("--cad-points", show_default="10000", help="Points of a simulated scan.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Learn what a good part looks like and write a model file.

    With --cad the good scans are simulated, for parts that nobody has made yet; train again when there are real ones.
    Checkpoints are kept beside the model in MODEL.training until it is finished. A dataset with several classes is
    trained class by class into a folder, or with --one-model into one file that tells them apart.
    """
    from dusnet.fitting import Training
    from dusnet.model_files import Sources, Trainer
    from dusnet.progress import for_terminal
    from dusnet.training.processes import is_first

    progress = for_terminal(quiet=quiet or not is_first())
    numbers = {"count": cad_scans, "variation": cad_variation, "noise": cad_noise, "points": cad_points}
    given = Sources(sources or [], layout, comma_list(classes), one_model=one_model)
    simulated = given.simulated(cad, {name: value for name, value in numbers.items() if value is not None}, seed)
    training = Training(
        settings_from(config, overrides, detector, together=one_model), unit, seed, device, resume, progress
    )
    trainer = Trainer(training, one_model=one_model)
    for group in given.work(out, simulated, progress):
        with if_interrupted(partial(trainer.saved, group[0])):
            trainer.run(group)
