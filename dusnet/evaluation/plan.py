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

Create = Callable[..., "Detector"]


@dataclass(frozen=True)
class Plan:
    """What stays the same for all rows of one call; see `dusnet.evaluation.benchmark.evaluate`."""

    dataset: Dataset
    settings: Mapping[str, Settings]
    out: Path
    device: str
    progress: Progress
    resume: bool
    calibrate: bool
    create: Create
