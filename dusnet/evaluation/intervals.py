"""How sure a mean over classes is: bootstrap intervals over the classes and the scans in them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dusnet.evaluation.markdown import notes, table
from dusnet.evaluation.rows import Row, ScanScore
from dusnet.evaluation.tables import COLUMNS, counting, means

METRICS = {one.key: one.title for one in COLUMNS if one.key in ("o_auroc", "o_ap", "p_auroc_pooled", "p_ap_pooled")}
"""What intervals are given for, and the headings."""
LEVEL = 0.95
DRAWS = 1000
_TWIN = re.compile(r"(?<=.)(?:_cut|_copy)+$", re.IGNORECASE)
"""What Real3D-AD adds to the name of a scan when it lists the same scan again, trimmed or copied."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MeanInterval:
    """The means over classes of one detector, and how sure they are.

    Attributes:
        detector: its name.
        values: metric of `METRICS` -> mean, NaN where undefined.
        ends: metric -> ends of its interval, None where there is none.
    """

    detector: str
    values: dict[str, float]
    ends: dict[str, tuple[float, float] | None]


def mean_intervals(rows: Sequence[Row]) -> list[MeanInterval]:
    """The intervals of every detector, in the order of first occurrence.

    Args:
        rows: in any order, at most one per class, detector and seed.
    """
    counted = counting(rows)
    return [
        MeanInterval(
            mean.detector,
            {key: mean.values[key] for key in METRICS},
            {key: interval([row for row in counted if row.detector == mean.detector], key) for key in METRICS},
        )
        for mean in means(rows)
    ]


def markdown(found: Sequence[MeanInterval]) -> str:
    """A table of means and intervals; empty where no mean is over two classes."""
    if not any(ends for one in found for ends in one.ends.values()):
        return ""
    lines = [[one.detector, *(_cell(one.values[key], one.ends[key]) for key in METRICS)] for one in found]
    words = (
        f"Mean over classes, and the interval that holds it with {LEVEL:.0%}: bootstrap over classes, of object scores "
        f"over the scans of each class, too. Scans that are listed twice (_cut, _copy) are drawn together. {DRAWS} "
        "draws."
    )
    return table("l" + "r" * len(METRICS), ["detector", *METRICS.values()], lines) + "\n" + notes([words])


def _cell(mean: float, ends: tuple[float, float] | None) -> str:
    if ends is None:
        return "–"
    return f"{mean:.3f} ({ends[0]:.3f} to {ends[1]:.3f})"


def interval(rows: Sequence[Row], key: str, *, seed: int = 0) -> tuple[float, float] | None:
    """Percentile interval of the mean over classes of one metric of one detector.

    Every draw takes as many classes as there are, with replacement (Efron, 1979). Of metrics of object scores it takes
    the scans of each class anew, too, good and anomalous ones for themselves; scans that are twins (`412_good` and
    `412_good_cut`) are taken together. All other metrics keep the value of their class. Seeds share the draws and are
    averaged, so that the interval is about the mean that the tables show.

    Args:
        rows: of one detector, each class with the same seeds.
        key: a metric of `dusnet.evaluation.metrics`.
        seed: of the draws; equal rows give equal intervals.

    Returns:
        Ends of the interval of the level `LEVEL`; None with fewer than two classes in which the metric is defined.
    """
    return _ends(_mean_draws(rows, key, seed))


