"""The result files of an evaluation: JSON with everything, CSV for a spreadsheet, Markdown to read."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from dusnet import __version__
from dusnet.errors import BadConfig, BadInput
from dusnet.evaluation import all_classes, intervals, kinds, metrics, published, ranks, relations, studies, tables
from dusnet.evaluation.contender import Contender
from dusnet.evaluation.markdown import notes
from dusnet.evaluation.rows import Row, plain
from dusnet.evaluation.setup import Evaluation
from dusnet.io import write_json, write_text
from dusnet.io.marks import GENERATOR, MARKDOWN_MARK, FileKind, require_replaceable
from dusnet.io.places import require_folder
from dusnet.io.tables import write_table
from dusnet.terminal import one_line

RESULTS_SCHEMA = 3
TABLES = ("results.json", "results.csv", "results.md")


def require_free(out: Path) -> None:
    """Refuse a folder in which the result files cannot be written, or would replace those of others.

    Raises:
        BadInput: the folder cannot be written, or a file of the same name was written by others.
    """
    try:
        require_folder(out, TABLES)
        require_folder(out / "rows")
    except BadConfig as error:
        raise BadInput(f"{out} cannot hold results: {error}") from error
    for name in TABLES:
        require_replaceable(out / name, FileKind.EVALUATION)


def write_results(setup: Evaluation, rows: Sequence[Row], failed: Sequence[str]) -> None:
    """Renew `results.json`, `results.csv` and `results.md`.

    Args:
        setup: the evaluation.
        rows: what is there so far, in the order of the tables.
        failed: one sentence per class that failed.
    """
    import torch

    summary = {
        "generator": GENERATOR,
        "schema_version": RESULTS_SCHEMA,
        "dataset": {"name": setup.dataset.name, "root": str(setup.dataset.root), "layout": setup.dataset.layout},
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "device": setup.device,
        "versions": {
            "dusnet": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "conventions": {**metrics.CONVENTIONS, **tables.CONVENTIONS},
        "all_classes_conventions": all_classes.CONVENTIONS,
        "kind_conventions": {name: meaning for name, (_, meaning) in kinds.COLUMNS.items()},
        "settings": {name: one.read() for name, one in setup.contenders.items()},
        "contenders": {name: _description(one) for name, one in setup.contenders.items()},
        "study": None if setup.study is None else setup.study.model_dump(mode="json"),
        "failed": list(failed),
        "means": [_without_class(plain(mean)) for mean in tables.means(rows)],
        "mean_intervals": plain(intervals.mean_intervals(rows)),
        "mean_ranks": plain(ranks.mean_ranks(rows)),
        "all_classes": plain(all_classes.pooled(rows)),
        "kinds": plain(kinds.kind_means(tables.counting(rows))),
        "published": published.record(rows, setup.dataset.name, plain=_as_it_is(setup)),
        "relations": None
        if setup.relations is None
        else relations.record(setup.relations, relations.findings(setup.relations, rows)),
        "rows": [row.record() for row in rows],
    }
    write_json(setup.out / "results.json", summary)
    write_table(setup.out / "results.csv", CSV_FIELDS, map(_line, rows))
    study, name = setup.study, one_line(setup.dataset.name)
    title = f"# {name}: {'evaluation' if study is None else study.title}\n\n{MARKDOWN_MARK}\n"
    lists = [() if study is None else study.notes, [f"failed: {one_line(text)}" for text in failed]]
    parts = [title, *(notes(texts) for texts in lists if texts), relations_section(setup, rows)]
    parts = [*filter(None, parts), markdown(rows, setup.columns)]
    write_text(setup.out / "results.md", "\n".join(parts) + _elsewhere(setup, rows))


def relations_section(setup: Evaluation, rows: Sequence[Row]) -> str:
    """The relations that the rows are tested for, with a heading; empty where they are tested for none."""
    if setup.relations is None:
        return ""
    found = relations.findings(setup.relations, rows)
    return f"## Relations\n\n{relations.markdown(setup.relations, found)}"


def _description(one: Contender) -> dict[str, Any]:
    corruption = None if one.corruption is None else one.corruption.model_dump(mode="json")
    return {"detector": one.detector, "corruption": corruption, "together": one.together}


def _without_class(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != "class_name"}


def _as_it_is(setup: Evaluation) -> bool:
    return all(one.corruption is None for one in setup.contenders.values())


def _elsewhere(setup: Evaluation, rows: Sequence[Row]) -> str:
    """What others measured, in a section of its own."""
    parts = []
    if setup.study is not None and (text := studies.printed(setup.study)):
        parts.append(f"\n## What the source of this study prints (not measured here)\n\n{text}")
    if text := published.markdown(rows, setup.dataset.name, plain=_as_it_is(setup)):
        parts.append(f"\n## Published figures (not measured here)\n\n{text}")
    return "".join(parts)


def markdown(rows: Sequence[Row], columns: Sequence[tables.Column] = tables.COLUMNS) -> str:
    """All tables of our own measurements: per class and mean, intervals, all classes in one ranking, mean ranks, kinds.

    Args:
        rows: what `dusnet.evaluation.run.evaluate` returned.
        columns: of the first table.
    """
    rows = [replace(row, class_name=one_line(row.class_name), detector=one_line(row.detector)) for row in rows]
    parts = [tables.markdown(rows, columns)]
    for title, text in (
        ("How sure the means are", intervals.markdown(intervals.mean_intervals(rows))),
        ("All classes in one ranking", all_classes.markdown(all_classes.pooled(rows))),
        ("Mean rank", ranks.markdown(ranks.mean_ranks(rows))),
        ("Kinds of defects", kinds.markdown(kinds.kind_means(tables.counting(rows)))),
    ):
        if text:
            parts.append(f"## {title}\n\n{text}")
    return "\n".join(parts)


CSV_FIELDS: tuple[str, ...] = (
    "class",
    "detector",
    "seed",
    *metrics.METRICS,
    "false_alarms",
    "found",
    "recognized",
    "train_scans",
    "test_scans",
    "test_points",
    "train_seconds",
    "train_resumed",
    "calibrate_seconds",
    "score_seconds",
    "scans_per_second",
    "peak_memory_mib",
    "peak_memory_scope",
    "peak_gpu_mib",
    "model_mb",
    "device",
    "fingerprint",
)


def _line(row: Row) -> dict[str, Any]:
    """A row of `results.csv`; an empty field is a value that is undefined or was not measured."""
    record = row.record()
    return {**record, **record["metrics"], "class": row.class_name}
