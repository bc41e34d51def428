"""What an evaluation consists of: who competes, on what, where the results go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dusnet.progress import Progress

if TYPE_CHECKING:
    from dusnet.config import Settings
    from dusnet.data import Dataset
    from dusnet.detectors.base import Detector
    from dusnet.evaluation.corruption import Corruption
    from dusnet.evaluation.studies import Study

Create = Callable[..., "Detector"]


@dataclass(frozen=True)
class Contender:
    """One line of the tables: a detector with its settings, on test scans as they are or made worse.

    Attributes:
        name: what the tables call it; no other contender of an evaluation has it.
        detector: a name of `dusnet.detectors.DETECTORS`.
        settings: what it computes.
        corruption: what is done to its test scans, or None.
    """

    name: str
    detector: str
    settings: Settings
    corruption: Corruption | None = None


@dataclass(frozen=True)
class Unit:
    """What is evaluated in one go, by all contenders, so that they can share registrations."""

    class_name: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """What stays the same for all rows of one call; see `dusnet.evaluation.benchmark.evaluate`."""

    dataset: Dataset
    contenders: Mapping[str, Contender]
    out: Path
    device: str
    progress: Progress
    resume: bool
    calibrate: bool
    create: Create
    study: Study | None = None
