"""Detectors that have learned the small part, made once."""

from __future__ import annotations

import pytest
from small_parts import capable, part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create


@pytest.fixture(scope="session")
def good() -> list[PointCloud]:
    """Three training scans."""
    return [part(seed) for seed in range(3)]


@pytest.fixture(scope="session")
def nearest(good: list[PointCloud]) -> Detector:
    detector = create("nearest", tiny("nearest"), seed=1)
    detector.fit(good)
    return detector


@pytest.fixture(scope="session")
def hasty(good: list[PointCloud]) -> Detector:
    """A DUS-Net of 20 steps: it computes everything and knows little."""
    detector = create("dusnet_paper", tiny(), seed=1)
    detector.fit(good)
    return detector


@pytest.fixture(scope="session")
def trained(good: list[PointCloud]) -> Detector:
    """A DUS-Net that knows the part."""
    detector = create("dusnet_paper", capable(), seed=1)
    detector.fit(good)
    return detector


QUICK = (
    "template",
    "warp",
    "btf_raw",
    "btf_fpfh",
    "patchcore",
    "patchcore_unaligned",
    "simple3d",
    "located_memory",
    "georeg",
    "cossad",
    "sdf",
)


@pytest.fixture(scope="session")
def quick(good: list[PointCloud]) -> dict[str, Detector]:
    """The detectors that learn in a moment, by name."""
    made = {name: create(name, tiny(name), seed=1) for name in QUICK}
    for detector in made.values():
        detector.fit(good)
    return made


@pytest.fixture(params=["nearest", "hasty", *QUICK])
def detector(request: pytest.FixtureRequest) -> Detector:
    """Each detector in turn."""
    if request.param in QUICK:
        by_name: dict[str, Detector] = request.getfixturevalue("quick")
        return by_name[request.param]
    made: Detector = request.getfixturevalue(request.param)
    return made
