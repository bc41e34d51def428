"""Rows as a table: per class, and the mean over classes per detector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dusnet.evaluation import metrics
from dusnet.evaluation.markdown import notes, number, table
from dusnet.evaluation.rows import Row


@dataclass(frozen=True)
class Column:
    """One column of numbers.

    Attributes:
        key: a metric of `dusnet.evaluation.metrics` or an attribute of `Row`.
        title: its heading.
        digits: decimals that are shown.
        higher_is_better: what "best" means.
    """

    key: str
    title: str
    digits: int
    higher_is_better: bool = True


COLUMNS: tuple[Column, ...] = (
    Column("o_auroc", "O-AUROC", 3),
    Column("o_ap", "O-AP", 3),
    Column("o_f1_max", "O-F1max", 3),
    Column("p_auroc_pooled", "P-AUROC pooled", 3),
    Column("p_ap_pooled", "P-AP pooled", 3),
    Column("p_f1_max_pooled", "P-F1max pooled", 3),
    Column("p_auroc_clouds", "P-AUROC clouds", 3),
    Column("p_ap_clouds", "P-AP clouds", 3),
    Column("p_aupro", "AUPRO", 3),
    Column("false_alarms", "false alarms", 2, higher_is_better=False),
    Column("found", "found", 2),
    Column("train_seconds", "train s", 1, higher_is_better=False),
    Column("score_seconds", "s/scan", 3, higher_is_better=False),
    Column("scans_per_second", "scans/s", 2),
    Column("peak_memory_mib", "peak MiB", 0, higher_is_better=False),
    Column("model_mb", "MB", 1, higher_is_better=False),
)

CONVENTIONS: dict[str, str] = {
    "false_alarms": "share of the good test scans above the threshold that the detector learned from good scans",
    "found": "share of the anomalous test scans above that threshold",
    "train_seconds": "time of training one class; of one model of all classes, the time of its one training, in every "
    "class the same",
    "score_seconds": "median time of scoring one scan, without reading the file",
    "scans_per_second": "test scans divided by the sum of their scoring times",
    "peak_memory_mib": "resident memory of the whole process at the worst moment of training and scoring, libraries "
    "and the class's test scores included; since the process started where that mark cannot be reset between rows",
    "recognized": "share of the test scans of a class that one model of all classes took for this class",
    "model_mb": "size of the model file in megabytes (1e6 bytes); of one model of all classes, its one file",
}


@dataclass(frozen=True)
class Summary:
    """One line of a table.

    Attributes:
        detector: its name.
        class_name: the class, or None for the mean over classes.
        classes: the classes that are covered.
        seeds: the seeds that are covered.
        values: column key -> mean over the seeds, NaN when undefined.
        std_over_seeds: column key -> sample standard deviation over the seeds, NaN with fewer than two.
        classes_counted: column key -> number of classes in which the value is defined.
    """

    detector: str
    class_name: str | None
    classes: tuple[str, ...]
    seeds: tuple[int, ...]
    values: dict[str, float]
    std_over_seeds: dict[str, float]
    classes_counted: dict[str, int]


def _value(row: Row, key: str) -> float:
    value = row.metrics[key] if key in row.metrics else getattr(row, key)
    return math.nan if value is None else float(value)


def _nan_mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Mean of what is defined, and sample standard deviation (NaN with fewer than two), of one value per seed."""
    return _nan_mean(values), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def averaged(numbers: Mapping[tuple[str, int], float]) -> tuple[float, float, int]:
    """Mean over classes within each seed, then mean and spread over the seeds; and in how many classes it is defined.

    Args:
        numbers: value by class and seed, NaN where undefined.
    """
    seeds = sorted({seed for _, seed in numbers})
    per_seed = [_nan_mean([value for (_, own), value in numbers.items() if own == seed]) for seed in seeds]
    return *over_seeds(per_seed), len({name for (name, _), value in numbers.items() if not math.isnan(value)})


def _summarize(rows: Sequence[Row], class_name: str | None, columns: Sequence[Column]) -> Summary:
    """One line of rows of one detector."""
    values, spreads, counted = {}, {}, {}
    for key in (column.key for column in columns):
        numbers = {(row.class_name, row.seed): _value(row, key) for row in rows}
        values[key], spreads[key], counted[key] = averaged(numbers)
    classes, seeds = tuple(dict.fromkeys(row.class_name for row in rows)), tuple(sorted({row.seed for row in rows}))
    return Summary(rows[0].detector, class_name, classes, seeds, values, spreads, counted)


