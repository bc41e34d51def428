"""Relations between methods that public records show on an archive: what a dataset that simulates it has to show, too.

Figures, bounds and sources are in `relations.yaml`; the contenders are those of the studies `relations_*`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from dusnet.config import Section, read_yaml
from dusnet.errors import BadConfig, BadInput
from dusnet.evaluation import intervals
from dusnet.evaluation.markdown import notes, table
from dusnet.evaluation.metrics import object_auroc
from dusnet.evaluation.rows import Row, plain
from dusnet.evaluation.tables import averaged, counting
from dusnet.io import parse_json
from dusnet.io.files import reason

Archive = Literal["anomaly_shapenet", "real3d_ad"]
Metric = Literal["o_auroc", "p_auroc_pooled", "p_auroc_clouds", "p_ap_clouds"]
Verdict = Literal["met", "not met", "cannot be tested here"]
TITLES: dict[Metric, str] = {
    "o_auroc": "O",
    "p_auroc_pooled": "P pooled",
    "p_auroc_clouds": "P clouds",
    "p_ap_clouds": "P-AP clouds",
}
NAMES: dict[Archive, str] = {"anomaly_shapenet": "Anomaly-ShapeNet", "real3d_ad": "Real3D-AD"}
ENOUGH = (8, 3)
"""Classes and seeds from which on a table of relations is no mere look."""
_FILE = Path(__file__).with_name("relations.yaml")


class Check(Section):
    """One number that a relation is about: a contender less another, or a contender alone.

    Attributes:
        metric: of `dusnet.evaluation.metrics`.
        left: name of a contender.
        right: of the one that is taken away, None for none.
        kinds: only defective scans of these kinds count, beside all good ones; none for all kinds.
        elsewhere: the right one has its rows on the other archive.
        published: of the left one, and of the right one; empty where nobody printed them.
        least: lowest number that meets the relation, None for no bound.
        most: highest number that does, None for no bound.
        tolerance: whether the bounds follow from the record or are ours.
    """

    metric: Metric
    left: str
    right: str | None = None
    kinds: tuple[str, ...] = ()
    elsewhere: bool = False
    published: tuple[float, ...] = Field(default=(), max_length=2)
    least: float | None = None
    most: float | None = None
    tolerance: Literal["record", "ours"]

    @model_validator(mode="after")
    def _consistent(self) -> Check:
        if self.published and len(self.published) != 1 + (self.right is not None):
            raise ValueError("published needs one value per contender")
        if self.least is None and self.most is None:
            raise ValueError("a check needs least or most")
        if self.kinds and self.metric != "o_auroc":
            raise ValueError("kinds have an O-AUROC alone")
        return self

    def holds(self, value: float) -> bool:
        """Whether a number meets the relation."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class Relation(Section):
    """What a public record shows on an archive."""

    number: int
    archive: Archive
    says: str
    source: str
    checks: tuple[Check, ...] = Field(min_length=1)


class Relations(Section):
    """The whole collection."""

    notes: tuple[str, ...] = ()
    relations: tuple[Relation, ...]


@dataclass(frozen=True)
class RelationTest:
    """Which relations the rows of an evaluation are tested for.

    Attributes:
        archive: what the dataset is like.
        elsewhere: rows of the study of the other archive, None where there are none.
    """

    archive: Archive
    elsewhere: tuple[Row, ...] | None = None


@dataclass(frozen=True)
class Finding:
    """What the rows say of one check.

    Attributes:
        number: of the relation.
        check: what was asked.
        ours: means over classes and seeds of the contenders, NaN where there is none.
        value: the number that the check is about, NaN where it cannot be told.
        ends: of its interval, None where there is none.
        classes: that took part.
        seeds: that took part.
        verdict: whether the relation is met.
        reason: why it cannot be tested, else empty.
    """

    number: int
    check: Check
    ours: tuple[float, ...] = ()
    value: float = math.nan
    ends: tuple[float, float] | None = None
    classes: int = 0
    seeds: int = 0
    verdict: Verdict = "cannot be tested here"
    reason: str = ""


def read_relations(path: Path = _FILE) -> Relations:
    """The relations that public records show.

    Args:
        path: a file in the form of the one that the package brings.

    Raises:
        BadConfig: the file is no YAML, or a key or value in it is wrong.
    """
    try:
        return Relations.model_validate(read_yaml(path, f"The file of relations {path}"))
    except ValidationError as error:
        first = " ".join(str(error).split())[:300]
        raise BadConfig(f"{path} holds no relations as docs/evaluation.md describes them: {first}.") from error


