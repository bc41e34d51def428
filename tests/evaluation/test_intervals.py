"""Bootstrap intervals: weighted areas against scikit-learn on repeated scans, twins together, coverage of the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
from test_tables import row

from dusnet.evaluation import intervals
from dusnet.evaluation.rows import ScanScore


def _scans(files, anomalous, scores):
    return tuple(
        ScanScore(file, "bulge" if bad else "good", bool(bad), float(score), None, 9, 0.1)
        for file, bad, score in zip(files, anomalous, scores, strict=True)
    )


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (intervals.weighted_auroc, sklearn.metrics.roc_auc_score),
        (intervals.weighted_average_precision, sklearn.metrics.average_precision_score),
    ],
)
def test_areas_of_draws_are_those_of_the_repeated_scans(rng, ours, reference):
    scores = rng.integers(0, 8, 30).astype(float)  # many are equal
    truth = rng.random(30) < 0.4
    counts = rng.integers(0, 4, (20, 30)).astype(float)
    for draw, found in zip(counts.astype(int), ours(scores, truth, counts), strict=True):
        assert found == pytest.approx(reference(np.repeat(truth, draw), np.repeat(scores, draw)), abs=1e-12)


def test_twins_are_drawn_together_and_each_truth_keeps_its_number(rng):
    files = ["test/1_good.pcd", "test/1_good_cut.pcd", "test/2_good.pcd", "test/3_bulge.pcd", "test/3_bulge_copy.pcd"]
    files += ["test/4_bulge.pcd"]
    counts = intervals.scan_counts(_scans(files, [0, 0, 0, 1, 1, 1], np.arange(6)), rng)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 3] == counts[:, 4]).all()
    assert (counts[:, 0] + counts[:, 2] == 2).all()  # two groups of good scans, two draws
    assert (counts[:, 3] + counts[:, 5] == 2).all()
    assert set(np.unique(counts)) == {0.0, 1.0, 2.0}


def test_scans_that_are_called_copy_are_no_twins(rng):
    counts = intervals.scan_counts(
        _scans(["test/_copy.pcd", "test/_cut.pcd", "test/b.pcd"], [0, 0, 1], np.arange(3)), rng
    )
    assert (counts[:, 0] != counts[:, 1]).any()


def test_the_interval_covers_the_mean_of_the_population_as_often_as_it_says(rng):
    """Scores of good scans are N(0, 1), of defective ones N(d, 1), d differs by class: the true areas are known."""
    from scipy.stats import norm

    population = norm.cdf(rng.normal(1.2, 0.4, 20_000) / np.sqrt(2)).mean()
    covered = 0
    for _ in range(40):
        rows = []
        for name in range(12):
            shift, truth = rng.normal(1.2, 0.4), np.arange(30) >= 15
            scores = rng.normal(size=30) + shift * truth
            files = [f"test/{at}.pcd" for at in range(30)]
            area = sklearn.metrics.roc_auc_score(truth, scores)
            rows.append(replace(row(class_name=f"class{name}", o_auroc=area), scans=_scans(files, truth, scores)))
        low, high = intervals.interval(rows, "o_auroc")
        covered += low <= population <= high
    # Drawing classes and scans makes the intervals rather wide: 40 of 40 held. Of 40 with 95 %, 33 do so nearly always.
    assert covered >= 33


def test_equal_rows_give_equal_intervals_and_one_class_gives_none():
    rows = [row(class_name=name, p_ap_pooled=value) for name, value in (("a", 0.2), ("b", 0.6), ("c", 0.7))]
    found = intervals.interval(rows, "p_ap_pooled")
    assert found == intervals.interval(list(reversed(rows)), "p_ap_pooled")
    assert found == (pytest.approx(0.2), pytest.approx(0.7))  # 1 in 27 draws takes one class three times
    assert intervals.interval(rows[:1], "p_ap_pooled") is None


def test_the_interval_of_object_scores_is_that_of_draws_made_one_by_one(rng):
    """Two seeds of two classes, against a plain bootstrap; 4000 draws differ by chance alone."""
    rows = []
    for name in ("lid", "tray", "vase"):
        truth = np.arange(24) >= 10
        files = [f"test/{at}.pcd" for at in range(24)]
        for seed in (0, 1):
            scores = rng.normal(size=24) + truth
            area = sklearn.metrics.roc_auc_score(truth, scores)
            rows.append(replace(row(class_name=name, seed=seed, o_auroc=area), scans=_scans(files, truth, scores)))
    plain = []
    for _ in range(4000):
        drawn = []
        for at in rng.integers(3, size=3):
            some = np.concatenate([rng.integers(0, 10, 10), rng.integers(10, 24, 14)])
            pair = rows[2 * at : 2 * at + 2]
            drawn.append(np.mean([_area([one.scans[index] for index in some]) for one in pair]))
        plain.append(np.mean(drawn))
    assert intervals.interval(rows, "o_auroc") == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.03)


def _area(scans):
    """Share of the pairs of a good and a defective scan that are in order; no two scores are equal."""
    good, bad = (np.array([one.object_score for one in scans if one.anomalous == truth]) for truth in (False, True))
    return (bad[:, None] > good).mean()


def test_the_table_names_mean_and_ends_and_is_left_out_for_one_class():
    rows = [row(class_name=name, value=value) for name, value in (("a", 0.5), ("b", 0.5))]
    rows = [replace(one, scans=_scans(["1.pcd", "2.pcd"], [0, 1], [0.1, 0.9])) for one in rows]
    (found,) = intervals.mean_intervals(rows)
    assert found.ends["p_ap_pooled"] == (0.5, 0.5)
    assert "| a | " in intervals.markdown([found])
    assert "0.500 (0.500 to 0.500)" in intervals.markdown([found])
    assert intervals.markdown(intervals.mean_intervals(rows[:1])) == ""
