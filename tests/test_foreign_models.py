"""Models that somebody else has written, of scans and of images: refused in one sentence, or right."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images.small_images import TINY, TinyBackbone, picture
from mutants import mutated_tensors, mutated_tree, refused_or_right
from PIL import Image

from dusnet.cloud import PointCloud
from dusnet.detectors import create, create_for_parts, load_model
from dusnet.detectors.base import Detector
from dusnet.detectors.calibration import Calibration, GoodScores
from dusnet.detectors.settings import Settings, load_settings
from dusnet.errors import BadModel
from dusnet.images import ImageDetector
from dusnet.io.tensors import read_tensors, write_tensors

Read = Callable[[Path], object]
FEW, MANY = 24, 320
"""Mutants of each kind of model, in the usual and in the slow tests."""
CALIBRATION = Calibration(
    left_out=GoodScores((0.01, 0.02, 0.03), (0.04, 0.05, 0.06)),
    added=GoodScores((0.02,), (0.05,)),
    source="three good scans",
)
FEATURES = {"points": 200, "places": 32, "replicas": 0}
CRR = {"steps": 2, "batch": 2, "width": 16, "heads": 2, "layers": 1, "damaged": 1, "defects": 1}
METHODS: dict[str, dict[str, Any]] = {
    "nearest": {},
    "template": {},
    "warp": {},
    "btf_raw": {"memory": {"points": 100}},
    "dusnet": {"guide": {"centers": 256}, "grouping": {"groups": 64}},
    "dusnet_paper": {},
    "cras": {"features": FEATURES, "cras": {"epochs": 1, "batch": 2}},
    "pbas": {"features": FEATURES, "pbas": {"epochs": 1, "batch": 2}},
    "crr": {"features": FEATURES, "crr": CRR},
    "offset": {
        "grouping": {"groups": 32, "neighbors": 16},
        "offset": {"patch_widths": (8, 8, 8), "width": 8, "heads": 2, "clouds": 2, "defects": 1, "batch": 2},
        "training": {"down": {"steps": 2}, "points": 400},
    },
}
OWN_NETWORKS = {
    "grouping": {"groups": 16, "neighbors": 16, "stride": 2},
    "down_net": {"patch_widths": (8, 8, 8), "width": 8, "layers": 0, "heads": 2, "fourier_octaves": 2},
    "up_net": {"gamma": 2, "neighbors": 4, "widths": (8, 8)},
    "training": {"down": {"steps": 1, "batch": 1}, "up": {"steps": 1, "batch": 1}, "points": 200},
}


def egg(seed: int, points: int = 500) -> PointCloud:
    """A lopsided egg of 40 mm."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(points, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x, y, z = direction.T
    return PointCloud(40 * (1 + 0.25 * x + 0.15 * x * y + 0.1 * y * z)[:, None] * direction * [1.0, 0.8, 0.6])


def flat(seed: int) -> PointCloud:
    """The egg, pressed to half its height."""
    return PointCloud(egg(seed).points * [1.0, 1.0, 0.5])


def settings_of(name: str, **more: Any) -> Settings:
    return Settings.model_validate({"detector": name, "registration": {"method": "none"}, **METHODS[name], **more})


def calibrated(detector: Detector) -> None:
    detector.calibration = CALIBRATION
    detector.provenance |= {"unit": "mm", "class": "egg"}


def model_of(name: str, path: Path, **more: Any) -> None:
    """Write a model of the eggs."""
    detector = create(name, settings_of(name, **more), seed=1)
    detector.fit([egg(0), egg(1)])
    calibrated(detector)
    detector.save(path)


def parts_model_of(name: str, path: Path) -> None:
    """Write one model of two parts."""
    model = create_for_parts(name, settings_of(name), seed=1)
    model.fit({"egg": [egg(0), egg(1)], "flat": [flat(0), flat(1)]})
    for detector in model.detectors:
        calibrated(detector)
    model.save(path)


def embedding_model_of(path: Path) -> None:
    """Write a model whose features are the patch embeddings of a small network."""
    network = path.with_name("network.safetensors")
    model_of("dusnet_paper", network, **OWN_NETWORKS)
    features = FEATURES | {"extractor": "down_net", "down_net": str(network)}
    model_of("cras", path, features=features, grouping=OWN_NETWORKS["grouping"])
    network.unlink()