@cache
def _bundled() -> Relations:
    return read_relations()


def study_of(archive: Archive) -> str:
    """Name of the study with the contenders of an archive's relations."""
    return f"relations_{archive}"


def archive_of(layout: str, given: Archive | None = None) -> Archive:
    """What a dataset is like: what was said, or the archive that it is laid out as.

    Args:
        layout: `Dataset.layout`.
        given: what somebody said.

    Raises:
        BadConfig: nobody said it, and the layout is that of no archive.
    """
    found = layout if given is None else given
    for archive in get_args(Archive):
        if archive == found:
            return archive
    raise BadConfig(
        f"A dataset of layout {layout} does not say which archive it is like; name one with --like anomaly_shapenet or "
        "--like real3d_ad."
    )


def rows_elsewhere(folder: Path, archive: Archive) -> tuple[Row, ...]:
    """The rows that an evaluation of a dataset like the other archive left in a folder.

    Args:
        folder: with its `results.json`.
        archive: the one that they are not of.

    Raises:
        BadInput: it has no `results.json`, one that cannot be used, or that of a dataset like `archive` itself.
    """
    path = folder / "results.json"
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
        rows = tuple(Row.from_record(one) for one in record["rows"])
        tested = record.get("relations") or {}
        same = tested.get("archive") == archive
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({reason(error)}); name a folder with results.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} holds no results of this version; evaluate again.") from error
    if same:
        raise BadInput(
            f"{path} is of a dataset like {NAMES[archive]}, too; name results on one like the other archive."
        )
    return rows


def findings(test: RelationTest, rows: Sequence[Row], relations: Relations | None = None) -> list[Finding]:
    """What the rows of an evaluation say of the relations of its archive.

    Args:
        test: the archive, and rows of the other one.
        rows: of the study of the archive.
        relations: the collection; None is that of the package.
    """
    chosen = (relations or _bundled()).relations
    found = []
    for relation in chosen:
        compares = any(check.elsewhere for check in relation.checks)
        if relation.archive != test.archive and not compares:
            continue
        here, there = (rows, test.elsewhere) if relation.archive == test.archive else (test.elsewhere, rows)
        found += [_finding(relation, check, here, there) for check in relation.checks]
    return found


def _finding(relation: Relation, check: Check, here: Sequence[Row] | None, there: Sequence[Row] | None) -> Finding:
    sides = [(check.left, here, relation.archive)]
    if check.right is not None:
        other: Archive = "real3d_ad" if relation.archive == "anomaly_shapenet" else "anomaly_shapenet"
        sides.append((check.right, there, other) if check.elsewhere else (check.right, here, relation.archive))
    mine = []
    for name, rows, archive in sides:
        if rows is None:
            return Finding(relation.number, check, reason=f"no results of a dataset like {NAMES[archive]} (--beside)")
        mine.append(_rows_for(check, name, rows))
        if not mine[-1]:
            known = any(row.detector == name for row in rows)
            missing = f"no scans of kind {' or '.join(check.kinds)}" if known and check.kinds else f"no rows of {name}"
            return Finding(relation.number, check, reason=missing)
    if len(mine) == 2 and not check.elsewhere:
        mine = _in_both(*mine)
        if not mine[0]:
            return Finding(relation.number, check, reason="the two have no class and seed in common")
    ours = tuple(_mean(rows, check.metric) for rows in mine)
    value = ours[0] - ours[1] if len(ours) == 2 else ours[0]
    if len(mine) == 2:
        ends = intervals.gap_interval(mine[0], mine[1], check.metric, paired=not check.elsewhere)
    else:
        ends = intervals.interval(mine[0], check.metric)
    return Finding(
        relation.number,
        check,
        ours,
        value,
        ends,
        min(len({row.class_name for row in rows}) for rows in mine),
        min(len({row.seed for row in rows}) for rows in mine),
        "met" if check.holds(value) else "not met",
    )


