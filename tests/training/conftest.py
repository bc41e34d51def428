"""Settings and clouds of the tiny trainings."""

from __future__ import annotations

import pytest
import torch

from dusnet.config import GroupingSettings
from dusnet.detectors.dusnet_paper.stages import GroupSource
from dusnet.detectors.settings import Settings
from dusnet.nn.grouping import Support


@pytest.fixture
def settings() -> Settings:
    """Networks of a few thousand weights and a dozen steps per stage."""
    stage = {"steps": 12, "batch": 2, "learning_rate": 0.01}
    return Settings.model_validate(
        {
            "detector": "dusnet_paper",
            "grouping": {"groups": 16, "neighbors": 8, "stride": 2},
            "down_net": {"patch_widths": (8, 8, 8), "width": 8, "layers": 1, "heads": 2, "fourier_octaves": 1},
            "up_net": {"gamma": 2, "neighbors": 4, "widths": (8, 8)},
            "training": {"down": stage, "up": stage, "points": 200, "checkpoint_every": 5},
        }
    )


@pytest.fixture
def supports() -> list[Support]:
    """Two bumpy spheres of 120 points."""
    source = torch.Generator().manual_seed(0)
    clouds = torch.nn.functional.normalize(torch.randn(2, 120, 3, generator=source), dim=-1)
    clouds = clouds * (1 + 0.1 * torch.sin(5 * clouds[..., :1]))
    return [Support.of(cloud, GroupingSettings(groups=16, neighbors=8, stride=2)) for cloud in clouds]


@pytest.fixture
def source(supports: list[Support], settings: Settings) -> GroupSource:
    return GroupSource(supports, settings.grouping, settings.training)
