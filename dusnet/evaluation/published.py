"""Figures that papers print for the public datasets: facts with their source, beside ours but never among them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from math import nan
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from dusnet.config import Section, read_yaml
from dusnet.errors import BadConfig
from dusnet.evaluation.markdown import notes, number, table
from dusnet.evaluation.ranks import ranks_of
from dusnet.evaluation.rows import Row
from dusnet.evaluation.tables import counting

_FILE = Path(__file__).with_name("published.yaml")
Metric = Literal["o_auroc", "o_ap", "p_auroc", "p_ap", "p_f1_max"]
Mark = Literal["primary", "second-hand", "unverified"]
TITLES: dict[Metric, str] = {
    "o_auroc": "O-AUROC",
    "p_auroc": "P-AUROC",
    "o_ap": "O-AP",
    "p_ap": "P-AP",
    "p_f1_max": "P-F1max",
}
Values = dict[Metric, float]
ByClass = dict[Metric, dict[str, float]]


class PublishedDataset(Section):
    """A public dataset: the classes that a published mean is taken over, and what to know about its figures."""

    name: str
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


class PublishedResult(Section):
    """What one source prints for one method on one dataset; areas from 0 to 1."""

    dataset: str
    mark: Mark
    source: str
    convention: str
    points: Literal["pooled", "clouds", "unknown"]
    means: Values
    stds: Values = Field(default_factory=dict)
    per_class: ByClass = Field(default_factory=dict)
    per_class_partial: ByClass = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _areas(self) -> PublishedResult:
        values = [*self.means.values(), *self.stds.values()]
        for row in (*self.per_class.values(), *self.per_class_partial.values()):
            values += row.values()
        if not all(0 <= value <= 1 for value in values):
            raise ValueError("values must lie between 0 and 1")
        return self


class PublishedMethod(Section):
    """One method and where it was published."""

    name: str
    venue: str
    arxiv: str | None = None
    setting: str
    notes: tuple[str, ...] = ()
    results: tuple[PublishedResult, ...]


class Published(Section):
    """The whole collection."""

    notes: tuple[str, ...]
    datasets: tuple[PublishedDataset, ...]
    methods: tuple[PublishedMethod, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Published:
        known = {dataset.name: set(dataset.classes) for dataset in self.datasets}
        for method in self.methods:
            for result in method.results:
                if result.dataset not in known:
                    raise ValueError(f"{method.name} names the unknown dataset {result.dataset}")
                for metric, row in result.per_class.items():
                    if set(row) != known[result.dataset]:
                        raise ValueError(f"the {metric} row of {method.name} on {result.dataset} is not complete")
                for metric, row in result.per_class_partial.items():
                    if not set(row) < known[result.dataset]:
                        raise ValueError(f"the partial {metric} row of {method.name} names unknown classes")
        return self

    def on(self, dataset: str) -> list[tuple[PublishedMethod, PublishedResult]]:
        """Everything about one dataset, best O-AUROC first."""
        found = [(method, result) for method in self.methods for result in method.results if result.dataset == dataset]
        return sorted(found, key=lambda pair: -pair[1].means.get("o_auroc", -1.0))

    def dataset(self, name: str) -> PublishedDataset | None:
        """The public dataset of this name, None when it is another one."""
        return next((one for one in self.datasets if one.name == name), None)


def read_published(path: Path = _FILE) -> Published:
    """The published figures.

    Args:
        path: a file in the form of the one that the package brings.

    Raises:
        BadConfig: the file is no YAML, or a key, class or value in it is wrong.
    """
    try:
        return Published.model_validate(read_yaml(path, f"The file of published figures {path}"))
    except ValidationError as error:
        first = " ".join(str(error).split())[:300]
        raise BadConfig(f"{path} holds no published figures as docs/evaluation.md describes them: {first}.") from error


@cache
def _bundled() -> Published:
    return read_published()


def markdown(rows: Sequence[Row], dataset: str, *, plain: bool = True) -> str:
    """The section about published figures, empty for a dataset that is not public.

    Args:
        rows: our own rows.
        dataset: `Dataset.name`.
        plain: whether the test scans are as the dataset has them; figures of corrupted scans are not compared.
    """
    published = _bundled()
    public = published.dataset(dataset)
    if public is None or not rows:
        return ""
    found = published.on(dataset)
    parts = [
        f"These figures were printed by others for {dataset}; none of them was measured here, and they take no part in "
        "the tables and ranks above. Look at the conventions before comparing.\n",
        _ours(rows, public, plain=plain),
        _means(found),
        *_per_class(found, public),
    ]
    texts = [*(_rank_notes(rows, found, public) if plain else ()), *published.notes, *public.notes]
    for method, result in found:
        texts += [f"{method.name}: {note}" for note in (*method.notes, *result.notes)]
    return "\n".join([*parts, notes(texts)])


def complete_means(rows: Sequence[Row], public: PublishedDataset) -> dict[str, dict[str, float]]:
    """Our means over exactly the classes of a public dataset: detector -> metric -> value.

    A detector without a row for every class is left out: a mean over fewer classes is another number.
    """
    found: dict[str, dict[str, float]] = {}
    mine = counting([row for row in rows if row.class_name in public.classes])
    for detector in dict.fromkeys(row.detector for row in mine):
        own = [row for row in mine if row.detector == detector]
        if {row.class_name for row in own} == set(public.classes):
            found[detector] = {
                key: float(np.mean([row.metrics[key] for row in own])) for key in ("o_auroc", "p_auroc_pooled")
            }
    return found


def _ours(rows: Sequence[Row], public: PublishedDataset, *, plain: bool) -> str:
    if not plain:
        return "Our test scans were corrupted, so no figure of ours is set beside them.\n"
    complete, total = complete_means(rows, public), len(public.classes)
    texts = []
    for detector in dict.fromkeys(row.detector for row in rows):
        if (values := complete.get(detector)) is not None:
            means = f"O-AUROC {number(values['o_auroc'], 3)}, P-AUROC pooled {number(values['p_auroc_pooled'], 3)}"
            texts.append(f"measured here, {detector}: mean of all {total} classes {means}.")
        else:
            count = len({row.class_name for row in rows if row.detector == detector} & set(public.classes))
            partial = f"partial, {count} of {total} classes, so its mean is not compared."
            texts.append(f"measured here, {detector}: {partial}")
    return notes(texts)


def _means(found: Sequence[tuple[PublishedMethod, PublishedResult]]) -> str:
    rows = []
    for method, result in found:
        others = [key for key in result.means if key not in ("o_auroc", "p_auroc")]
        rows.append(
            [
                method.name,
                method.venue + (f", arXiv {method.arxiv}" if method.arxiv else ""),
                *(number(result.means.get(key, nan), 3, result.stds.get(key, nan)) for key in ("o_auroc", "p_auroc")),
                ", ".join(f"{TITLES[key]} {number(result.means[key], 3)}" for key in others),
                result.points,
                result.mark,
                f"{method.setting}; {result.convention}",
                result.source,
            ]
        )
    head = ["method", "published in", "O-AUROC", "P-AUROC", "other", "point average", "mark", "convention", "source"]
    return table("llrrlllll", head, rows)


def _per_class(found: Sequence[tuple[PublishedMethod, PublishedResult]], public: PublishedDataset) -> Iterator[str]:
    for metric, title in TITLES.items():
        columns = [(method.name, result.per_class[metric]) for method, result in found if metric in result.per_class]
        if columns:
            lines = [[name, *(number(values[name], 3) for _, values in columns)] for name in public.classes]
            lines.append(["mean", *(number(float(np.mean(list(values.values()))), 3) for _, values in columns)])
            yield f"{title} per class, complete rows as printed:\n"
            yield table("l" + "r" * len(columns), ["class", *(name for name, _ in columns)], lines)


def rank_among_published(
    rows: Sequence[Row], found: Sequence[tuple[PublishedMethod, PublishedResult]], public: PublishedDataset
) -> dict[str, float]:
    """Mean O-AUROC rank of each of our detectors, alone, among the complete published rows; 1 is best.

    Args:
        rows: our rows; a detector that lacks a class of the dataset, or whose O-AUROC is undefined there, is left out.
        found: what `Published.on` returned.
        public: the dataset.
    """
    others = [result.per_class["o_auroc"] for _, result in found if "o_auroc" in result.per_class]
    ranks: dict[str, float] = {}
    mine = counting([row for row in rows if row.class_name in public.classes])
    for detector in complete_means(rows, public) if others else ():
        own = _by_class([row for row in mine if row.detector == detector])
        if not any(map(math.isnan, own.values())):
            each = [ranks_of([round(own[name], 3), *(row[name] for row in others)])[0] for name in public.classes]
            ranks[detector] = float(np.mean(each))
    return ranks


def _by_class(rows: Sequence[Row]) -> Mapping[str, float]:
    names = dict.fromkeys(row.class_name for row in rows)
    return {name: float(np.mean([row.metrics["o_auroc"] for row in rows if row.class_name == name])) for name in names}


def _rank_notes(
    rows: Sequence[Row], found: Sequence[tuple[PublishedMethod, PublishedResult]], public: PublishedDataset
) -> list[str]:
    count = sum("o_auroc" in result.per_class for _, result in found)
    return [
        f"{detector}, measured here: mean O-AUROC rank {rank:.2f} over the {len(public.classes)} classes when set "
        f"beside the {count} complete published rows (1 to {count + 1}, areas to three digits as papers print them)."
        for detector, rank in rank_among_published(rows, found, public).items()
    ]


def record(rows: Sequence[Row], dataset: str, *, plain: bool = True) -> dict[str, Any] | None:
    """What `results.json` holds: the published figures of this dataset, and our ranks among complete rows."""
    published = _bundled()
    public = published.dataset(dataset)
    if public is None:
        return None
    found = published.on(dataset)
    return {
        "measured_here": False,
        "notes": [*published.notes, *public.notes],
        "methods": [
            {**method.model_dump(mode="json", exclude={"results"}), **result.model_dump(mode="json")}
            | {"notes": [*method.notes, *result.notes]}
            for method, result in found
        ],
        "our_mean_rank_among_complete_rows": rank_among_published(rows, found, public) if plain else {},
    }
