"""All classes in one ranking: how a method does on a line where several parts pass, with a model per part or with one.

Object scores of different models have no common scale until each is divided by the threshold that it would be used
with; then the scans of all classes can be ranked as one set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dusnet.evaluation.markdown import notes, number, table
from dusnet.evaluation.metrics import object_ap, object_auroc
from dusnet.evaluation.rows import Row
from dusnet.evaluation.tables import Column, counting, over_seeds

COLUMNS: tuple[Column, ...] = (
    Column("o_auroc", "O-AUROC", 3),
    Column("o_ap", "O-AP", 3),
    Column("recognized", "part recognised", 3),
    Column("train_seconds", "train s", 1, higher_is_better=False),
    Column("model_mb", "MB", 1, higher_is_better=False),
    Column("score_seconds", "s/scan", 3, higher_is_better=False),
)

CONVENTIONS: dict[str, str] = {
    "o_auroc": "area under the ROC curve over the test scans of all classes in one ranking, each object score divided "
    "by the threshold that the scan was judged by",
    "o_ap": "average precision of the same ranking",
    "recognized": "share of all test scans that one model took for their class; a model per class is told which it is",
    "train_seconds": "time of all training: the sum over the classes, or of the one model",
    "model_mb": "size of all model files together, in megabytes",
    "score_seconds": "median time of scoring one scan of any class, without reading the file",
}


@dataclass(frozen=True)
class Pooled:
    """One contender over all classes.

    Attributes:
        detector: its name.
        together: whether one model learned all classes.
        classes: the classes that are covered.
        seeds: the seeds that are covered.
        scans: test scans of these classes, of one seed.
        values: key of `COLUMNS` -> mean over the seeds, NaN when undefined.
        std_over_seeds: key -> sample standard deviation over the seeds, NaN with fewer than two.
    """

    detector: str
    together: bool
    classes: tuple[str, ...]
    seeds: tuple[int, ...]
    scans: int
    values: dict[str, float]
    std_over_seeds: dict[str, float]


def pooled(rows: Sequence[Row]) -> list[Pooled]:
    """One line per contender, in the order of first occurrence.

    Contenders with a single class, or with a scan without a positive threshold, are left out; so are seeds that do not
    cover all classes of the contender, as in `dusnet.evaluation.tables.counting`.

    Args:
        rows: in any order, at most one per class, detector and seed.
    """
    counted = counting(rows)
    found = []
    for detector in dict.fromkeys(row.detector for row in counted):
        mine = [row for row in counted if row.detector == detector]
        classes = tuple(dict.fromkeys(row.class_name for row in mine))
        if len(classes) < 2 or not all(map(_has_thresholds, mine)):
            continue
        seeds = tuple(sorted({row.seed for row in mine}))
        by_seed = [[row for row in mine if row.seed == seed] for seed in seeds]
        measured = [_measure(one) for one in by_seed]
        averaged = {column.key: over_seeds([one[column.key] for one in measured]) for column in COLUMNS}
        found.append(
            Pooled(
                detector=detector,
                together=mine[0].together,
                classes=classes,
                seeds=seeds,
                scans=sum(row.test_scans for row in by_seed[0]),
                values={key: value for key, (value, _) in averaged.items()},
                std_over_seeds={key: spread for key, (_, spread) in averaged.items()},
            )
        )
    return found


def _has_thresholds(row: Row) -> bool:
    return all(scan.threshold is not None and scan.threshold > 0 for scan in row.scans)


def _measure(rows: Sequence[Row]) -> dict[str, float]:
    """The columns of one contender and seed, whose rows are one per class."""
    scans = [scan for row in rows for scan in row.scans]
    relative = [scan.object_score / scan.threshold for scan in scans if scan.threshold is not None]
    truth = [scan.anomalous for scan in scans]
    known = [row.recognized * row.test_scans for row in rows if row.recognized is not None]
    # One model repeats its training in every row. After an interruption some hold only the last part of its time.
    total = max if rows[0].together else sum
    return {
        "o_auroc": object_auroc(relative, truth),
        "o_ap": object_ap(relative, truth),
        "recognized": sum(known) / len(scans) if known else math.nan,
        "train_seconds": float(total(row.train_seconds for row in rows)),
        "model_mb": float(total(row.model_mb for row in rows)),
        "score_seconds": float(np.median([scan.seconds for scan in scans])),
    }


def markdown(lines: Sequence[Pooled]) -> str:
    """A table with one line per contender, and what its columns mean; empty without lines."""
    if not lines:
        return ""
    rows = [
        [line.detector, "one for all" if line.together else "one per class", str(len(line.classes)), str(line.scans)]
        + [number(line.values[one.key], one.digits, line.std_over_seeds[one.key]) for one in COLUMNS]
        for line in lines
    ]
    head = ["detector", "models", "classes", "scans", *(column.title for column in COLUMNS)]
    meanings = [f"{column.title}: {CONVENTIONS[column.key]}." for column in COLUMNS]
    return table("llrr" + "r" * len(COLUMNS), head, rows) + "\n" + notes(meanings)
