from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from small_benchmark import Factory, evaluate
from test_tables import cells, row

from dusnet.detectors.settings import Settings
from dusnet.evaluation import kinds, ranks, tables
from dusnet.evaluation.kinds import kind_means, measure_kinds
from dusnet.evaluation.ranks import mean_ranks, ranks_of
from dusnet.evaluation.report import markdown
from dusnet.evaluation.rows import KindScore, Row, ScanScore, plain


def scan(kind: str, score: float) -> ScanScore:
    return ScanScore(f"{kind}{score}", kind, kind != "good", score, None, 4, 0.1)


def test_ranks_by_hand():
    assert ranks_of([0.9, 0.7, 0.9, 0.5]) == [1.5, 3.0, 1.5, 4.0]
    assert ranks_of([0.1 + 0.2, 0.3]) == [1.5, 1.5], "a difference of rounding is none"
    rows = [
        # vase, seed 0: a, b tie for first, c third; seed 1: c, b, a; cup, seed 0: b, then a and c.
        *(row("a", "vase", 0, 0.9), row("b", "vase", 0, 0.9), row("c", "vase", 0, 0.5)),
        *(row("a", "vase", 1, 0.1), row("b", "vase", 1, 0.2), row("c", "vase", 1, 0.3)),
        *(row("a", "cup", 0, 0.4), row("b", "cup", 0, 0.8), row("c", "cup", 0, 0.4)),
    ]
    by_name = {one.detector: one.mean_rank["o_auroc"] for one in mean_ranks(rows)}
    assert by_name == pytest.approx({"a": (1.5 + 3 + 2.5) / 3, "b": (1.5 + 2 + 1) / 3, "c": (3 + 1 + 2.5) / 3})
    text = ranks.markdown(mean_ranks(rows))
    assert [cells(line)[0] for line in text.splitlines()[2:5]] == ["b", "c", "a"]
    assert cells(text.splitlines()[2])[1] == "1.50"


def test_only_what_all_have_is_ranked():
    rows = [row("a"), row("b", value=0.4), row("b", "cup", value=0.9), row("a", "jar", value=0.1), row("b", "jar")]
    rows = [
        *rows,
        row("a", "lid", value=0.3, o_auroc=math.nan),
        row("b", "lid", value=0.2, o_auroc=math.nan),
    ]
    a, b = mean_ranks(rows)
    assert (a.mean_rank["o_auroc"], a.counted["o_auroc"]) == (1.5, 2)
    assert (a.mean_rank["p_ap_pooled"], a.counted["p_ap_pooled"]) == (pytest.approx(4 / 3), 3)
    assert b.mean_rank["o_auroc"] == 1.5
    assert plain(mean_ranks([row("a"), row("b", "cup")]))[0]["mean_rank"]["o_auroc"] is None
    assert ranks.markdown(mean_ranks([row("a")])) == "", "one detector has no rank"
    assert mean_ranks([]) == []


def test_kinds_by_scikit_learn():
    rng = np.random.default_rng(3)
    scans = [scan("good", value) for value in rng.random(5)]
    scans += [scan("dent", value) for value in rng.random(4) + 0.3] + [scan("hole", value) for value in rng.random(3)]
    points = [rng.random(50).astype(np.float32) for _ in scans]
    labels = [rng.random(50) < (0.2 if one.anomalous else 0.0) for one in scans]
    found = measure_kinds(scans, points, labels)
    assert [(one.kind, one.scans) for one in found] == [("dent", 4), ("hole", 3)]
    for one in found:
        among = [entry for entry in scans if entry.kind in ("good", one.kind)]
        assert one.o_auroc == roc_auc_score([e.anomalous for e in among], [e.object_score for e in among])
        mine = [number for number, entry in enumerate(scans) if entry.kind == one.kind]
        truth = np.concatenate([labels[number] for number in mine])
        values = np.concatenate([points[number] for number in mine]).astype(np.float64)
        assert one.p_auroc == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
        assert one.p_ap == pytest.approx(average_precision_score(truth, values), abs=1e-12)


def test_what_labels_do_not_define_is_nan():
    scans = [scan("dent", 1.0), scan("hole", 2.0)]
    dent, hole = measure_kinds(scans, [np.ones(4, np.float32)] * 2, [np.array([True, False, False, False]), None])
    assert math.isnan(dent.o_auroc), "there is no good scan"
    assert dent.p_auroc == 0.5
    assert math.isnan(hole.p_auroc)
    assert plain(dent)["o_auroc"] is None
    assert measure_kinds([scan("good", 1.0)], [np.ones(4, np.float32)], [np.zeros(4, bool)]) == ()


def test_means_of_kinds_count_every_class_the_same():
    def with_kinds(name, seed, *scores):
        return replace(row("a", name, seed), kinds=tuple(KindScore(*score) for score in scores))

    rows = [
        with_kinds("vase", 0, ("dent", 9, 0.8, 0.6, 0.4), ("hole", 2, 0.5, 0.5, math.nan)),
        with_kinds("cup", 0, ("dent", 1, 0.4, 0.2, 0.2)),
        with_kinds("vase", 1, ("dent", 9, 1.0, 0.6, 0.4), ("hole", 2, 0.7, 0.5, math.nan)),
        with_kinds("cup", 1, ("dent", 1, 0.4, 0.2, 0.2)),
        with_kinds("vase", 2, ("dent", 9, 0.0, 0.0, 0.0)),  # interrupted: no cup
    ]
    dent, hole = kind_means(tables.counting(rows))
    assert (dent.kind, dent.scans, dent.classes) == ("dent", 10, ("vase", "cup"))
    assert dent.values == pytest.approx({"o_auroc": (0.6 + 0.7) / 2, "p_auroc": 0.4, "p_ap": 0.3})
    assert (hole.values["o_auroc"], hole.counted["p_ap"]) == (pytest.approx(0.6), 0)
    assert plain(hole)["values"]["p_ap"] is None
    lines = [cells(line) for line in kinds.markdown([dent, hole]).splitlines() if line.startswith("|")]
    assert lines[2] == ["dent", "a", "2", "10", "0.650", "0.400", "0.300"]
    assert lines[3] == ["hole", "a", "1", "2", "0.600", "0.500", "–"]


def test_rows_keep_their_kinds_and_the_files_show_them(dataset, tmp_path):
    out = tmp_path / "out"
    options = {"settings": Settings(), "out": out, "calibrate": False}
    rows = evaluate(dataset, ["near", "flat"], create=Factory(), **options)
    assert [kind.kind for kind in rows[0].kinds] == ["bump"]
    assert rows[0].kinds[0].o_auroc == rows[0].metrics["o_auroc"], "there is only one kind"
    assert Row.from_record(json.loads(json.dumps(rows[0].record()))) == rows[0]
    again = Factory()
    assert evaluate(dataset, ["near", "flat"], create=again, **options) == rows
    assert again.fits == []
    data = json.loads((out / "results.json").read_text())
    assert data["schema_version"] == 3
    assert [(one["detector"], one["mean_rank"]["o_auroc"]) for one in data["mean_ranks"]] == [("near", 1), ("flat", 2)]
    assert {(one["kind"], one["detector"]) for one in data["kinds"]} == {("bump", "near"), ("bump", "flat")}
    text = (out / "results.md").read_text()
    assert "## Mean rank\n" in text
    assert "## Kinds of defects\n" in text
    assert text.endswith(markdown(rows))
