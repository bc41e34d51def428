from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dusnet.evaluation import tables
from dusnet.evaluation.metrics import METRICS
from dusnet.evaluation.rows import Row, plain
from dusnet.evaluation.tables import COLUMNS, markdown, means, per_class


def row(detector="a", class_name="vase", seed=0, value=0.5, seconds=1.0, **metrics):
    values = {name: metrics.get(name, value) for name in METRICS}
    return Row(
        detector=detector,
        class_name=class_name,
        seed=seed,
        metrics=values,
        reasons={name: "no normal scan among 3" for name, one in values.items() if math.isnan(one)},
        kinds=(),
        train_scans=4,
        test_scans=3,
        test_points=30,
        train_seconds=seconds,
        train_resumed=False,
        calibrate_seconds=None,
        score_seconds=seconds / 10,
        scans_per_second=10 / seconds,
        peak_memory_mib=100.0,
        peak_memory_scope="row",
        peak_gpu_mib=None,
        false_alarms=None,
        found=None,
        recognized=None,
        model_mb=2.0,
        device="cpu",
        scans=(),
        fingerprint="x",
    )


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def table(text):
    """The Markdown table as {(class, detector): {title: cell}}."""
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")]
    head = lines[0]
    return {(line[0], line[1]): dict(zip(head, line, strict=True)) for line in lines[2:]}


def test_means_count_every_class_the_same_and_spread_is_over_seeds():
    rows = [
        row(class_name="vase", seed=0, value=0.5),
        row(class_name="cup", seed=0, value=0.7),
        row(class_name="vase", seed=1, value=0.9),
        row(class_name="cup", seed=1, value=0.7),
    ]
    (mean,) = means(rows)
    assert mean.values["o_auroc"] == pytest.approx(0.7)  # seeds: 0.6 and 0.8
    assert mean.std_over_seeds["o_auroc"] == pytest.approx(0.1 * math.sqrt(2))
    assert (mean.classes, mean.seeds, mean.classes_counted["o_auroc"]) == (("vase", "cup"), (0, 1), 2)
    vase, cup = per_class(rows)
    assert (vase.values["p_ap_pooled"], vase.std_over_seeds["p_ap_pooled"]) == pytest.approx((0.7, 0.2 * math.sqrt(2)))
    assert (cup.values["p_ap_pooled"], cup.std_over_seeds["p_ap_pooled"]) == pytest.approx((0.7, 0.0))
    found = table(markdown(rows))
    assert found["mean of 2", "a"]["O-AUROC"] == "0.700 ± 0.141"
    assert found["vase", "a"]["P-AP pooled"] == "0.700 ± 0.283"


def test_a_seed_that_was_interrupted_is_left_out_of_the_mean_but_not_of_its_class():
    rows = [
        row(class_name="vase", value=0.4),
        row(class_name="cup", value=0.6),
        row(class_name="vase", seed=1, value=1.0),
    ]
    (mean,) = means(rows)
    assert mean.seeds == (0,)
    assert mean.values["o_ap"] == pytest.approx(0.5)
    assert math.isnan(mean.std_over_seeds["o_ap"])
    assert per_class(rows)[0].values["o_ap"] == pytest.approx(0.7)


def test_a_detector_without_a_threshold_has_no_false_alarms_to_show():
    bare, sure = row(), replace(row("b"), false_alarms=0.25, found=1.0)
    found = table(markdown([bare, sure]))
    assert (found["vase", "a"]["false alarms"], found["vase", "a"]["found"]) == ("–", "–")
    assert (found["vase", "b"]["false alarms"], found["mean of 1", "b"]["found"]) == ("0.25", "1.00")


def test_columns_are_always_the_same_and_in_order():
    expected = ["class", "detector", *(column.title for column in COLUMNS)]
    assert cells(markdown([row()]).splitlines()[0]) == expected
    assert {column.key for column in COLUMNS} >= set(METRICS)


def test_the_best_detector_of_a_class_is_bold_and_ties_share():
    rows = [
        row("a", value=0.91, o_ap=0.50001, seconds=2.0),
        row("b", value=0.90, o_ap=0.50002, seconds=1.0),
        row("c", value=math.nan, o_ap=0.2, seconds=3.0),
    ]
    found = table(markdown(rows))
    assert [found["vase", name]["O-AUROC"] for name in "abc"] == ["**0.910**", "0.900", "–"]
    assert [found["vase", name]["O-AP"] for name in "abc"] == ["**0.500**", "**0.500**", "0.200"]
    assert [found["vase", name]["train s"] for name in "abc"] == ["2.0", "**1.0**", "3.0"]
    assert [found["vase", name]["scans/s"] for name in "abc"] == ["5.00", "**10.00**", "3.33"]
    assert found["mean of 1", "a"]["P-AUROC clouds"] == "**0.910**"


def test_no_contest_no_bold():
    assert "**" not in markdown([row("a"), row("a", "cup", value=0.9)])
    # Means over different classes say nothing about each other.
    found = table(markdown([row("a"), row("a", "cup", value=0.9), row("b")]))
    assert "**" not in "".join(found["mean of 2", "a"].values()) + "".join(found["mean of 1", "b"].values())


def test_undefined_metrics_are_explained():
    text = markdown([row(o_auroc=math.nan, o_ap=math.nan), row(class_name="cup", value=0.8)])
    assert table(text)["vase", "a"]["O-AUROC"] == "–"
    assert table(text)["mean of 2", "a"]["O-AUROC"] == "0.800"
    assert "* vase: O-AUROC, O-AP undefined, no normal scan among 3.\n" in text
    assert "* a: the mean of O-AUROC covers 1 of 2 classes.\n" in text
    assert plain(means([row(o_auroc=math.nan)]))[0]["values"]["o_auroc"] is None


def test_names_do_not_break_the_table():
    found = [line for line in markdown([row("a|b", "x|y")]).splitlines() if line.startswith("| x")]
    assert found[0].startswith(r"| x\|y | a\|b |")


def test_no_rows_at_all():
    assert markdown([]) == "No rows yet.\n"
    assert means([]) == []


def test_conventions_cover_every_column():
    for column in COLUMNS:
        assert column.key in METRICS or column.key in tables.CONVENTIONS
