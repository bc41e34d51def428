"""What an evaluation consists of: who competes, on what, where the results go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet.errors import BadConfig
from dusnet.progress import Progress

if TYPE_CHECKING:
    from dusnet.data import Dataset
    from dusnet.detectors.base import Detector
    from dusnet.detectors.feature_space.many_parts import ManyParts
    from dusnet.detectors.settings import Settings
    from dusnet.evaluation.corruption import Corruption
    from dusnet.evaluation.studies import Study

Create = Callable[..., "Detector"]
CreateForParts = Callable[..., "ManyParts"]


@dataclass(frozen=True)
class Contender:
    """One line of the tables: a detector with its settings, on test scans as they are or made worse.

    Attributes:
        name: what the tables call it; no other contender of an evaluation has it.
        detector: a name of `dusnet.detectors.DETECTORS`, or `package.module:Class`.
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
        from dusnet.detectors import read_by, sections_read

        try:
            return read_by(self.settings, sections_read(self.detector, together=self.together))
        except BadConfig:
            return self.settings.model_dump(mode="json")

    def weights_digest(self) -> str | None:
        """A hash of files that decide what the detector computes besides the settings."""
        from dusnet.detectors import detector_class

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


@dataclass(frozen=True)
class RowKey:
    """A row that is asked for.

    Attributes:
        name: of the contender.
        class_name: the class whose test scans are scored.
        seed: of training and scoring.
        learned: the classes that the model learns, in this order.
    """

    name: str
    class_name: str
    seed: int
    learned: tuple[str, ...]

    def of_one_model(self) -> list[RowKey]:
        """The rows of this contender that one trained model answers for."""
        return [replace(self, class_name=name) for name in self.learned]


@dataclass(frozen=True)
class Unit:
    """Rows that are evaluated in one go, in this order, so that they can share what costs time.

    Contenders with a model per class share the registrations of a class; the classes that one model learns share its
    training.
    """

    rows: tuple[RowKey, ...]

    def describe(self) -> str:
        """What it is about, as part of a sentence."""
        classes = dict.fromkeys(row.class_name for row in self.rows)
        return f"class {self.rows[0].class_name}" if len(classes) == 1 else f"{len(classes)} classes with one model"


def units_of(contenders: Mapping[str, Contender], classes: Sequence[str], seeds: int) -> list[Unit]:
    """All rows of an evaluation, by what is evaluated in one go.

    Args:
        contenders: who competes, by name.
        classes: the classes, in the order in which one model learns them.
        seeds: how many.
    """
    alone = [one for one in contenders.values() if not one.together]
    shared = groupby((one for one in contenders.values() if one.together), key=Contender.learning)
    models = [[one.name for one in same] for _, same in shared]
    found = []
    for seed in range(seeds):  # outermost, so that a first complete table is there as early as possible
        # One model of all classes takes longest; last, it would leave the other processes idle.
        for names in models:
            found.append(Unit(tuple(RowKey(one, name, seed, tuple(classes)) for one in names for name in classes)))
        if alone:
            found += [Unit(tuple(RowKey(one.name, name, seed, (name,)) for one in alone)) for name in classes]
    return found


@dataclass(frozen=True)
class Plan:
    """What stays the same for all rows of one call; see `dusnet.evaluation.run.evaluate`."""

    dataset: Dataset
    contenders: Mapping[str, Contender]
    out: Path
    device: str
    progress: Progress
    resume: bool
    calibrate: bool
    create: Create
    create_for_parts: CreateForParts
    study: Study | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    """By the name of a contender: what tells the code of a detector that is none of this package's."""
