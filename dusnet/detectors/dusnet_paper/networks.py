"""The pair of networks of one class: built from measurements of its clouds, trained in two stages, stored together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dusnet import ops
from dusnet.detectors.dusnet_paper.down_net import DownNet
from dusnet.detectors.dusnet_paper.noise_gen import NoiseGen
from dusnet.detectors.dusnet_paper.stages import DownStage, GroupSource, UpStage
from dusnet.detectors.settings import Settings
from dusnet.errors import BadModel
from dusnet.geometry.spacing import neighbor_spacing, wall_thickness
from dusnet.io import stored
from dusnet.io.tensors import read_tensors, under
from dusnet.nn.grouping import THINNINGS, Support, supports_of
from dusnet.nn.up_net import UpNet
from dusnet.training.loop import Run, train_stage


@dataclass(frozen=True)
class TrainingLengths:
    """Lengths of the training clouds, in the frame.

    Attributes:
        cell: edge of the grid that thins every cloud to one density.
        patch_radius: mean distance of a neighbour to its centre.
        wall: wall thickness that nine tenths of the surface exceed.
        spacing: mean distance of a group centre to the nearest other one.
    """

    cell: float
    patch_radius: float
    wall: float
    spacing: float


def measure(supports: Sequence[Support], cell: float, settings: Settings) -> TrainingLengths:
    """The lengths that the networks are built with, from the supports that `supports_of` made."""
    spacings = []
    for support in supports[::THINNINGS]:
        count = min(settings.grouping.groups, len(support.points))
        index = ops.farthest_point_sample(support.points.unsqueeze(0), count)[0]
        spacings.append(neighbor_spacing(support.points[index]))
    return TrainingLengths(
        cell=cell,
        patch_radius=float(np.mean([support.patch_radius for support in supports])),
        wall=min(wall_thickness(one.points, one.normals) for one in supports[::THINNINGS]),
        spacing=float(np.mean(spacings)),
    )


class Networks:
    """Down-Net, Up-Net and Noise-Gen.

    Args:
        settings: their shapes and how they are trained.
        measured: lengths of the training clouds.
        seed: of the initial weights.

    Attributes:
        down: the Down-Net.
        up: the Up-Net.
        noise: the Noise-Gen.
    """

    def __init__(self, settings: Settings, measured: TrainingLengths, *, seed: int) -> None:
        self.settings, self.measured = settings, measured
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.down = DownNet(settings.down_net, patch_radius=measured.patch_radius)
            self.up = UpNet(settings.up_net, spacing=measured.spacing)
        self.noise = NoiseGen(settings.noise, patch_radius=measured.patch_radius, coherent_limit=measured.wall / 2)
        if settings.training.init is not None:
            self._start_from(settings.training.init)

    @classmethod
    def fit(cls, clouds: Sequence[NDArray[np.float64]], settings: Settings, run: Run) -> Networks:
        """Build networks for clouds of one class and train both stages.

        Args:
            clouds: in the frame, (N, 3) each.
            settings: everything about the networks and their training.
            run: device, seed, checkpoints and progress.
        """
        supports, cell = supports_of(clouds, settings.grouping, settings.training.points, seed=run.seed)
        fewest = min(len(support.points) for support in supports)
        if fewest < settings.grouping.groups:
            run.progress.log(
                f"grouping.groups is {settings.grouping.groups} but a training scan has {fewest} points; "
                f"{fewest} groups are used."
            )
        networks = cls(settings, measure(supports, cell, settings), seed=run.seed)
        networks.train(GroupSource(supports, settings.grouping, settings.training), run)
        return networks

    def train(self, source: GroupSource, run: Run) -> None:
        """Stage 1, then stage 2 with the Down-Net frozen."""
        settings, training = self.settings, self.settings.training
        train_stage(DownStage(self.down, source, self.noise, training.down, settings.loss), training.down, run)
        stage = UpStage(self.up, self.down, source, self.noise, training.up, settings.loss)
        train_stage(stage, training.up, run)

    def tensors(self) -> dict[str, Tensor]:
        """Weights of both networks, by name."""
        tensors = {f"down.{name}": value for name, value in self.down.state_dict().items()}
        return tensors | {f"up.{name}": value for name, value in self.up.state_dict().items()}

    def metadata(self) -> dict[str, Any]:
        """The measured lengths as JSON."""
        return asdict(self.measured)

    @classmethod
    def restore(cls, settings: Settings, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> Networks:
        """The inverse of `tensors` and `metadata`."""
        trained = settings.model_copy(update={"training": settings.training.model_copy(update={"init": None})})
        measured = TrainingLengths(**{name: stored.length(value, name) for name, value in metadata.items()})
        builds: dict[str, Callable[[], nn.Module]] = {
            "down": lambda: DownNet(settings.down_net, patch_radius=measured.patch_radius),
            "up": lambda: UpNet(settings.up_net, spacing=measured.spacing),
        }
        for prefix, build in builds.items():
            stored.require_network(build, under(prefix, tensors), f"{prefix} network")
        networks = cls(trained, measured, seed=0)
        for prefix, network in (("down", networks.down), ("up", networks.up)):
            network.load_state_dict(under(prefix, tensors))
        return networks

    def _start_from(self, path: Path) -> None:
        tensors, _ = read_tensors(path)
        for prefix, network in (("learned.down", self.down), ("learned.up", self.up)):
            own = network.state_dict()
            measured = {name: own[name] for name, _ in network.named_buffers() if name in own}
            try:
                network.load_state_dict(under(prefix, tensors) | measured)
            except RuntimeError as error:
                raise BadModel(
                    f"{path} holds no networks of this shape; use the down_net and up_net settings that it was "
                    "trained with."
                ) from error
