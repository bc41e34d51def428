"""What an evaluation consists of: who competes, on what, where the results go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    def read(self) -> dict[str, Any]:
        """The sections of the settings that the detector reads, as JSON; all of them where that is not known."""
        from dusnet.detectors import DETECTORS

        known = DETECTORS.get(self.detector)
        return self.settings.model_dump(mode="json", include=None if known is None else set(known.reads))

    def brought(self) -> str | None:
        """A hash of files that decide what the detector computes besides the settings."""
        from dusnet.detectors import DETECTORS

        known = DETECTORS.get(self.detector)
        return None if known is None else known.brought(self.settings)

    def narrowed(self) -> Contender:
        """The same with defaults in the sections that it does not read, so that they cannot decide anything."""
        return replace(self, settings=type(self.settings).model_validate(self.read()))


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