def gap_interval(
    left: Sequence[Row], right: Sequence[Row], key: str, *, paired: bool = True, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile interval of the mean of one detector less that of another; see `interval`.

    Args:
        left: rows of the one, each class with the same seeds.
        right: rows of the other.
        key: a metric of `dusnet.evaluation.metrics`, defined in all rows.
        paired: both are of the same classes and scans, and share the draws; otherwise each has draws of its own.
        seed: of the draws.

    Returns:
        Ends of the interval; None where one of them has fewer than two classes.

    Raises:
        ValueError: they are paired and have not the same classes.
    """
    if paired and {row.class_name for row in left} != {row.class_name for row in right}:
        raise ValueError("paired rows must be of the same classes")
    ours, theirs = _mean_draws(left, key, seed), _mean_draws(right, key, seed if paired else seed + 1)
    return None if ours is None or theirs is None else _ends(ours - theirs)


def _ends(draws: Array | None) -> tuple[float, float] | None:
    if draws is None:
        return None
    low, high = np.quantile(draws, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return float(low), float(high)


def _mean_draws(rows: Sequence[Row], key: str, seed: int) -> Array | None:
    """The mean over classes in every draw, (DRAWS,); None with fewer than two classes."""
    by_class: dict[str, list[Row]] = {}
    for row in rows:
        if not np.isnan(row.metrics[key]):
            by_class.setdefault(row.class_name, []).append(row)
    if len(by_class) < 2:
        return None
    values = np.stack([_class_draws(own, key, seed) for _, own in sorted(by_class.items())])
    chosen = _generator(seed, "").integers(len(values), size=(DRAWS, len(values)))
    means: Array = values[chosen.T, np.arange(DRAWS)].mean(axis=0)
    return means


def _generator(seed: int, name: str) -> np.random.Generator:
    """Draws of one class, which do not depend on what other classes there are."""
    return np.random.default_rng((seed, zlib.crc32(name.encode())))


def _class_draws(rows: Sequence[Row], key: str, seed: int) -> Array:
    """The metric of a class in every draw, (DRAWS,), mean over the seeds."""
    if key in _OF_OBJECTS:
        return _object_draws(key, seed, rows[0].class_name, tuple(row.scans for row in rows))
    return np.full(DRAWS, np.mean([row.metrics[key] for row in rows]))


@lru_cache(maxsize=1024)  # while an evaluation runs, the tables are renewed after every row
def _object_draws(key: str, seed: int, name: str, scans: tuple[tuple[ScanScore, ...], ...]) -> Array:
    first = scans[0]
    counts = scan_counts(first, _generator(seed, name))
    truth = np.array([scan.anomalous for scan in first])
    found = []
    for own in scans:
        scores = {scan.file: scan.object_score for scan in own}
        found.append(_OF_OBJECTS[key](np.array([scores[scan.file] for scan in first]), truth, counts))
    mean: Array = np.mean(found, axis=0)
    return mean


def scan_counts(scans: Sequence[ScanScore], generator: np.random.Generator) -> Array:
    """How often each draw takes each scan, (DRAWS, N): with replacement, twins together, each truth as often as it is.

    Args:
        scans: N test scans of one class.
        generator: of the draws.
    """
    twins = [(scan.anomalous, Path(scan.file).with_name(_TWIN.sub("", Path(scan.file).stem))) for scan in scans]
    counts = np.zeros((DRAWS, len(scans)))
    for anomalous in (False, True):
        groups = sorted({one for one in twins if one[0] == anomalous})
        if not groups:
            continue
        taken = generator.multinomial(len(groups), np.full(len(groups), 1.0 / len(groups)), size=DRAWS)
        place = {group: at for at, group in enumerate(groups)}
        mine = [at for at, one in enumerate(twins) if one[0] == anomalous]
        counts[:, mine] = taken[:, [place[twins[at]] for at in mine]]
    return counts


def weighted_auroc(scores: Array, truth: NDArray[np.bool_], counts: Array) -> Array:
    """Area under the ROC curve where scans count several times or not at all.

    Args:
        scores: of N scans.
        truth: whether each is anomalous, (N,), both kinds among them.
        counts: (B, N), each line with scans of both kinds.

    Returns:
        (B,).
    """
    high, low = scores[truth], scores[~truth]
    above = (high[:, None] > low[None]) + 0.5 * (high[:, None] == low[None])
    bad, good = counts[:, truth], counts[:, ~truth]
    area: Array = ((bad @ above) * good).sum(axis=1) / (bad.sum(axis=1) * good.sum(axis=1))
    return area


def weighted_average_precision(scores: Array, truth: NDArray[np.bool_], counts: Array) -> Array:
    """Average precision where scans count several times or not at all; arguments and result as in `weighted_auroc`."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # equal scores are one threshold
    hits = np.cumsum(counts[:, order] * truth[order], axis=1)[:, ends]
    taken = np.cumsum(counts[:, order], axis=1)[:, ends]
    gained = np.diff(hits, axis=1, prepend=0.0) / hits[:, -1:]
    precision: Array = (gained * hits / np.maximum(taken, 1.0)).sum(axis=1)
    return precision


_OF_OBJECTS: dict[str, Callable[[Array, NDArray[np.bool_], Array], Array]] = {
    "o_auroc": weighted_auroc,
    "o_ap": weighted_average_precision,
}
