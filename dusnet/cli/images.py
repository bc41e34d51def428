"""`dusnet images`: the image form of the methods in feature space, on datasets that are laid out as MVTec AD."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._common import Device, Overrides, Quiet, Seed, comma_list, if_interrupted
from dusnet.cli._streams import show
from dusnet.errors import BadConfig


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("images", epilog="Example: dusnet images mvtec/ --detector cras --one-model --out results")(images)


def images(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", show_default=False, help="A folder with CLASS/train/good and so on.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Where models and tables go.")
    ],
    methods: Annotated[
        list[str], typer.Option("--detector", metavar="NAME[,NAME]", help="cras, pbas or crr. May be given again.")
    ] = ["cras"],  # noqa: B006  (Typer copies it)
    classes: Annotated[str | None, typer.Option("--classes", metavar="a,b", help="Only these classes.")] = None,
    one_model: Annotated[bool, typer.Option("--one-model", help="One model for all classes (cras, crr).")] = False,
    maps: Annotated[
        bool, typer.Option("--maps", help="Also write a picture of the scores of every test image.")
    ] = False,
    config: Annotated[
        str, typer.Option("--config", metavar="NAME|FILE", help="Settings: a known name or a YAML file.")
    ] = "images",
    overrides: Overrides = None,
    seed: Seed = 0,
    device: Device = "cpu",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training; models that are done are kept.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train cras, pbas or crr on images and judge the test images: the published form, for comparisons with papers.

    Needs torchvision for the frozen network (pip install dusnet[image]). Writes DETECTOR/CLASS.safetensors,
    settings.json, results.json, results.csv and results.md into DIR and prints the table.
    """
    from dusnet.detectors.settings import load_settings
    from dusnet.evaluation.report import markdown
    from dusnet.images import open_images
    from dusnet.images.evaluation import COLUMNS, ImageOptions, evaluate_images
    from dusnet.progress import for_terminal

    settings = load_settings(config, overrides or ())
    found = open_images(dataset, settings.images)
    options = ImageOptions(out, comma_list(classes), one_model, maps, resume, seed, device)
    names = list(dict.fromkeys(name for word in methods for name in comma_list(word)))
    if not names:
        raise BadConfig("--detector names no method; choose cras, pbas or crr.")
    progress = for_terminal(quiet=quiet)
    with if_interrupted(lambda: f"finished rows and models are in {out}; the same command with --resume goes on."):
        rows = evaluate_images(found, names, settings, options, progress=progress)
    show(markdown(rows, COLUMNS))
    progress.log(f"wrote {out / 'results.json'}, results.csv and results.md.")
