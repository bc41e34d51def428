"""The metrics give what was published for a public run, from its scores of all test scans of Anomaly-ShapeNet."""

from __future__ import annotations

import csv
from collections import defaultdict

import numpy as np
import pytest

from dusnet.evaluation.metrics import object_ap, object_auroc


@pytest.mark.parametrize(("metric", "published"), [(object_auroc, 0.894797), (object_ap, 0.908544)])
def test_means_over_classes_are_the_published_ones(shared_data, metric, published):
    path = shared_data / "layouts" / "anomaly_shapenet_residuals.csv"
    if not path.is_file():
        pytest.skip(f"the scores of the public run are not at {path}")
    scores, labels = defaultdict(list), defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            scores[row["class"]].append(float(row["object_score"]))
            labels[row["class"]].append(row["is_anomalous"] == "1")
    assert sum(map(len, scores.values())) == 1312
    assert len(scores) == 40
    assert np.mean([metric(scores[one], labels[one]) for one in scores]) == pytest.approx(published, abs=5e-7)