def _rows_for(check: Check, name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of a contender in which the metric of a check is defined."""
    own = counting([row for row in rows if row.detector == name])
    if check.kinds:
        own = [_of_kinds(row, check.kinds) for row in own]
    return [row for row in own if not math.isnan(row.metrics[check.metric])]


def _of_kinds(row: Row, kinds: Sequence[str]) -> Row:
    """A row as if its class had these kinds of defects alone; only its O-AUROC is right."""
    scans = tuple(scan for scan in row.scans if not scan.anomalous or scan.kind in kinds)
    area = object_auroc([scan.object_score for scan in scans], [scan.anomalous for scan in scans])
    return replace(row, scans=scans, metrics={**row.metrics, "o_auroc": area})


def _in_both(left: Sequence[Row], right: Sequence[Row]) -> list[list[Row]]:
    """The rows of classes and seeds that both have, so that a gap is about the same scans."""
    common = {(row.class_name, row.seed) for row in left} & {(row.class_name, row.seed) for row in right}
    return [[row for row in rows if (row.class_name, row.seed) in common] for rows in (left, right)]


def _mean(rows: Sequence[Row], metric: Metric) -> float:
    return averaged({(row.class_name, row.seed): row.metrics[metric] for row in rows})[0]


def markdown(test: RelationTest, found: Sequence[Finding], relations: Relations | None = None) -> str:
    """The findings as a table, and what it means."""
    chosen = relations or _bundled()
    by_number = {one.number: one for one in chosen.relations}
    lines: list[list[str]] = []
    for one in found:
        check, first = one.check, str(one.number) not in {line[0] for line in lines}
        says = by_number[one.number].says if first else ""
        lines.append([str(one.number), says, _what(check), _published(check), _ours(one), _bounds(check), one.verdict])
    head = ["#", "relation", "number", "published", "ours", "wanted", "verdict"]
    texts = [
        *_counts(test, found),
        f"Ours: means over classes and seeds, their gap, and the interval that holds it with {intervals.LEVEL:.0%} "
        "(bootstrap over classes, of object scores over the scans of each class, too, the same draws for both; scans "
        "that are listed twice are drawn together).",
        "Wanted: (ours) marks bounds that the record does not give.",
        *chosen.notes,
        *(f"{one.number}, {_what(one.check)}: {one.reason}." for one in found if one.reason),
        *(f"{at}: published by {by_number[at].source}." for at in dict.fromkeys(one.number for one in found)),
    ]
    return table("rllllll", head, lines) + "\n" + notes(texts)


def _counts(test: RelationTest, found: Sequence[Finding]) -> list[str]:
    tested = [one for one in found if one.verdict != "cannot be tested here"]
    if not tested:
        return [f"Dataset like {NAMES[test.archive]}: no number can be tested."]
    met = sum(one.verdict == "met" for one in tested)
    classes, seeds = min(one.classes for one in tested), min(one.seeds for one in tested)
    texts = [
        f"Dataset like {NAMES[test.archive]}: {met} of {len(tested)} numbers are as wanted, each of at least {classes} "
        f"classes and {seeds} seeds."
    ]
    if classes < ENOUGH[0] or seeds < ENOUGH[1]:
        texts.append(f"Fewer than {ENOUGH[0]} classes or {ENOUGH[1]} seeds are a first look alone.")
    return texts


def record(test: RelationTest, found: Sequence[Finding]) -> dict[str, Any]:
    """What `results.json` holds."""
    return {"archive": test.archive, "findings": [_plain(one) for one in found]}


def _plain(one: Finding) -> Mapping[str, Any]:
    return {**plain(replace(one, check=None)), "check": one.check.model_dump(mode="json")}  # type: ignore[arg-type]


def _what(check: Check) -> str:
    kinds = f" ({', '.join(check.kinds)})" if check.kinds else ""
    right = "" if check.right is None else f" − {check.right}"
    return f"{TITLES[check.metric]}{kinds}: {check.left}{right}"


def _published(check: Check) -> str:
    if not check.published:
        return "–"
    values = " − ".join(f"{value:.3f}" for value in check.published)
    return values if len(check.published) == 1 else f"{values} = {check.published[0] - check.published[1]:+.3f}"


def _ours(one: Finding) -> str:
    if not one.ours:
        return "–"
    sign = "" if len(one.ours) == 1 else "+"
    values = " − ".join(f"{value:.3f}" for value in one.ours)
    text = values if len(one.ours) == 1 else f"{values} = {one.value:+.3f}"
    return text if one.ends is None else f"{text} ({one.ends[0]:{sign}.3f} to {one.ends[1]:{sign}.3f})"


def _bounds(check: Check) -> str:
    sign = "" if check.right is None else "+"
    low, high = (None if one is None else f"{one:{sign}.3f}" for one in (check.least, check.most))
    text = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    return text if check.tolerance == "record" else f"{text} (ours)"
