"""The pair of networks of a class: what is measured of its clouds, training, and storage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from tiny_training import make_run

from dusnet.detectors.dusnet_paper.networks import Networks, TrainingLengths, measure
from dusnet.detectors.settings import Settings
from dusnet.errors import BadModel
from dusnet.io.tensors import write_tensors
from dusnet.nn.grouping import THINNINGS, supports_of

Array = NDArray[np.float64]
MEASURED = TrainingLengths(cell=0.05, patch_radius=0.2, wall=0.4, spacing=0.3)


def plate(count: int, seed: int, thickness: float = 0.3) -> Array:
    points = np.random.default_rng(seed).random((count, 3)) - 0.5
    points[:, 2] = thickness * np.sign(points[:, 2]) / 2
    return points


@pytest.fixture
def clouds() -> list[Array]:
    """Three scans of one plate, of different density and shifted a little, so that points tell where they are from."""
    return [plate(count, seed) + np.array([0, 0, 0.001 * seed]) for seed, count in enumerate((900, 1500, 3000))]


@pytest.fixture
def plated(settings: Settings) -> Settings:
    return settings.model_copy(update={"training": settings.training.model_copy(update={"points": 600})})


class TestSupports:
    def test_every_cloud_comes_in_different_thinnings(self, clouds: list[Array], plated: Settings) -> None:
        supports, _ = supports_of(clouds, plated.grouping, plated.training.points, seed=0)
        assert len(supports) == 3 * THINNINGS
        for i, cloud in enumerate(clouds):
            own = [one.points.numpy() for one in supports[i * THINNINGS : (i + 1) * THINNINGS]]
            for points in own:
                assert cKDTree(cloud).query(points)[0].max() < 1e-6
            assert len({points.tobytes() for points in own}) == THINNINGS

    def test_all_have_one_density(self, clouds: list[Array], plated: Settings) -> None:
        supports, cell = supports_of(clouds, plated.grouping, plated.training.points, seed=0)
        sizes = [len(one.points) for one in supports]
        assert np.median(sizes) == pytest.approx(600, rel=0.15)
        assert max(sizes) < 1.6 * min(sizes)  # 1.4 times, deviation .05 over five seeds; the clouds 3 times
        assert 0.02 < cell < 0.2

    def test_the_seed_decides(self, clouds: list[Array], plated: Settings) -> None:
        one, same, other = (
            supports_of(clouds, plated.grouping, plated.training.points, seed=seed)[0][0].points for seed in (0, 0, 1)
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


class TestMeasure:
    def test_lengths_against_numpy(self, clouds: list[Array], plated: Settings) -> None:
        supports, cell = supports_of(clouds, plated.grouping, plated.training.points, seed=0)
        found = measure(supports, cell, plated)
        assert found.cell == cell
        assert found.wall == pytest.approx(0.3, rel=0.05)
        radii, spacings = [], []
        for support in supports:
            points = support.points.numpy()
            radii.append(cKDTree(points).query(points, k=9)[0][:, 1:][:, ::2].mean())
        for support in supports[::THINNINGS]:
            points = support.points.numpy()
            chosen = [0]
            while len(chosen) < 16:
                chosen.append(int(np.linalg.norm(points[:, None] - points[None, chosen], axis=-1).min(axis=1).argmax()))
            spacings.append(cKDTree(points[chosen]).query(points[chosen], k=2)[0][:, 1].mean())
        assert found.patch_radius == pytest.approx(np.mean(radii), rel=1e-4)
        assert found.spacing == pytest.approx(np.mean(spacings), rel=1e-4)


class TestNetworks:
    def test_fit_is_building_and_training(self, clouds: list[Array], plated: Settings) -> None:
        networks = Networks.fit(clouds, plated, make_run())
        again = Networks.fit(clouds, plated, make_run())
        assert all(torch.equal(value, again.tensors()[name]) for name, value in networks.tensors().items())
        start = Networks(plated, networks.measured, seed=3)
        assert not torch.equal(start.tensors()["down.head.2.weight"], networks.tensors()["down.head.2.weight"])

    def test_restore_is_the_inverse_of_tensors_and_metadata(self, clouds: list[Array], plated: Settings) -> None:
        networks = Networks.fit(clouds, plated, make_run())
        again = Networks.restore(plated, networks.metadata(), networks.tensors())
        assert again.measured == networks.measured
        assert all(torch.equal(value, again.tensors()[name]) for name, value in networks.tensors().items())
        assert again.noise.coherent == networks.noise.coherent

    def test_the_wall_limits_the_coherent_noise(self, plated: Settings) -> None:
        loud = plated.model_copy(update={"noise": plated.noise.model_copy(update={"coherent": 0.5})})
        assert Networks(loud, MEASURED, seed=0).noise.coherent == 0.2  # half of 0.4

    def test_the_seed_decides_the_initial_weights(self, plated: Settings) -> None:
        one, same, other = (Networks(plated, MEASURED, seed=seed).tensors() for seed in (1, 1, 2))
        assert all(torch.equal(value, same[name]) for name, value in one.items())
        assert not torch.equal(one["up.head.0.weight"], other["up.head.0.weight"])

    def test_starting_weights_keep_the_lengths_of_the_new_clouds(
        self, plated: Settings, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("model") / "other.safetensors"
        other = Networks(plated, TrainingLengths(cell=1.0, patch_radius=9.0, wall=9.0, spacing=9.0), seed=7)
        write_tensors(path, {f"learned.{name}": value for name, value in other.tensors().items()}, {})
        training = plated.training.model_copy(update={"init": path})
        started = Networks(plated.model_copy(update={"training": training}), MEASURED, seed=0).tensors()
        assert float(started["down.patch_radius"]) == pytest.approx(0.2)
        assert float(started["up.spacing"]) == pytest.approx(0.3)
        weights = [name for name in started if name not in ("down.patch_radius", "up.spacing")]
        assert all(torch.equal(started[name], other.tensors()[name]) for name in weights)
        path.write_bytes(b"")
        with pytest.raises(BadModel):
            Networks(plated.model_copy(update={"training": training}), MEASURED, seed=0)
