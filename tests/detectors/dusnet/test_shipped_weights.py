"""Default settings and shipped weights on parts that these have not seen: defects score above all good scans."""

from __future__ import annotations

import pytest
from unseen_parts import KINDS, PARTS, scan

from dusnet.detectors import create
from dusnet.detectors.settings import Settings


@pytest.mark.parametrize("name", PARTS)
def test_defects_of_unseen_parts_are_found(name: str) -> None:
    """Every defect is above every good scan, and the points of a dent or bulge are above the others."""
    settings = Settings()
    assert settings.detector == "dusnet"
    detector = create(settings.detector, settings, seed=0)
    detector.fit([scan(name, "good", seed) for seed in range(4)])
    good = [detector.score(scan(name, "good", seed)).object_score for seed in (50, 51)]
    clouds = {kind: scan(name, kind, 60) for kind in KINDS}
    found = {kind: detector.score(cloud) for kind, cloud in clouds.items()}
    # Over five seeds 3 to 13 times (pebble) and 6 to 25 times (angle).
    assert min(one.object_score for one in found.values()) > max(good)
    for kind in ("dent", "bulge"):
        labels, scores = clouds[kind].labels, found[kind].point_scores
        assert labels is not None
        assert scores[labels].mean() > 5 * scores[~labels].mean(), kind  # 17 to 32 times over five seeds
