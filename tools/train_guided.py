"""Make the weights of the guided networks that the package brings, from random solids.

Example:
    python tools/train_guided.py --out guided.safetensors --workdir course --jobs 2
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dusnet.detectors.dusnet.pretraining import SOLIDS, train_guided
from dusnet.detectors.settings import load_settings
from dusnet.progress import for_terminal


def make_weights(
    out: Annotated[Path, typer.Option("--out", help="The weights file.")],
    workdir: Annotated[Path, typer.Option("--workdir", help="Lessons and checkpoints; run again to go on.")],
    config: Annotated[str, typer.Option("--config", help="Name of a configuration, or a YAML file.")] = "course",
    solids: Annotated[int, typer.Option("--solids", min=1, help="How many random solids.")] = SOLIDS,
    seed: Annotated[int, typer.Option("--seed", help="Of all randomness.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes that make lessons.")] = 1,
) -> None:
    """Make lessons, train the guided Down-Net and Up-Net, and write their weights."""
    train_guided(
        load_settings(config),
        out,
        workdir,
        seed=seed,
        solids=solids,
        device=device,
        jobs=jobs,
        progress=for_terminal(quiet=False),
    )


if __name__ == "__main__":
    typer.run(make_weights)
