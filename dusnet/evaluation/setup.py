"""What an evaluation consists of: contenders on the classes of a dataset, the rows to compute, and where they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet import detectors
from dusnet.evaluation.contender import Contender
from dusnet.evaluation.tables import COLUMNS, Column
from dusnet.inspection.regions import components
from dusnet.progress import Progress, Silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dusnet.cloud import PointCloud
    from dusnet.data import Dataset, Sample
    from dusnet.detectors.base import Detector
    from dusnet.detectors.feature_space.many_parts import ManyParts
    from dusnet.evaluation.relations import RelationTest
    from dusnet.evaluation.studies import Study

Create = Callable[..., "Detector"]
CreateForParts = Callable[..., "ManyParts"]


@dataclass(frozen=True)
class RowKey:
    """Which row: a contender on a class with a seed.

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
        """The rows of this contender that are computed with the same trained model."""
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


def units_of(contenders: Mapping[str, Contender], classes: Sequence[str], seeds: Iterable[int]) -> list[Unit]:
    """All rows of an evaluation, by what is evaluated in one go.

    Args:
        contenders: by name.
        classes: the classes, in the order in which one model learns them.
        seeds: of training and scoring.
    """
    alone = [one for one in contenders.values() if not one.together]
    shared = groupby((one for one in contenders.values() if one.together), key=Contender.learning)
    models = [[one.name for one in same] for _, same in shared]
    found = []
    for seed in seeds:  # outermost, so that a first complete table is there as early as possible
        # One model of all classes takes longest; last, it would leave the other processes idle.
        for names in models:
            found.append(Unit(tuple(RowKey(one, name, seed, tuple(classes)) for one in names for name in classes)))
        if alone:
            found += [Unit(tuple(RowKey(one.name, name, seed, (name,)) for one in alone)) for name in classes]
    return found


def _regions_of_cloud(cloud: PointCloud, labels: NDArray[np.bool_]) -> NDArray[np.intp]:
    return components(cloud.points, labels)


@dataclass(frozen=True)
class Evaluation:
    """What `dusnet.evaluation.run.evaluate` evaluates, the same for all rows.

    Attributes:
        dataset: what `dusnet.data.open_dataset` returned.
        contenders: by name, as `dusnet.evaluation.contender.contenders_of` gives them.
        out: folder of the results, made when absent.
        device: `cpu`, `cuda` or `cuda:N`.
        progress: where to report.
        resume: take finished rows, and checkpoints of an unfinished one, from `out` when they were computed from the
            same settings, files and version; False computes everything again.
        calibrate: give each detector its threshold from good scans, as training a model for use does, so that the rows
            can say how many good scans it calls anomalous and how many anomalous ones it finds.
        create: makes a detector from `(name, settings, seed=, device=)`.
        create_for_parts: the same for one model of all classes.
        study: where the contenders come from, for the result files; see `dusnet.evaluation.studies.contenders`.
        relations: which relations the rows are tested for, for the result files; None for none.
        code: by the name of a contender, a hash of its code where the detector is from outside this package.
        columns: of the table of classes.
        regions: numbers of the defect regions of a scan, (N,), from the scan and its labels, (N,).
        on_scores: called with the test scans of a row and their point scores; every row is then computed anew.
    """

    dataset: Dataset
    contenders: Mapping[str, Contender]
    out: Path
    device: str = "cpu"
    progress: Progress = field(default_factory=Silent)
    resume: bool = True
    calibrate: bool = True
    create: Create = detectors.create
    create_for_parts: CreateForParts = detectors.create_for_parts
    study: Study | None = None
    relations: RelationTest | None = None
    code: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[Column, ...] = COLUMNS
    regions: Callable[[Any, NDArray[np.bool_]], NDArray[np.intp]] = _regions_of_cloud
    on_scores: Callable[[RowKey, Sequence[Sample], Sequence[NDArray[np.float32]]], None] | None = None

    def of(self, key: RowKey) -> Contender:
        """The contender of a row."""
        return self.contenders[key.name]
