"""One process of a tiny distributed training; `torchrun` starts several of them.

Arguments: the folder for the results, and `resume` to continue from its checkpoints.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from tiny_training import make_run, source_without_jitter

from dusnet.config import GroupingSettings, LossSettings, StageSettings
from dusnet.detectors.dusnet_paper.down_net import DownNet
from dusnet.detectors.dusnet_paper.noise_gen import NoiseGen
from dusnet.detectors.dusnet_paper.settings import NoiseSettings
from dusnet.detectors.dusnet_paper.stages import DownStage
from dusnet.detectors.settings import Settings
from dusnet.io.tensors import write_tensors
from dusnet.nn.grouping import Support
from dusnet.training.loop import train_stage

STEPS = StageSettings(steps=6, batch=1, learning_rate=0.01, clip=1e9)
SEED = 3


def make_stage() -> DownStage:
    """The same networks and clouds in every process."""
    grouping = GroupingSettings(groups=8, neighbors=6, stride=2)
    cloud = torch.nn.functional.normalize(torch.randn(60, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    widths = {"patch_widths": (8, 8, 8), "width": 8, "layers": 1, "heads": 2, "fourier_octaves": 1}
    settings = Settings.model_validate({"down_net": widths}).down_net
    torch.manual_seed(0)
    noise = NoiseGen(NoiseSettings(alpha=0.1, beta=0.1, coherent=0.1), patch_radius=0.2)
    source = source_without_jitter([Support.of(cloud, grouping)], grouping)
    return DownStage(DownNet(settings, patch_radius=0.2), source, noise, STEPS, LossSettings())


def main(folder: Path, resume: bool) -> None:
    """Train and write what this process ended with."""
    stage = make_stage()
    train_stage(stage, STEPS, make_run(folder / "work", resume=resume, seed=SEED, checkpoint_every=4))
    rank = os.environ.get("RANK", "0")
    write_tensors(folder / f"rank{rank}.safetensors", stage.model.state_dict(), {})


if __name__ == "__main__":
    main(Path(sys.argv[1]), "resume" in sys.argv[2:])
