"""Contenders of an evaluation: a detector with its settings, under the name that the tables use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def learning(self) -> Contender:
        """What decides what it learns: equal for contenders that differ in name and test scans only."""
        return replace(self, name="", corruption=None)


def contenders_of(
    detectors: Sequence[str | Contender], settings: Settings | Mapping[str, Settings] | None = None
) -> dict[str, Contender]:
    """Contenders by name, in their order, with defaults in the sections that they do not read.

    Args:
        detectors: names, see `dusnet.detectors.DETECTORS`, or contenders, which bring their own settings.
        settings: for all detectors that are given by name, or one per name.

    Raises:
        BadConfig: a detector has no settings, two contenders have one name, or there is none.
    """
    if isinstance(detectors, str):
        raise TypeError(f"detector names must be a sequence of names, got the one name {detectors!r}")
    found: dict[str, Contender] = {}
    for one in detectors:
        if isinstance(one, str):
            if one in found:
                continue
            own = settings.get(one) if isinstance(settings, Mapping) else settings
            if own is None:
                raise BadConfig(f"There are no settings for the detector {one!r}; give one entry per detector.")
            one = Contender(one, one, own)
        if one.name in found:
            raise BadConfig(f"Two contenders are called {one.name!r}; give each its own name.")
        found[one.name] = replace(one, settings=type(one.settings).model_validate(one.read()))
    if not found:
        raise BadConfig("There is no detector to evaluate; name at least one.")
    return found


def title_of(detector: str, *, together: bool) -> str:
    """What the tables call a detector that comes with no name of its own."""
    return f"{detector} (one model)" if together else detector
