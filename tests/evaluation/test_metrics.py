from __future__ import annotations

import doctest
from itertools import pairwise

import numpy as np
import pytest

from dusnet.evaluation import metrics
from dusnet.evaluation.metrics import aupro, f1_max, measure, object_ap, object_auroc, point_ap, point_auroc

METRIC = {"auroc": object_auroc, "ap": object_ap}


def pair_auroc(scores, labels):
    """Share of (anomalous, normal) pairs in the right order, ties one half; O(n^2)."""
    wins, pairs = 0.0, 0
    for s, y in zip(scores, labels, strict=True):
        for t, z in zip(scores, labels, strict=True):
            if y and not z:
                pairs += 1
                wins += 1.0 if s > t else 0.5 if s == t else 0.0
    return wins / pairs


def sweep(scores, labels):
    """(threshold, true positives, false positives) counted anew at each distinct score, highest first; O(n^2)."""
    for threshold in sorted(set(scores), reverse=True):
        hits = [y for s, y in zip(scores, labels, strict=True) if s >= threshold]
        yield threshold, sum(hits), len(hits) - sum(hits)


def step_ap(scores, labels):
    total, area, before = sum(labels), 0.0, 0.0
    for _, hits, false in sweep(scores, labels):
        area += (hits / total - before) * hits / (hits + false)
        before = hits / total
    return area


def test_hand_worked_example():
    scores, labels = [0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, True, False]
    # Pairs: 0.9 beats both normals, 0.7 and 0.6 beat only 0.5: 4 of 6.
    assert object_auroc(scores, labels) == pytest.approx(4 / 6)
    # Precision 1/1, 2/3 and 3/4 where recall rises by a third.
    assert object_ap(scores, labels) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # At 0.6: 3 of 4 predictions right, all 3 found: F1 = 6/7.
    assert f1_max(scores, labels) == pytest.approx((6 / 7, 0.6))


@pytest.mark.parametrize("levels", [2, 5, 40, 10**6])
def test_areas_agree_with_counting_pairs_whatever_the_ties(rng, levels):
    for size in (2, 7, 60):
        scores = rng.integers(0, levels, size).astype(float) * 3.7 - 50.0
        labels = rng.random(size) < 0.3
        labels[:2] = (True, False)
        assert object_auroc(scores, labels) == pytest.approx(pair_auroc(scores, labels), abs=1e-12)
        assert object_ap(scores, labels) == pytest.approx(step_ap(scores.tolist(), labels.tolist()), abs=1e-12)
        best = max(
            2 * hits / (hits + false + labels.sum()) for _, hits, false in sweep(scores.tolist(), labels.tolist())
        )
        value, threshold = f1_max(scores, labels)
        assert value == pytest.approx(best, abs=1e-12)
        chosen = scores >= threshold
        assert 2 * (chosen & labels).sum() / (chosen.sum() + labels.sum()) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("name", METRIC)
def test_unbounded_scores_survive_where_a_sigmoid_loses_everything(rng, name):
    labels = np.repeat([False, True], 500)
    scores = rng.normal(np.where(labels, 40.0, 30.0), 1.0).astype(np.float32)
    assert scores[labels].min() > scores[~labels].max()
    assert METRIC[name](scores, labels) == 1.0
    squashed = (1.0 / (1.0 + np.exp(-scores, dtype=np.float32))).astype(np.float32)
    assert METRIC[name](squashed, labels) < 0.9, "the trap this test guards against has gone; choose harder numbers"


@pytest.mark.parametrize("name", METRIC)
@pytest.mark.parametrize(
    "transform",
    [lambda s: 1e6 * s - 3e7, lambda s: np.exp(s / 4), lambda s: s**3, lambda s: s / 1e9, lambda s: -1.0 / s],
)
def test_only_the_order_of_scores_counts(rng, name, transform):
    labels = rng.random(300) < 0.4
    scores = rng.normal(np.where(labels, 31.0, 30.0), 1.0).astype(np.float32).astype(np.float64)
    assert (scores > 0).all()
    assert METRIC[name](transform(scores), labels) == METRIC[name](scores, labels)
    assert f1_max(transform(scores), labels)[0] == f1_max(scores, labels)[0]


def test_neighbouring_float32_scores_are_told_apart():
    low = np.float32(1e6)
    high = np.nextafter(low, np.float32(np.inf), dtype=np.float32)
    assert object_auroc(np.array([low, high]), np.array([False, True])) == 1.0


@pytest.mark.parametrize("function", [object_auroc, object_ap, lambda s, y: f1_max(s, y)[0]])
@pytest.mark.parametrize("labels", [[], [True, True], [False, False]])
def test_one_label_gives_nan_and_a_reason(function, labels):
    assert np.isnan(function(np.arange(len(labels), dtype=float), np.array(labels, dtype=bool)))
    assert metrics.why_undefined(labels, "scan")
    assert metrics.why_undefined([True, False]) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("labels", [[True, False, True], [True, True, True]])
def test_scores_that_are_not_finite_are_an_error(bad, labels):
    for function in (object_auroc, object_ap, f1_max):
        with pytest.raises(ValueError, match="1 NaN or infinite"):
            function([1.0, bad, 2.0], labels)
    with pytest.raises(ValueError, match="NaN"):
        point_auroc([np.array([1.0, bad, 2.0])], [np.array(labels)])


