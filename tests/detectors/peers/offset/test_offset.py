"""The offset peer: what it learns from, its loss, and that it finds a dent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from small_parts import part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create, load_model
from dusnet.detectors.peers.offset.network import OffsetNet, offset_loss
from dusnet.detectors.peers.offset.stage import OffsetSource, damaged_clouds
from dusnet.detectors.settings import Settings, load_settings
from dusnet.errors import BadConfig, BadInput, BadModel
from dusnet.nn.grouping import Support
from dusnet.progress import Silent, Task

SMALL_NET = {"patch_widths": (16, 16, 16), "width": 32, "layers": 0, "heads": 2, "fourier_octaves": 2}
DEFECTS = {"clouds": 4, "defects": 2, "batch": 2, "radius": (0.15, 0.4), "amplitude": (0.05, 0.15)}


def small(steps: int = 6, scoring: dict[str, object] | None = None, **offset: object) -> Settings:
    stage = {"steps": steps, "batch": 2, "learning_rate": 0.01}
    return tiny(
        "offset",
        offset=SMALL_NET | DEFECTS | offset,
        training={"down": stage, "points": 600, "checkpoint_every": 2},
        scoring={"smoothing": 8, **(scoring or {})},
    )


@pytest.fixture(scope="module")
def good() -> list[PointCloud]:
    return [part(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def hasty(good: list[PointCloud]) -> Detector:
    detector = create("offset", small(), seed=1)
    detector.fit(good)
    return detector


@pytest.fixture(scope="module")
def supports() -> list[Support]:
    clouds = [torch.from_numpy(part(seed, points=700).points / 50).float() for seed in range(2)]
    return [Support.of(cloud, small().grouping) for cloud in clouds]


class TestDamagedClouds:
    def test_offsets_lead_back_to_the_clean_cloud(self, supports: list[Support]) -> None:
        settings = small()
        made = damaged_clouds(supports, settings.offset, settings.grouping, seed=3, progress=Silent())
        assert len(made) == 4
        for number, cloud in enumerate(made):
            clean = supports[number % 2].points
            np.testing.assert_allclose(cloud.points + cloud.offsets, clean, atol=1e-6)
            length = cloud.offsets.norm(dim=1)
            assert 0 < float(length.max()) <= 0.15 + 1e-6
            assert (length[cloud.moved] > 0).all()
            nearest = cKDTree(cloud.points.double()).query(cloud.points.double(), 2)[1][:, 1]
            assert np.mean(cloud.neighbors[:, 0].numpy() == nearest) > 0.99

    def test_groups_keep_their_offsets_in_every_pose(self, supports: list[Support]) -> None:
        settings = small()
        made = damaged_clouds(supports, settings.offset, settings.grouping, seed=3, progress=Silent())
        turned = settings.offset.model_copy(update={"rotation_deg": 60.0, "translation": 0.3})
        source = OffsetSource(made, settings.grouping, turned)
        centers, neighbors, offsets = source.draw(6, torch.Generator().manual_seed(0))
        assert centers.shape == offsets.shape == (6, 32, 3)
        assert neighbors.shape[:2] == (6, 32)
        for here, around, back in zip(centers, neighbors, offsets, strict=True):
            # The pose is unknown, so only lengths and angles can be compared.
            found = _invariants(here, around[:, 0], back)
            errors = [_worst(found, _invariants(c.points, c.points[c.neighbors[:, 0]], c.offsets)) for c in made]
            assert min(errors) < 1e-4

    def test_defects_are_drawn_more_often_than_they_are(self, supports: list[Support]) -> None:
        settings = small()
        made = damaged_clouds(supports, settings.offset, settings.grouping, seed=3, progress=Silent())
        source = OffsetSource(made, settings.grouping, settings.offset)
        _, _, offsets = source.draw(20, torch.Generator().manual_seed(0))
        drawn = float((offsets.norm(dim=-1) > 0).double().mean())
        there = float(np.mean([float((cloud.offsets.norm(dim=1) > 0).double().mean()) for cloud in made]))
        assert drawn > there + 0.1

    def test_a_cloud_of_few_points_is_refused(self) -> None:
        with pytest.raises(BadInput, match="points is too small for pseudo-defects"):
            create("offset", small()).fit([part(0, points=100)])


def _invariants(points: torch.Tensor, nearest: torch.Tensor, offsets: torch.Tensor) -> np.ndarray:
    edge = nearest - points
    return np.column_stack([edge.norm(dim=1), offsets.norm(dim=1), (edge * offsets).sum(dim=1)])


def _worst(found: np.ndarray, among: np.ndarray) -> float:
    return float(cKDTree(among).query(found)[0].max())


class TestLoss:
    def test_by_hand(self) -> None:
        target = torch.tensor([[[0.3, 0.0, 0.0], [0.0, 0.0, 0.0]]])
        predicted = torch.tensor([[[0.0, 0.4, 0.0], [0.1, 0.0, 0.0]]])
        loss = offset_loss(predicted, target, unit=0.1)
        # |errors| 0.7 and 0.1; the first is at a right angle, the second has no direction.
        assert float(loss.terms["distance"]) == pytest.approx(8.0 / 2)
        assert float(loss.terms["direction"]) == pytest.approx(0.5)
        assert float(loss.total) == pytest.approx(4.5)
        assert float(offset_loss(target, target, unit=0.1).total) == pytest.approx(0.0, abs=1e-6)

    def test_directions_are_those_of_numpy(self) -> None:
        generator = torch.Generator().manual_seed(0)
        one, other = torch.randn(2, 2, 5, 3, generator=generator).unbind()
        a, b = one.double().numpy().reshape(-1, 3), other.double().numpy().reshape(-1, 3)
        cosines = [x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True)]
        assert float(offset_loss(one, other, unit=1.0).terms["direction"]) == pytest.approx(1 - np.mean(cosines))


def test_settings_must_fit_together() -> None:
    with pytest.raises(BadConfig, match=r"width 30 is not a multiple of heads 4"):
        load_settings(overrides=["offset.width=30"])
    with pytest.raises(BadConfig, match=r"0\.3 to 0\.1 is not a range"):
        load_settings(overrides=["offset.radius=[0.3, 0.1]"])


def test_the_network_knows_places_and_neighbourhoods() -> None:
    torch.manual_seed(0)
    settings = small().offset
    net = OffsetNet(settings, patch_radius=0.1)
    centers = torch.randn(2, 5, 3) * 0.3
    neighbors = centers.unsqueeze(2) + 0.1 * torch.randn(2, 5, 7, 3)
    offsets = net(centers, neighbors)
    assert offsets.shape == (2, 5, 3)
    order = torch.randperm(7)
    torch.testing.assert_close(net(centers, neighbors[:, :, order]), offsets)
    assert not torch.allclose(net(centers + 0.2, neighbors + 0.2), offsets, atol=1e-3)
    bent = neighbors + 0.05 * torch.randn(2, 5, 7, 3)
    assert not torch.allclose(net(centers, bent), offsets, atol=1e-4)


class Killed(Exception):
    pass


class KillAfter(Silent):
    """Raises after some steps of training."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        del total
        outer = self

        class Counter:
            def advance(self, steps: int = 1) -> None:
                outer.left -= steps if "offset-net" in description else 0
                if outer.left < 0:
                    raise Killed

            def describe(self, text: str) -> None:
                del text

        yield Counter()


