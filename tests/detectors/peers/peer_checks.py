"""What the tests of the feature peers have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from small_parts import part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create, load_model


def fitted(name: str, clouds: Sequence[PointCloud], **changes: object) -> Detector:
    """The detector, trained on the clouds; `changes` are sections of the settings."""
    detector = create(name, tiny(name, **changes), seed=1)
    detector.fit(clouds)
    return detector


def check_permutation(detector: Detector) -> None:
    """The order of the points decides nothing but the order of the scores."""
    cloud = part(9, dent=6)
    order = np.random.default_rng(0).permutation(len(cloud))
    straight, permuted = detector.score(cloud), detector.score(cloud.select(order))
    np.testing.assert_array_equal(permuted.point_scores, straight.point_scores[order])
    assert permuted.object_score == pytest.approx(straight.object_score, rel=1e-9)


def check_round_trip(detector: Detector, folder: Path) -> None:
    """A loaded model is the model."""
    path = folder / "model.safetensors"
    detector.save(path)
    loaded = load_model(path)
    assert type(loaded) is type(detector)
    for cloud in (part(9, dent=6), part(10, points=3000)):
        expected, found = detector.score(cloud), loaded.score(cloud)
        np.testing.assert_array_equal(found.point_scores, expected.point_scores)
        assert found.object_score == expected.object_score


def check_finds_the_dent(name: str, least: float, *, objects: bool = True) -> None:
    """Dents of 3 mm, on a part of 40 mm radius with 3000 points, have the highest scores.

    Args:
        name: of the detector.
        least: area under the ROC curve that the points of every dented part reach. The lowest of three parts, over five
            seeds and three BLAS kernels: btf_raw .90 with a deviation of .03, btf_fpfh and patchcore .982 and .015,
            located_memory .998 and .001, simple3d .948 and .014.
        objects: whether all dented parts must also score above all good ones.
    """
    detector = fitted(name, [part(seed, points=3000) for seed in range(3)], scoring={})
    good = [detector.score(part(seed, points=3000)) for seed in range(30, 33)]
    dented = [part(seed, points=3000, dent=3) for seed in range(40, 43)]
    scores = [detector.score(cloud) for cloud in dented]
    for cloud, found in zip(dented, scores, strict=True):
        assert roc_auc_score(cloud.labels, found.point_scores) > least
    if objects:
        assert min(one.object_score for one in scores) > max(one.object_score for one in good)
