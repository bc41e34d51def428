"""Default settings and shipped weights on parts that these have not seen: defects score above all good scans."""

from __future__ import annotations

import numpy as np
import pytest
from unseen_parts import KINDS, PARTS, scan

from dusnet.config import Settings
from dusnet.detectors import create


@pytest.mark.parametrize("name", PARTS)
def test_defects_of_unseen_parts_are_found(name: str) -> None:
    """The lowest score of the defects is at least twice the highest of the good scans."""
    settings = Settings()
    assert settings.detector == "dusnet"
    assert settings.guide.enabled
    detector = create(settings.detector, settings, seed=0)
    detector.fit([scan(name, "good", seed) for seed in range(4)])
    good = [detector.score(scan(name, "good", seed)).object_score for seed in (50, 51)]
    found = {kind: detector.score(scan(name, kind, 60)) for kind in KINDS}
    assert min(one.object_score for one in found.values()) > 2 * max(good)
    for kind in ("dent", "bulge"):
        cloud = scan(name, kind, 60)
        assert cloud.labels is not None
        assert cloud.labels[np.argmax(found[kind].point_scores)], kind