def counting(rows: Sequence[Row]) -> list[Row]:
    """The rows that a mean over classes is taken of, by detector in the order of first occurrence.

    Seeds that do not cover as many classes as the most complete one of the detector (an interrupted run) are left out,
    so that all numbers of a line are about the same classes.

    Args:
        rows: in any order, at most one per class, detector and seed.
    """
    found: list[Row] = []
    for detector in dict.fromkeys(row.detector for row in rows):
        mine = [row for row in rows if row.detector == detector]
        covered: dict[int, set[str]] = {}
        for row in mine:
            covered.setdefault(row.seed, set()).add(row.class_name)
        seed = max(covered, key=lambda one: (len(covered[one]), -one))
        complete = {one for one, classes in covered.items() if classes >= covered[seed]}
        found += [row for row in mine if row.seed in complete and row.class_name in covered[seed]]
    return found


def means(rows: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> list[Summary]:
    """The mean over classes per detector, in the order in which the detectors first occur.

    Every class counts the same; see `counting` for the seeds that do. A class in which a metric is undefined is skipped
    for that metric; `Summary.classes_counted` is the number of classes left.

    Args:
        rows: in any order, at most one per class, detector and seed.
        columns: what is averaged.
    """
    counted = counting(rows)
    return [
        _summarize([row for row in counted if row.detector == detector], None, columns)
        for detector in dict.fromkeys(row.detector for row in counted)
    ]


def per_class(rows: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> list[Summary]:
    """One line per class and detector with mean and spread over the seeds, in the order of first occurrence."""
    keys = dict.fromkeys((row.class_name, row.detector) for row in rows)
    return [
        _summarize([row for row in rows if (row.class_name, row.detector) == (name, detector)], name, columns)
        for name, detector in keys
    ]


def best_of(lines: Sequence[Summary], column: Column) -> set[int]:
    """Which lines hold the best value of a column, as far as the shown digits tell; none when there is no contest."""
    shown = {
        number: round(line.values[column.key], column.digits)
        for number, line in enumerate(lines)
        if not math.isnan(line.values[column.key])
    }
    if len(shown) < 2:
        return set()
    best = max(shown.values()) if column.higher_is_better else min(shown.values())
    return {number for number, value in shown.items() if value == best}


def _cells(group: Sequence[Summary], columns: Sequence[Column]) -> list[list[str]]:
    """Lines of one class, or of the means, one per detector."""
    comparable = len({frozenset(line.classes) for line in group}) == 1
    winners = {column.key: best_of(group, column) if comparable else set() for column in columns}
    lines = []
    for at, line in enumerate(group):
        name = f"mean of {len(line.classes)}" if line.class_name is None else line.class_name
        numbers = [number(line.values[one.key], one.digits, line.std_over_seeds[one.key]) for one in columns]
        bold = [f"**{text}**" if at in winners[one.key] else text for text, one in zip(numbers, columns, strict=True)]
        lines.append([name, line.detector, *bold])
    return lines


def markdown(rows: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> str:
    """The rows as a table with one line per class and detector, means last, and notes below.

    Of several detectors, the best value of a class is bold (all that share it, as shown). With more than one seed a
    cell is mean ± sample standard deviation over seeds.

    Args:
        rows: what `dusnet.evaluation.run.evaluate` returned.
        columns: what is shown, in this order.
    """
    if not rows:
        return "No rows yet.\n"
    everything, averages = per_class(rows, columns), means(rows, columns)
    groups = [[line for line in everything if line.class_name == name] for name in _names(everything)]
    lines = [line for group in (*groups, averages) for line in _cells(group, columns)]
    head = ["class", "detector", *(column.title for column in columns)]
    return table("ll" + "r" * len(columns), head, lines) + "\n" + notes(_notes(rows, averages, columns))


def _names(lines: Sequence[Summary]) -> list[str | None]:
    return list(dict.fromkeys(line.class_name for line in lines))


def _notes(rows: Sequence[Row], averages: Sequence[Summary], columns: Sequence[Column]) -> list[str]:
    titles = {column.key: column.title for column in columns}
    meanings = metrics.CONVENTIONS | CONVENTIONS
    texts = [f"{title}: {meanings[key]}." for key, title in titles.items()]
    seeds = sorted({row.seed for row in rows})
    texts.append(
        f"Seeds: {', '.join(map(str, seeds))}." + (" Cells: mean ± standard deviation over seeds." * (len(seeds) > 1))
    )
    for line in averages:
        for key, title in titles.items():
            if (count := line.classes_counted[key]) < len(line.classes):
                texts.append(f"{line.detector}: the mean of {title} covers {count} of {len(line.classes)} classes.")
    undefined: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        for key, reason in row.reasons.items():
            if key in titles:
                undefined.setdefault((row.class_name, reason), {})[titles[key]] = None
    return texts + [f"{name}: {', '.join(which)} undefined, {reason}." for (name, reason), which in undefined.items()]