def image_model_of(name: str, path: Path) -> None:
    """Write a model of two classes of images, or of one where it can learn no more."""
    rng = np.random.default_rng(1)
    brief = ("cras.epochs=1", "pbas.epochs=1", "crr.steps=2", "crr.damaged=1")
    model = ImageDetector(name, load_settings("images", (*TINY, *brief)), backbone=TinyBackbone(), seed=1)
    files: dict[str, list[Path]] = {}
    for kind, upright in {"upright": True, "level": False}.items():
        files[kind] = [path.with_name(f"{kind}{number}.png") for number in range(3)]
        for one in files[kind]:
            Image.fromarray(picture(rng, upright=upright)).save(one)
    model.fit({"upright": files["upright"]} if name == "pbas" else files)
    model.save(path)


def score_scan(path: Path) -> None:
    scan = egg(9, 120)
    scores = load_model(path).score(scan, explain=False)
    assert len(scores.point_scores) == len(scan)
    assert np.isfinite(scores.point_scores).all()
    assert math.isfinite(scores.object_score)
    assert scores.threshold is None or math.isfinite(scores.threshold)
    assert all(math.isfinite(one) for one in (scores.likeness or {}).values())


def score_image(path: Path) -> None:
    model = ImageDetector.load(path, backbone=TinyBackbone())
    size = model.settings.images.crop
    scores = model.score(np.random.default_rng(2).integers(0, 255, (size, size, 3), dtype=np.uint8))
    assert scores.pixels.shape == (size, size)
    assert np.isfinite(scores.pixels).all()
    assert math.isfinite(scores.object_score)
    assert all(math.isfinite(one) for one in scores.likeness.values())


def make(kind: str, path: Path) -> Read:
    """Write a model of this kind, and what reads it and scores with it."""
    name, _, of = kind.partition(" of ")
    if of == "parts":
        parts_model_of(name, path)
    elif of == "images":
        image_model_of(name, path)
        return score_image
    elif of == "embeddings":
        embedding_model_of(path)
    else:
        model_of(name, path)
    return score_scan


KINDS = (
    *METHODS,
    *("cras of parts", "crr of parts", "cras of embeddings"),
    *("cras of images", "pbas of images", "crr of images"),
)


def check_mutants(kind: str, count: int, folder: Path) -> None:
    path, rng = folder / "m.safetensors", random.Random(5)
    score = make(kind, path)
    score(path)
    tensors, metadata = read_tensors(path)
    read = refused = 0
    for number in range(count):
        changed, about = tensors, metadata
        if number % 5 < 3:
            about, what = mutated_tree(rng, metadata)
        else:
            changed, what = mutated_tensors(rng, tensors)
        write_tensors(path, changed, about)  # the checksum is that of the mutant
        right = refused_or_right(lambda: score(path), f"{kind}: {what}")
        read, refused = read + right, refused + (not right)
    assert read
    assert refused


@pytest.mark.parametrize("kind", ["nearest", "warp", "cras of parts", "cras of embeddings", "cras of images"])
def test_mutants_of_models(kind, tmp_path):
    check_mutants(kind, FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_many_mutants_of_models(kind, tmp_path):
    check_mutants(kind, MANY, tmp_path)


def test_a_model_that_asks_for_gigabytes_is_refused_before_it_gets_them(tmp_path):
    path = tmp_path / "m.safetensors"
    model_of("offset", path)
    tensors, metadata = read_tensors(path)
    metadata["settings"]["offset"] |= {"width": 8192, "layers": 8, "patch_widths": [8192, 8192, 8192]}
    write_tensors(path, tensors, metadata)
    start = time.monotonic()
    with pytest.raises(BadModel):
        load_model(path)
    assert time.monotonic() - start < 30  # 200 GB of weights would not be there by then


@pytest.mark.parametrize("key", ["format", "version", "detector"])
@pytest.mark.parametrize("value", ["\x1b[31m\nOK", "a" * 3000, ["x"] * 900, {"a": "\r\n"}, 10**400, None, "images:\n"])
def test_what_a_model_says_of_itself_is_shown_as_a_word(key, value, tmp_path):
    path = tmp_path / "m.safetensors"
    model_of("nearest", path)
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, {**metadata, key: value})
    for load in (load_model, lambda path: ImageDetector.load(path, backbone=TinyBackbone())):
        with pytest.raises(BadModel) as refused:
            load(path)
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 300 + len(str(path))
