"""CRAS and PBAS on the small part: they find a dent, come back from their files, and take a stranger's features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_parts import motion, part, tiny

from dusnet.cloud import PointCloud
from dusnet.config import Settings
from dusnet.detectors import Detector, create, load_model
from dusnet.detectors.cras import CRAS
from dusnet.errors import BadModel

METHODS = ("cras", "pbas")
FEATURES = {"points": 1000, "places": 256, "replicas": 1, "smoothing": 8}
LEARNING = {"epochs": 60, "batch": 6, "places": 64, "width": 32, "discriminator_rate": 2e-3}


def settings(method: str, features: dict[str, object] | None = None, **changes: object) -> Settings:
    learning = LEARNING | {"adapter_rate" if method == "cras" else "projector_rate": 1e-3} | changes
    return tiny(method, features=FEATURES | (features or {}), **{method: learning})


@pytest.fixture(scope="module", params=METHODS)
def detector(request: pytest.FixtureRequest, good: list[PointCloud]) -> Detector:
    made = create(request.param, settings(request.param), seed=1)
    made.fit(good)
    return made


def test_a_dent_scores_higher_than_good_scans_and_lies_where_it_is(detector: Detector) -> None:
    fine = [detector.score(part(seed)) for seed in (10, 11, 12)]
    dented = part(20, dent=5.0)
    scores = detector.score(dented)
    assert scores.object_score > 1.2 * max(one.object_score for one in fine)
    assert dented.labels is not None
    inside = scores.point_scores[dented.labels]
    assert np.median(inside) > np.quantile(scores.point_scores[~dented.labels], 0.95)
    assert scores.point_scores.shape == (1200,)
    assert scores.point_scores.dtype == np.float32
    assert (scores.point_scores >= 0).all()
    assert scores.object_score == scores.point_scores.max()
    assert scores.score_length is None


def test_the_order_of_the_points_only_orders_the_scores(detector: Detector) -> None:
    scan = part(13)
    back = replace(scan, points=scan.points[::-1], labels=None)
    np.testing.assert_allclose(detector.score(back).point_scores[::-1], detector.score(scan).point_scores, atol=1e-5)


def test_a_model_file_scores_to_the_bit_as_what_wrote_it(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    scan = part(14, dent=3.0)
    np.testing.assert_array_equal(loaded.score(scan).point_scores, detector.score(scan).point_scores)


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_learn_equal_models_and_others_do_not(method: str, good: list[PointCloud]) -> None:
    found = []
    for seed in (1, 1, 2):
        made = create(method, settings(method, epochs=2), seed=seed)
        made.fit(good)
        found.append(made.score(part(10)).point_scores)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize("method", METHODS)
def test_a_training_that_was_interrupted_ends_like_one_that_was_not(
    method: str, good: list[PointCloud], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(method, epochs=4)
    chosen = chosen.model_copy(update={"training": chosen.training.model_copy(update={"checkpoint_every": 3})})
    whole = create(method, chosen)
    whole.fit(good)
    half = create(method, chosen)
    calls = []
    step = torch.optim.AdamW.step

    def interrupted(self: torch.optim.AdamW, *given: object) -> object:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return step(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            half.fit(good, workdir=tmp_path)
    assert any(tmp_path.glob("*.checkpoint.*"))
    half = create(method, chosen)
    half.fit(good, workdir=tmp_path, resume=True)
    np.testing.assert_array_equal(half.score(part(10)).point_scores, whole.score(part(10)).point_scores)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("cras", {"center": "single"}),
        ("cras", {"inputs": "residual"}),
        ("cras", {"ratio": "fixed", "adapter_layers": 0}),
        ("pbas", {"center": "clustering"}),
        ("pbas", {"center": "average", "direction": "gaussian"}),
        ("pbas", {"center": "iterative", "direction": "random"}),
    ],
)
def test_ablations_are_settings(
    method: str, changes: dict[str, object], good: list[PointCloud], tmp_path: Path
) -> None:
    made, plain = create(method, settings(method, epochs=2, **changes)), create(method, settings(method, epochs=2))
    for one in (made, plain):
        one.fit(good)
    scores = made.score(part(10)).point_scores
    assert not np.array_equal(scores, plain.score(part(10)).point_scores)
    made.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").score(part(10)).point_scores, scores)


def test_fpfh_is_another_extractor(good: list[PointCloud]) -> None:
    made = create("cras", settings("cras", {"extractor": "fpfh", "neighbors": (10,)}, epochs=2))
    made.fit(good)
    scores = made.score(part(10))
    assert np.isfinite(scores.point_scores).all()
    assert {"features", "scoring", "registration", "total"} <= set(scores.timings)


def radius(points: NDArray[np.float64], places: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """How far from the origin the point nearest to each place lies."""
    del normals
    nearest = torch.cdist(places.double(), torch.from_numpy(points)).argmin(dim=1)
    return torch.from_numpy(np.linalg.norm(points[nearest], axis=1, keepdims=True))


def test_features_of_the_callers_own_are_needed_again_to_load_the_model(good: list[PointCloud], tmp_path: Path) -> None:
    made = CRAS(settings("cras", epochs=20), extractor=radius)
    made.fit(good)
    made.save(tmp_path / "model.safetensors")
    scan = part(21, dent=5.0)
    scores = made.score(scan)
    assert scores.object_score > max(made.score(part(seed)).object_score for seed in (10, 11))
    with pytest.raises(BadModel, match="extractor"):
        load_model(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", extractor=radius)
    np.testing.assert_array_equal(loaded.score(scan).point_scores, scores.point_scores)


def test_a_view_of_one_side_is_judged_by_what_it_shows(good: list[PointCloud]) -> None:
    made = create("cras", settings("cras"))
    made.fit(good)
    whole = part(15)
    half = replace(whole, points=whole.points[whole.points[:, 0] > -5], labels=None)
    assert made.score(half).object_score < 1.5 * made.score(whole).object_score


def test_a_moved_scan_is_registered_first(good: list[PointCloud]) -> None:
    made = create("cras", settings("cras").model_copy(update={"registration": Settings().registration}))
    made.fit(good)
    scan = part(16)
    moved = scan.transformed(motion(8.0, (3.0, -2.0, 1.0)))
    assert made.score(moved).object_score == pytest.approx(made.score(scan).object_score, rel=0.3)
