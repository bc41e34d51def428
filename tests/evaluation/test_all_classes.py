"""All classes in one ranking, against scikit-learn over values gathered by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from small_benchmark import FILE_BYTES, Factory, FactoryForParts, evaluate
from test_tables import cells, row

from dusnet.detectors.settings import Settings
from dusnet.evaluation.all_classes import COLUMNS, CONVENTIONS, markdown, pooled
from dusnet.evaluation.contender import Contender
from dusnet.evaluation.report import markdown as whole
from dusnet.evaluation.rows import Row, ScanScore, plain


def with_scans(detector: str, name: str, seed: int, count: int, **changes: object) -> Row:
    """A row of `count` scans with random scores, each with a threshold of its own."""
    rng = np.random.default_rng([seed, count])
    high = rng.random(count) + 0.2 * (np.arange(count) % 2 == 0)
    scans = tuple(
        ScanScore(f"{name}{at}", "dent", at % 2 == 0, float(high[at]), rng.random() + 0.1, 9, 0.1 * at)
        for at in range(count)
    )
    return replace(row(detector, name, seed), scans=scans, test_scans=count, **changes)


def by_hand(*rows: Row) -> tuple[float, float]:
    """O-AUROC and O-AP of all scans of these rows."""
    relative = [scan.object_score / scan.threshold for one in rows for scan in one.scans]
    truth = [scan.anomalous for one in rows for scan in one.scans]
    return float(roc_auc_score(truth, relative)), float(average_precision_score(truth, relative))


def test_scans_of_all_classes_are_ranked_over_their_thresholds():
    rows = [
        with_scans("a", name, seed, count, train_seconds=10.0 * count + seed, model_mb=float(count))
        for name, count in (("vase", 8), ("cup", 5))
        for seed in (0, 1)
    ]
    (line,) = pooled(rows)
    assert (line.classes, line.seeds, line.scans, line.together) == (("vase", "cup"), (0, 1), 13, False)
    each = [by_hand(*(one for one in rows if one.seed == seed)) for seed in (0, 1)]
    assert each[0] != each[1]
    for at, key in enumerate(("o_auroc", "o_ap")):
        assert line.values[key] == pytest.approx(np.mean([one[at] for one in each]), abs=1e-12)
        assert line.std_over_seeds[key] == pytest.approx(np.std([one[at] for one in each], ddof=1), abs=1e-12)
    assert math.isnan(line.values["recognized"])
    assert (line.values["train_seconds"], line.std_over_seeds["train_seconds"]) == pytest.approx((131.0, math.sqrt(2)))
    assert line.values["model_mb"] == 13.0, "a file per class"
    assert line.values["score_seconds"] == pytest.approx(0.3), "the median over scans, not over classes"


def test_one_model_counts_once_and_every_scan_that_it_recognized_the_same():
    rows = [
        with_scans("a", "vase", 0, 8, train_seconds=30.0, model_mb=7.0, recognized=0.5),
        with_scans("a", "cup", 0, 2, train_seconds=12.0, train_resumed=True, model_mb=7.0, recognized=1.0),
    ]
    (line,) = pooled(rows)
    assert line.together
    assert line.values["recognized"] == pytest.approx((4 + 2) / 10)
    assert (line.values["train_seconds"], line.values["model_mb"]) == (30.0, 7.0)
    assert plain(line)["values"]["recognized"] == line.values["recognized"]
    assert plain(line)["std_over_seeds"]["o_auroc"] is None


def test_who_has_no_positive_threshold_or_one_class_only_is_left_out():
    rows = [with_scans("a", name, 0, 4) for name in ("vase", "cup")]
    bare = [with_scans("b", name, 0, 4) for name in ("vase", "cup")]
    for threshold in (None, 0.0, -1.0):
        scans = (*bare[1].scans[:-1], replace(bare[1].scans[-1], threshold=threshold))
        assert [one.detector for one in pooled([*rows, bare[0], replace(bare[1], scans=scans)])] == ["a"]
    assert pooled([*rows[:1], bare[0]]) == []
    assert pooled([]) == []
    assert markdown([]) == ""
    assert "All classes in one ranking" not in whole(rows[:1])
    assert "## All classes in one ranking\n" in whole(rows)


def test_a_seed_that_was_interrupted_is_left_out():
    rows = [with_scans("a", name, 0, 6) for name in ("vase", "cup")]
    (line,) = pooled([*rows, with_scans("a", "vase", 1, 6)])
    assert line.seeds == (0,)
    assert line.values["o_auroc"] == pytest.approx(by_hand(*rows)[0], abs=1e-12)
    assert math.isnan(line.std_over_seeds["o_auroc"])


def test_the_table_says_what_was_measured():
    rows = [with_scans("a|b", name, seed, 6) for name in ("vase", "cup") for seed in (0, 1)]
    rows += [with_scans("c", name, 0, 4, recognized=1.0, train_seconds=5.0) for name in ("vase", "cup")]
    lines = pooled(rows)
    text = markdown(lines).splitlines()
    assert cells(text[0])[4:] == [column.title for column in COLUMNS]
    assert text[2].startswith(r"| a\|b | one per class | 2 | 12 | ")
    assert f"| {lines[0].values['o_auroc']:.3f} ± {lines[0].std_over_seeds['o_auroc']:.3f} |" in text[2]
    found = cells(text[3])
    assert found[:4] == ["c", "one for all", "2", "8"]
    assert found[4] == f"{lines[1].values['o_auroc']:.3f}"
    assert found[6:9] == ["1.000", "5.0", "2.0"]
    assert " | – | " in text[2]
    assert [line for line in text if line.startswith("* O-AP: ")]
    assert set(CONVENTIONS) == {column.key for column in COLUMNS}


def test_the_files_of_an_evaluation_hold_it(dataset, tmp_path):
    entries = [Contender("near", "near", Settings()), Contender("near (one model)", "near", Settings(), together=True)]
    made = {"create": Factory(), "create_for_parts": FactoryForParts()}
    rows = evaluate(dataset, entries, out=tmp_path, calibrate=False, **made)
    data = json.loads((tmp_path / "results.json").read_text())
    assert data["schema_version"] == 3
    assert [line["detector"] for line in data["all_classes"]] == ["near", "near (one model)"]
    for line, one in zip(data["all_classes"], entries, strict=True):
        mine = [found for found in rows if found.detector == one.name]
        assert line["values"]["o_auroc"] == pytest.approx(by_hand(*mine)[0], abs=1e-12)
    alone, shared = (line["values"] for line in data["all_classes"])
    assert (alone["recognized"], shared["recognized"]) == (None, 8 / 10)
    assert alone["model_mb"] == shared["model_mb"] == 2 * FILE_BYTES / 1e6
    assert alone["train_seconds"] == sum(one.train_seconds for one in rows if not one.together)
    assert shared["train_seconds"] == rows[1].train_seconds
    assert set(data["all_classes_conventions"]) == set(alone)
    assert "| near (one model) | one for all | 2 | 10 | " in (tmp_path / "results.md").read_text()
    fields = (tmp_path / "results.csv").read_text().splitlines()
    table = [dict(zip(fields[0].split(","), line.split(","), strict=True)) for line in fields[1:]]
    assert [(line["recognized"], line["model_mb"]) for line in table] == [
        ("", "2.5"),
        ("0.6", "5.0"),
        ("", "2.5"),
        ("1.0", "5.0"),
    ]
