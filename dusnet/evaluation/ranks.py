"""Mean ranks of the detectors over classes and seeds, whatever the scale of a class's figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dusnet.evaluation.markdown import notes, number, table
from dusnet.evaluation.rows import Row

RANKED: dict[str, str] = {"o_auroc": "O-AUROC", "p_auroc_pooled": "P-AUROC pooled", "p_ap_pooled": "P-AP pooled"}
_DIGITS = 9  # two areas that differ by less differ by rounding


@dataclass(frozen=True)
class MeanRank:
    """The mean rank of one detector.

    Attributes:
        detector: its name.
        mean_rank: metric of `RANKED` -> mean rank, 1 is best; NaN when it could be ranked nowhere.
        counted: metric -> how many pairs of class and seed it was ranked in.
    """

    detector: str
    mean_rank: dict[str, float]
    counted: dict[str, int]


def ranks_of(values: Sequence[float]) -> list[float]:
    """Rank of each value, 1 for the highest; equal values share the mean of their ranks.

    Example:
        >>> ranks_of([0.9, 0.7, 0.9, 0.5])
        [1.5, 3.0, 1.5, 4.0]
    """
    from scipy.stats import rankdata

    return [float(rank) for rank in rankdata([-round(value, _DIGITS) for value in values], method="average")]


def mean_ranks(rows: Sequence[Row]) -> list[MeanRank]:
    """The mean rank of every detector over pairs of class and seed, in the order of first occurrence.

    A pair counts where every detector has a row and the metric is defined, so that all are ranked in the same ones.

    Args:
        rows: in any order, at most one per class, detector and seed.
    """
    names = list(dict.fromkeys(row.detector for row in rows))
    cells: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows:
        cells.setdefault((row.class_name, row.seed), {})[row.detector] = row
    complete = [cell for cell in cells.values() if len(cell) == len(names)]
    ranks: dict[str, list[list[float]]] = {}
    for metric in RANKED:
        values = [[cell[name].metrics[metric] for name in names] for cell in complete]
        ranks[metric] = [ranks_of(line) for line in values if not any(map(math.isnan, line))]
    return [
        MeanRank(
            name,
            {key: float(np.mean([line[at] for line in found])) if found else math.nan for key, found in ranks.items()},
            {key: len(found) for key, found in ranks.items()},
        )
        for at, name in enumerate(names)
    ]


def markdown(ranks: Sequence[MeanRank]) -> str:
    """A table, best mean O-AUROC rank first; empty for fewer than two detectors."""
    if len(ranks) < 2:
        return ""
    rows = [
        [
            one.detector,
            *(number(one.mean_rank[key], 2) for key in RANKED),
            " / ".join(map(str, sorted(set(one.counted.values())))),
        ]
        for one in sorted(ranks, key=lambda one: (math.isnan(one.mean_rank["o_auroc"]), one.mean_rank["o_auroc"]))
    ]
    note = (
        f"Rank among the {len(ranks)} detectors in every class and seed in which all have a row, 1 is best, equal "
        "values share the mean of their ranks; mean over classes and seeds."
    )
    return table("lrrrr", ["detector", *RANKED.values(), "class x seed"], rows) + "\n" + notes([note])
