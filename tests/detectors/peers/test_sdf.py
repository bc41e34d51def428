"""The signed distance function: its targets, its network, and what it has learned of a sphere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peer_checks import check_permutation, check_round_trip, fitted
from small_parts import part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create, load_model
from dusnet.detectors.peers.sdf.network import SDFNet, encoded
from dusnet.detectors.peers.sdf.samples import Samples, SurfaceField
from dusnet.detectors.peers.sdf.stage import clamped_loss
from dusnet.errors import BadModel

SPHERE = 0.7


def directions(seed: int, count: int) -> NDArray[np.float64]:
    found = np.random.default_rng(seed).normal(size=(count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def sphere(seed: int, count: int = 4000) -> PointCloud:
    """A scan of a sphere, radius 1: the frame of the class."""
    return PointCloud(directions(seed, count) + np.random.default_rng(seed).normal(scale=1e-3, size=(count, 3)))


@pytest.fixture(scope="module")
def sdf(good: list[PointCloud]) -> Detector:
    return fitted("sdf", good)


class TestSamples:
    def test_distances_from_a_sphere(self) -> None:
        field = SurfaceField.of(SPHERE * directions(0, 4000), seed=0)
        assert field.signed
        radii = np.random.default_rng(1).uniform(0.3, 1.6, size=(500, 1))
        expected = radii[:, 0] - SPHERE
        # Rims of flat discs stand off the sphere: .0033 at most.
        np.testing.assert_allclose(field.distance(radii * directions(2, 500)), expected, atol=8e-3)

    def test_a_sheet_has_no_inside(self) -> None:
        flat = np.random.default_rng(0).uniform(-0.7, 0.7, size=(3000, 3)) * [1, 1, 0]
        field = SurfaceField.of(flat, seed=0)
        assert not field.signed
        asked = np.array([[0.0, 0.1, 0.3], [0.0, 0.1, -0.3]])
        np.testing.assert_allclose(field.distance(asked), [0.3, 0.3], atol=1e-6)

    def test_are_where_the_settings_say(self) -> None:
        cloud = SPHERE * directions(0, 3000) + [0.1, 0.0, 0.0]
        found = Samples.draw([cloud], surface=200, box=300, volume=400, seed=3)
        places, distances = found.places.double().numpy(), found.distances.numpy()
        assert places.shape == (900, 3)
        away = np.linalg.norm(places - [0.1, 0.0, 0.0], axis=1) - SPHERE
        np.testing.assert_allclose(distances, away, atol=0.012)  # .0053 at most
        assert np.abs(away[:200]).max() < 1e-6
        box = places[200:500]
        assert (box >= cloud.min(axis=0) - 1e-6).all()
        assert (box <= cloud.max(axis=0) + 1e-6).all()
        assert np.abs(places[500:]).max() <= 1
        assert np.abs(places[500:]).max() > 0.98
        again = Samples.draw([cloud], surface=200, box=300, volume=400, seed=3)
        assert torch.equal(again.places, found.places)
        assert torch.equal(again.distances, found.distances)


class TestNetwork:
    def test_the_encoding_is_that_of_the_public_code(self) -> None:
        place = np.array([[0.3, -0.5, 0.9]])
        code = [place]
        for frequency in 2.0 ** np.linspace(0, 4, 10):
            code += [np.sin(frequency * place), np.cos(frequency * place)]
        found = encoded(torch.from_numpy(place).float())
        np.testing.assert_allclose(found, np.concatenate(code, axis=1), atol=1e-5)
        assert found.shape == (1, 63)

    def test_eight_layers_with_the_place_joined_half_way(self) -> None:
        network = SDFNet(256, encoding=True)
        layers = [one for one in network.modules() if isinstance(one, torch.nn.Linear)]
        assert [(one.in_features, one.out_features) for one in layers] == [
            (63, 256),
            (256, 256),
            (256, 256),
            (256, 193),
            (256, 256),
            (256, 256),
            (256, 256),
            (256, 1),
        ]
        assert SDFNet(64, encoding=False)(torch.rand(5, 3)).shape == (5,)

    def test_the_loss_sees_no_difference_beyond_the_clamp(self) -> None:
        predicted, target = torch.tensor([0.05, 0.4, -0.3, 0.02]), torch.tensor([0.02, 0.2, 0.05, -0.9])
        # 0.03, 0, 0.1 + 0.05, 0.02 + 0.1
        assert float(clamped_loss(predicted, target, 0.1).total) == pytest.approx(0.3 / 4)


def test_it_learns_the_distance_from_a_sphere() -> None:
    """Within the clamp, on both sides, between the samples."""
    chosen = {"width": 64, "steps": 300, "batch": 512, "learning_rate": 5e-3, "surface": 3000, "box": 4000}
    detector = create("sdf", tiny("sdf", sdf=chosen), seed=0)
    detector.fit([sphere(seed, 2000) for seed in range(2)])
    radii = np.concatenate([np.ones(700), np.random.default_rng(5).uniform(0.93, 1.07, size=700)])
    cloud = PointCloud(radii[:, None] * directions(6, 1400))
    scores = detector.score(cloud)
    assert scores.score_length == pytest.approx(1.0, abs=0.02)
    error = np.abs(scores.point_scores - np.abs(radii - 1))
    assert error[:700].mean() < 0.0025  # .0017, deviation .0001 over four seeds
    assert error[700:].mean() < 0.007  # .0041, deviation .0006
    assert scores.object_score == scores.point_scores.max()
    np.testing.assert_allclose(scores.distances, scores.point_scores * scores.score_length, rtol=1e-5)


def test_a_dent_is_where_the_scores_are_high() -> None:
    chosen = {"width": 64, "steps": 200, "batch": 512, "learning_rate": 5e-3, "surface": 3000, "box": 3000}
    detector = create("sdf", tiny("sdf", sdf=chosen), seed=1)
    detector.fit([part(seed, points=2000) for seed in range(2)])
    good, dented = part(30, points=2000), part(40, points=2000, dent=3)
    scores = detector.score(dented)
    assert dented.labels is not None
    # 18 times, deviation 3.5 over four seeds, and the object score 6.2 times, deviation 1.
    assert scores.point_scores[dented.labels].mean() > 8 * scores.point_scores[~dented.labels].mean()
    assert scores.object_score > 2 * detector.score(good).object_score


def test_permuted_points_get_permuted_scores(sdf: Detector) -> None:
    check_permutation(sdf)


def test_a_loaded_model_gives_the_same_scores(sdf: Detector, tmp_path: Path) -> None:
    check_round_trip(sdf, tmp_path)


def test_a_model_with_the_weights_of_another_is_refused(sdf: Detector, tmp_path: Path) -> None:
    from dusnet.detectors.model_file import read_model, write_model

    path = tmp_path / "model.safetensors"
    sdf.save(path)
    stored = read_model(path)
    settings = stored.metadata["settings"]
    settings["sdf"]["width"] = 96
    write_model(path, "sdf", stored.tensors, {"settings": settings, **stored.metadata})
    with pytest.raises(BadModel, match=r"no sdf model that can be used, because its tensor before\.0\.0\.bias"):
        load_model(path)


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    from dusnet.detectors.peers.sdf.stage import SDFStage

    good = [part(seed, points=600) for seed in range(2)]
    settings = tiny("sdf", training={"checkpoint_every": 5})
    whole = create("sdf", settings, seed=1)
    whole.fit(good, workdir=tmp_path / "whole")
    plain, calls = SDFStage.loss, [0]

    def failing(self: SDFStage, model: torch.nn.Module, generator: torch.Generator) -> object:
        calls[0] += 1
        if calls[0] == 8:
            raise Interrupted
        return plain(self, model, generator)

    resumed = create("sdf", settings, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SDFStage, "loss", failing)
        with pytest.raises(Interrupted):
            resumed.fit(good, workdir=tmp_path / "cut")
    resumed.fit(good, workdir=tmp_path / "cut", resume=True)
    assert calls[0] == 8
    np.testing.assert_array_equal(resumed.score(part(9)).point_scores, whole.score(part(9)).point_scores)
