"""Which kinds of defect a detector finds: metrics of the scans of one kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dusnet.evaluation.markdown import notes, number, table
from dusnet.evaluation.metrics import object_auroc, point_ap, point_auroc
from dusnet.evaluation.rows import KindScore, Row, ScanScore
from dusnet.evaluation.tables import averaged

COLUMNS: dict[str, tuple[str, str]] = {
    "o_auroc": ("O-AUROC", "area under the ROC curve of the scans of one kind against all good scans of the class"),
    "p_auroc": ("P-AUROC", "area under the ROC curve over all points of the scans of one kind together"),
    "p_ap": ("P-AP", "average precision over all points of the scans of one kind together"),
}


def measure_kinds(
    scans: Sequence[ScanScore], points: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.bool_] | None]
) -> tuple[KindScore, ...]:
    """The metrics of every kind of defect among the test scans of a class, in alphabetical order.

    Args:
        scans: all test scans, good ones included.
        points: their point scores, (N_i,) each.
        labels: which points are defective, (N_i,) each, or None where a scan carries no labels.
    """
    good = [scan.object_score for scan in scans if not scan.anomalous]
    found = []
    for kind in sorted({scan.kind for scan in scans if scan.anomalous}):
        mine = [number for number, scan in enumerate(scans) if scan.anomalous and scan.kind == kind]
        objects = [scans[number].object_score for number in mine]
        known = [mask for number in mine if (mask := labels[number]) is not None]
        p_auroc = p_ap = math.nan
        if len(known) == len(mine):
            values = [points[number] for number in mine]
            p_auroc, p_ap = point_auroc(values, known), point_ap(values, known)
        truth = [False] * len(good) + [True] * len(objects)
        found.append(KindScore(kind, len(mine), object_auroc([*good, *objects], truth), p_auroc, p_ap))
    return tuple(found)


@dataclass(frozen=True)
class KindMean:
    """A detector on one kind of defect, mean over the classes that have it.

    Attributes:
        detector: its name.
        kind: the kind.
        classes: in which it occurs.
        scans: test scans of this kind in these classes.
        values: metric of `COLUMNS` -> mean over classes within each seed, then over the seeds; NaN when undefined.
        counted: metric -> number of classes in which it is defined.
    """

    detector: str
    kind: str
    classes: tuple[str, ...]
    scans: int
    values: dict[str, float]
    counted: dict[str, int]


def kind_means(rows: Sequence[Row]) -> list[KindMean]:
    """One line per kind and detector, kinds in alphabetical order, detectors as they first occur.

    Every class counts the same, however many scans of the kind it has.

    Args:
        rows: those that count for a mean, see `dusnet.evaluation.tables.counting`.
    """
    found = []
    for kind in sorted({score.kind for row in rows for score in row.kinds}):
        for detector in dict.fromkeys(row.detector for row in rows):
            mine = {
                (row.class_name, row.seed): score
                for row in rows
                if row.detector == detector
                for score in row.kinds
                if score.kind == kind
            }
            if mine:
                scans = {name: score.scans for (name, _), score in mine.items()}
                means = {
                    metric: averaged({key: getattr(score, metric) for key, score in mine.items()}) for metric in COLUMNS
                }
                values = {metric: value for metric, (value, _, _) in means.items()}
                counted = {metric: count for metric, (_, _, count) in means.items()}
                found.append(KindMean(detector, kind, tuple(scans), sum(scans.values()), values, counted))
    return found


def markdown(lines: Sequence[KindMean]) -> str:
    """A table with one line per kind and detector, and what its columns mean; empty without lines."""
    if not lines:
        return ""
    titles = [title for title, _ in COLUMNS.values()]
    rows = [
        [line.kind, line.detector, str(len(line.classes)), str(line.scans)]
        + [number(line.values[name], 3) for name in COLUMNS]
        for line in lines
    ]
    meanings = [f"{title}: {meaning}." for title, meaning in COLUMNS.values()]
    meanings.append("Mean over the classes that have the kind, each counting the same, then over the seeds.")
    return table("llrrrrr", ["kind", "detector", "classes", "scans", *titles], rows) + "\n" + notes(meanings)
