"""Which kinds of defect a detector finds: metrics of the scans of one kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dusnet.evaluation.metrics import object_auroc, point_ap, point_auroc

if TYPE_CHECKING:
    from dusnet.evaluation.rows import Row, ScanScore

KIND_METRICS: dict[str, tuple[str, str]] = {
    "o_auroc": ("O-AUROC", "area under the ROC curve of the scans of one kind against all good scans of the class"),
    "p_auroc": ("P-AUROC", "area under the ROC curve over all points of the scans of one kind together"),
    "p_ap": ("P-AP", "average precision over all points of the scans of one kind together"),
}


@dataclass(frozen=True)
class KindScore:
    """What one class measured of one kind of defect.

    Attributes:
        kind: the kind.
        scans: number of test scans of this kind.
        o_auroc: these scans against all good ones, NaN when undefined.
        p_auroc: over the points of these scans pooled, NaN when undefined.
        p_ap: average precision over the same points, NaN when undefined.
    """

    kind: str
    scans: int
    o_auroc: float
    p_auroc: float
    p_ap: float

    def record(self) -> dict[str, Any]:
        """As JSON holds it: NaN becomes null."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_record(cls, data: dict[str, Any]) -> KindScore:
        """The inverse of `record`."""
        values = {name: math.nan if data[name] is None else float(data[name]) for name in KIND_METRICS}
        return cls(str(data["kind"]), int(data["scans"]), **values)


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
        values: metric of `KIND_METRICS` -> mean over classes within each seed, then over the seeds; NaN when undefined.
        counted: metric -> number of classes in which it is defined.
    """

    detector: str
    kind: str
    classes: tuple[str, ...]
    scans: int
    values: dict[str, float]
    counted: dict[str, int]

    def record(self) -> dict[str, Any]:
        """As JSON holds it: NaN becomes null."""
        values = {name: None if math.isnan(value) else value for name, value in self.values.items()}
        return {**asdict(self), "classes": list(self.classes), "values": values}


def kind_means(rows: Sequence[Row]) -> list[KindMean]:
    """One line per kind and detector, kinds in alphabetical order, detectors as they first occur.

    Every class counts the same, however many scans of the kind it has.

    Args:
        rows: those that count for a mean, see `dusnet.evaluation.tables.counting`.
    """
    kinds = sorted({score.kind for row in rows for score in row.kinds})
    found = []
    for kind in kinds:
        for detector in dict.fromkeys(row.detector for row in rows):
            mine = {
                (row.seed, row.class_name): score
                for row in rows
                if row.detector == detector
                for score in row.kinds
                if score.kind == kind
            }
            if mine:
                found.append(_mean(detector, kind, mine))
    return found


def _mean(detector: str, kind: str, scores: dict[tuple[int, str], KindScore]) -> KindMean:
    classes = tuple(dict.fromkeys(name for _, name in scores))
    values, counted = {}, {}
    for metric in KIND_METRICS:
        defined = {key: value for key, score in scores.items() if not math.isnan(value := getattr(score, metric))}
        seeds = sorted({seed for seed, _ in defined})
        each = [np.mean([value for (seed, _), value in defined.items() if seed == one]) for one in seeds]
        values[metric] = float(np.mean(each)) if each else math.nan
        counted[metric] = len({name for _, name in defined})
    scans = sum({name: score.scans for (_, name), score in scores.items()}.values())
    return KindMean(detector, kind, classes, scans, values, counted)


def markdown(lines: Sequence[KindMean]) -> str:
    """A Markdown table with one line per kind and detector, and what its columns mean; empty without lines."""
    if not lines:
        return ""
    titles = [title for title, _ in KIND_METRICS.values()]
    text = ["| kind | detector | classes | scans | " + " | ".join(titles) + " |", "|---|---|---:|---:|---:|---:|---:|"]
    for line in lines:
        cells = ["–" if math.isnan(line.values[name]) else f"{line.values[name]:.3f}" for name in KIND_METRICS]
        start = f"| {_escaped(line.kind)} | {_escaped(line.detector)} | {len(line.classes)} | {line.scans} | "
        text.append(start + " | ".join(cells) + " |")
    notes = [f"{title}: {meaning}." for title, meaning in KIND_METRICS.values()]
    notes.append("Mean over the classes that have the kind, each counting the same, then over the seeds.")
    return "\n".join(text) + "\n\n" + "".join(f"* {note}\n" for note in notes)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