def test_wrong_shapes_and_labels_are_errors():
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\)"):
        object_auroc([1.0, 2.0, 3.0], [True, False])
    with pytest.raises(ValueError, match="0 and 1"):
        object_auroc([1.0, 2.0], [1, 2])
    with pytest.raises(ValueError, match="2 clouds and 1"):
        point_ap([np.ones(2), np.ones(2)], [np.array([True, False])])
    with pytest.raises(ValueError, match="pooled"):
        point_ap([np.ones(2)], [np.array([True, False])], average="mean")
    assert object_auroc([1.0, 2.0], [0, 1]) == 1.0


def test_pooled_and_per_cloud_averages_differ_as_they_must():
    # Each cloud alone is perfect, but the second one's normal points outscore the first one's defect.
    scores = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([0.0, 0.5])]
    labels = [np.array([False, True]), np.array([False, True]), np.array([False, False])]
    assert point_auroc(scores, labels, average="clouds") == 1.0
    assert point_ap(scores, labels, average="clouds") == 1.0
    # Pooled: normal 1, 3, 0, 0.5 against defect 2, 4: 3 + 4 of 8 pairs; precision 1/1 and 2/3.
    assert point_auroc(scores, labels) == pytest.approx(7 / 8)
    assert point_ap(scores, labels) == pytest.approx((1 + 2 / 3) / 2)


def test_normal_clouds_do_not_enter_the_per_cloud_mean():
    scores = [np.array([2.0, 1.0]), np.array([5.0, 6.0])]
    labels = [np.array([False, True]), np.array([False, False])]
    assert point_auroc(scores, labels, average="clouds") == 0.0
    assert np.isnan(point_auroc(scores[1:], labels[1:], average="clouds"))
    assert np.isnan(point_auroc([], []))


def brute_aupro(scores, labels, regions, limit):
    normal = np.concatenate([s[~y] for s, y in zip(scores, labels, strict=True)])
    parts = [s[y & (r == n)] for s, y, r in zip(scores, labels, regions, strict=True) for n in np.unique(r[y])]
    curve = [(0.0, 0.0)]
    for threshold in sorted(set(np.concatenate(scores)), reverse=True):
        curve.append(((normal >= threshold).mean(), np.mean([(part >= threshold).mean() for part in parts])))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + y_end) / 2
    return area / limit


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_agrees_with_sweeping_thresholds_over_regions(rng, limit):
    for levels in (6, 10**6):
        regions = [rng.integers(-1, 3, size) for size in (40, 60, 30)]
        regions[2][:] = -1
        labels = [number >= 0 for number in regions]
        scores = [rng.integers(0, levels, len(y)) / levels + 0.3 * y for y in labels]
        expected = brute_aupro(scores, labels, regions, limit)
        assert aupro(scores, labels, regions, limit=limit) == pytest.approx(expected, abs=1e-12)


def test_aupro_counts_a_small_region_like_a_large_one():
    # The region of one point is found, the one of 9 is missed: half the regions, a tenth of the points.
    scores = [np.concatenate([[9.0], np.zeros(9), np.linspace(1, 2, 50)])]
    labels = [np.arange(60) < 10]
    regions = [np.array([0] + [1] * 9 + [-1] * 50)]
    assert aupro(scores, labels, regions) == pytest.approx(0.5)


def test_measure_reports_everything_with_reasons():
    labels = [np.array([False, False]), np.array([False, True])]
    scores = [np.array([1.0, 2.0]), np.array([1.0, 3.0])]
    regions = [np.array([-1, -1]), np.array([-1, 0])]
    full = measure([2.0, 3.0], [False, True], scores, labels, regions)
    assert set(full.values) == set(metrics.METRICS)
    assert full.reasons == {}
    assert all(value == 1.0 for value in full.values.values())

    only_bad = measure([3.0], [True], scores[1:], labels[1:], regions[1:])
    assert np.isnan(only_bad.values["o_auroc"])
    assert only_bad.reasons["o_auroc"] == "no normal scan among 1"
    assert only_bad.values["p_auroc_pooled"] == 1.0

    unlabelled = measure([2.0, 3.0], [False, True], scores, None)
    assert unlabelled.values["o_auroc"] == 1.0
    assert {name for name in metrics.METRICS if name.startswith("p_")} == set(unlabelled.reasons)
    assert "no labels" in unlabelled.reasons["p_aupro"]


def test_measure_agrees_with_its_parts(rng):
    labels = [rng.random(50) < 0.2 for _ in range(4)]
    scores = [rng.normal(size=50).astype(np.float32) + label for label in labels]
    found = measure([1.0, 5.0, 2.0, 3.0], [False, True, False, True], scores, labels).values
    assert found["p_auroc_pooled"] == pytest.approx(pair_auroc(np.concatenate(scores), np.concatenate(labels)))
    assert found["p_auroc_clouds"] == pytest.approx(
        np.mean([pair_auroc(s, y) for s, y in zip(scores, labels, strict=True)])
    )
    assert found["p_ap_clouds"] == pytest.approx(
        np.mean([step_ap(s.tolist(), y.tolist()) for s, y in zip(scores, labels, strict=True)])
    )


def test_examples_in_the_documentation_hold():
    result = doctest.testmod(metrics)
    assert result.attempted > 3
    assert result.failed == 0
