"""Weights to start from: both networks trained on many different shapes, each in its own frame (section 3.4)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Frame
from dusnet.detectors.dusnet_paper.networks import Networks
from dusnet.detectors.settings import Settings
from dusnet.errors import BadInput
from dusnet.io.tensors import write_tensors
from dusnet.progress import Progress
from dusnet.training.loop import Run
from dusnet.training.processes import is_first

FORMAT = "dusnet-weights"


def pretrain(
    shapes: Iterable[NDArray[np.floating]],
    settings: Settings,
    out: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    workdir: Path | None = None,
    resume: bool = False,
    progress: Progress,
) -> int:
    """Train on shapes without defects and write weights that `training.init` takes.

    Under `torchrun` every process trains and the first one writes.

    Args:
        shapes: clouds of any scale, (N, 3) each.
        settings: networks and training.
        out: the weights file.
        seed: of all randomness.
        device: where to train.
        workdir: folder for checkpoints and curves.
        resume: continue from the checkpoints in `workdir`.
        progress: where to report.

    Returns:
        The number of shapes.

    Raises:
        BadInput: there is no shape with enough points.
    """
    clouds = [_normalised(shape) for shape in shapes if len(shape) > settings.grouping.groups and np.ptp(shape) > 0]
    if not clouds:
        raise BadInput(
            f"No shape has more than {settings.grouping.groups} points; lower grouping.groups or give denser shapes."
        )
    run = Run.of(
        settings.training,
        settings.model_dump(mode="json"),
        seed,
        [[len(cloud), float(cloud.sum())] for cloud in clouds],
        device=device,
        seed=seed,
        workdir=workdir,
        resume=resume,
        progress=progress,
    )
    networks = Networks.fit(clouds, settings, run)
    if not is_first():
        return len(clouds)
    weights = {f"learned.{name}": value for name, value in networks.tensors().items()}
    write_tensors(out, weights, {"format": FORMAT, "settings": settings.model_dump(mode="json"), "shapes": len(clouds)})
    return len(clouds)


def _normalised(shape: NDArray[np.floating]) -> NDArray[np.float64]:
    points = np.asarray(shape, dtype=np.float64)
    return Frame.of(points).apply(points)