class TestDetector:
    def test_finds_a_dent(self, good: list[PointCloud]) -> None:
        settings = small(steps=200, clouds=24, defects=6, width=64, batch=16)
        groups = settings.grouping.model_copy(update={"groups": 64})
        down = settings.training.down.model_copy(update={"learning_rate": 0.005})
        training = settings.training.model_copy(update={"down": down})
        settings = settings.model_copy(update={"grouping": groups, "training": training})
        detector = create("offset", settings, seed=1)
        detector.fit(good)
        fine = [detector.score(part(seed), explain=False).object_score for seed in range(30, 34)]
        dented = [detector.score(part(seed, dent=8)) for seed in range(40, 44)]
        assert min(one.object_score for one in dented) > 1.5 * max(fine)
        for seed, scores in zip(range(40, 44), dented, strict=True):
            labels = part(seed, dent=8).labels
            assert labels is not None
            assert scores.point_scores[labels].mean() > 2 * scores.point_scores[~labels].mean()
            assert scores.point_scores[labels].max() > 1.1 * scores.point_scores[~labels].max()
            # The prediction undoes a part of the dent.
            whole, rebuilt = part(seed), scores.reconstruction
            assert rebuilt is not None
            before = np.linalg.norm(part(seed, dent=8).points - whole.points, axis=1)[labels]
            after = np.linalg.norm(rebuilt - whole.points, axis=1)[labels]
            assert after.mean() < 0.8 * before.mean()

    def test_scores_are_the_sums_of_the_offsets_components(self, good: list[PointCloud]) -> None:
        detector = create("offset", small(scoring={"smoothing": 1, "pooling_fraction": 1.0}), seed=1)
        detector.fit(good)
        cloud = part(9)
        scores = detector.score(cloud)
        assert scores.reconstruction is not None
        assert scores.distances is not None
        offsets = scores.reconstruction - cloud.points
        scale = detector.class_frame.frame.scale  # type: ignore[attr-defined]
        np.testing.assert_allclose(scores.point_scores, np.abs(offsets).sum(axis=1) / scale, atol=1e-5)
        np.testing.assert_allclose(scores.distances, np.linalg.norm(offsets, axis=1), atol=1e-3)
        # The paper's object score is the mean over all points.
        assert scores.object_score == pytest.approx(float(scores.point_scores.mean()), rel=1e-5)

    def test_permuted_points_get_permuted_scores(self, hasty: Detector) -> None:
        cloud = part(9, dent=6)
        order = np.random.default_rng(0).permutation(len(cloud))
        straight, permuted = hasty.score(cloud), hasty.score(cloud.select(order))
        np.testing.assert_array_equal(permuted.point_scores, straight.point_scores[order])
        assert permuted.object_score == straight.object_score
        assert permuted.reconstruction is not None
        np.testing.assert_array_equal(permuted.reconstruction, straight.reconstruction[order])  # type: ignore[index]

    @pytest.mark.parametrize("grouping", [{"dense": False}, {"dense": True}])
    def test_points_that_are_no_centres_are_interpolated(
        self, good: list[PointCloud], grouping: dict[str, bool]
    ) -> None:
        settings = small(scoring={"smoothing": 1, "max_centers": 1000})
        settings = settings.model_copy(update={"grouping": settings.grouping.model_copy(update=grouping)})
        detector = create("offset", settings, seed=1)
        detector.fit(good)
        scores = detector.score(part(9), explain=False).point_scores
        assert scores.shape == (1200,)
        assert np.isfinite(scores).all()
        assert scores.std() > 0

    def test_saved_and_loaded_it_gives_the_same_scores(self, hasty: Detector, tmp_path: Path) -> None:
        hasty.save(tmp_path / "model.safetensors")
        loaded = load_model(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(
            loaded.score(part(9), explain=False).point_scores, hasty.score(part(9), explain=False).point_scores
        )

    def test_resumed_training_equals_a_straight_one(
        self, hasty: Detector, good: list[PointCloud], tmp_path: Path
    ) -> None:
        with pytest.raises(Killed):
            create("offset", small(), seed=1).fit(good, workdir=tmp_path, progress=KillAfter(3))
        assert (tmp_path / "offset-net.checkpoint.0.safetensors").is_file()
        resumed = create("offset", small(), seed=1)
        resumed.fit(good, workdir=tmp_path, resume=True)
        np.testing.assert_array_equal(
            resumed.score(part(9), explain=False).point_scores, hasty.score(part(9), explain=False).point_scores
        )

    def test_a_checkpoint_of_other_settings_is_refused(self, good: list[PointCloud], tmp_path: Path) -> None:
        create("offset", small(), seed=1).fit(good, workdir=tmp_path)
        with pytest.raises(BadModel, match="other scans, settings or seed"):
            create("offset", small(defects=1), seed=1).fit(good, workdir=tmp_path, resume=True)
