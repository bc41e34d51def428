"""Contenders of an evaluation: a detector with its settings, under the name that the tables use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dusnet.detectors import detector_class, read_by, sections_read
from dusnet.errors import BadConfig

if TYPE_CHECKING:
    from dusnet.detectors.settings import Settings
    from dusnet.evaluation.corruption import Corruption


@dataclass(frozen=True)
class Contender:
    """One line of the tables: a detector with its settings, on test scans as they are or made worse.

    Attributes:
        name: what the tables call it; no other contender of an evaluation has it.
        detector: a name of `dusnet.detectors.DETECTORS`, `package.module:Class`, or another name that the evaluation's
            `create` knows.
        settings: what it computes.
        corruption: what is done to its test scans, or None.
        together: whether one model learns all classes, instead of one model each class.
    """

    name: str
    detector: str
    settings: Settings
    corruption: Corruption | None = None
    together: bool = False

    def read(self) -> dict[str, Any]:
        """The sections of the settings that the detector reads, as JSON; all of them where that is not known."""
        try:
            return read_by(self.settings, sections_read(self.detector, together=self.together))
        except BadConfig:
            return self.settings.model_dump(mode="json")

    def weights_digest(self) -> str | None:
        """A hash of files that decide what the detector computes besides the settings."""
        try:
            return detector_class(self.detector).weights_digest(self.settings)
        except BadConfig:
            return None

    def narrowed(self) -> Contender:
        """The same with defaults in the sections that it does not read, so that they cannot decide anything."""
        return replace(self, settings=type(self.settings).model_validate(self.read()))

    def learning(self) -> Contender:
        """What decides what it learns: equal for contenders that differ in name and test scans only."""
        return replace(self, name="", corruption=None)


def title_of(detector: str, *, together: bool) -> str:
    """What the tables call a detector that comes with no name of its own."""
    return f"{detector} (one model)" if together else detector
