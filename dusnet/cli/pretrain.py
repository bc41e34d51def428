"""`dusnet pretrain`: weights from shapes that are no parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.cli._common import comma_list, settings_from
from dusnet.cli._options import Config, Device, Overrides, Quiet, Resume, Seed


def pretrain(
    source: Annotated[Path, typer.Argument(metavar="ARCHIVE", show_default=False, help="ShapeNetPart or PU-Net data.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="WEIGHTS", show_default=False, help="A .safetensors file.")
    ],
    categories: Annotated[
        str | None, typer.Option("--class", metavar="NAME[,NAME]", help="Only these categories of the archive.")
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    device: Device = "cpu",
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Train the paper's networks on a pre-training archive and write weights for the setting training.init."""
    from dusnet.fitting import Training
    from dusnet.model_files import pretrain_on
    from dusnet.progress import for_terminal
    from dusnet.training.processes import is_first

    progress = for_terminal(quiet=quiet or not is_first())
    settings = settings_from(config, overrides, "dusnet_paper")  # the networks that are trained on shapes
    pretrain_on(source, out, Training(settings, "mm", seed, device, resume, progress), comma_list(categories))
