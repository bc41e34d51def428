"""Tiny trainings that take a second, and ways to interrupt them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from dusnet.config import GroupingSettings, TrainingSettings
from dusnet.detectors.dusnet_paper.stages import GroupSource
from dusnet.detectors.settings import Settings
from dusnet.nn.grouping import Support
from dusnet.progress import Silent
from dusnet.training.loop import Run


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


class Killed(Exception):
    """What a kill looks like from inside."""


class Watch(Silent):
    """A progress that counts steps, keeps messages, and can stop the training after a step.

    Args:
        kill_after: steps of the named task after which `Killed` is raised.
        task: description of the task to kill, None for any.
    """

    def __init__(self, kill_after: int | None = None, task: str | None = None) -> None:
        self.kill_after, self.wanted = kill_after, task
        self.messages: list[str] = []
        self.done: dict[str, int] = {}

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[_Counter]:
        del total
        yield _Counter(self, description)

    def log(self, message: str) -> None:
        self.messages.append(message)


class _Counter:
    def __init__(self, watch: Watch, description: str) -> None:
        self._watch, self._description = watch, description

    def advance(self, steps: int = 1) -> None:
        done = self._watch.done
        done[self._description] = done.get(self._description, 0) + steps
        here = self._watch.wanted in (None, self._description)
        if steps and here and self._watch.kill_after == done[self._description]:
            raise Killed

    def describe(self, text: str) -> None:
        del text


def make_run(workdir: Path | None = None, *, resume: bool = False, **changes: object) -> Run:
    values: dict[str, object] = {
        "device": "cpu",
        "precision": "32-true",
        "seed": 3,
        "fingerprint": "tiny",
        "checkpoint_every": 5,
        "progress": Silent(),
    }
    return Run(workdir=workdir, resume=resume, **{**values, **changes})  # type: ignore[arg-type]


def source_without_jitter(supports: list[Support], grouping: GroupingSettings) -> GroupSource:
    return GroupSource(supports, grouping, TrainingSettings(rotation_deg=0, translation=0))
