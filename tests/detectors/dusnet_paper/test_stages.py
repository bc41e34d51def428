"""What the two stages learn from: poses, groups, targets, and a Down-Net that stage 2 may not touch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from tiny_training import make_run, source_without_jitter

from dusnet.config import TrainingSettings
from dusnet.detectors.dusnet_paper.down_net import DownNet
from dusnet.detectors.dusnet_paper.losses import down_loss
from dusnet.detectors.dusnet_paper.noise_gen import NoiseGen
from dusnet.detectors.dusnet_paper.settings import NoiseSettings
from dusnet.detectors.dusnet_paper.stages import DownStage, GroupSource, UpStage
from dusnet.detectors.settings import Settings
from dusnet.nn.grouping import Support, rigid_jitter
from dusnet.nn.up_net import UpNet
from dusnet.training.loop import train_stage


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestGroupSource:
    def test_without_jitter_groups_are_points_of_the_cloud_with_their_neighbours(
        self, supports: list[Support], settings: Settings
    ) -> None:
        groups = source_without_jitter(supports, settings.grouping).draw(3, 16, generator())
        assert groups.centers.shape == (3, 16, 3)
        assert groups.neighbors.shape == (3, 16, 4, 3)
        for centers, neighbors, normals, cloud in zip(
            groups.centers, groups.neighbors, groups.normals, groups.clouds, strict=True
        ):
            support = next(one for one in supports if torch.equal(one.points, cloud))
            for center, around, normal in zip(centers, neighbors, normals, strict=True):
                (index,) = torch.nonzero((cloud == center).all(dim=1)).flatten().tolist()
                assert torch.equal(around, cloud[support.around(torch.tensor([index]))[0]])
                assert torch.equal(normal, support.normals[index])

    def test_both_clouds_are_drawn(self, source: GroupSource) -> None:
        groups = source.draw(20, 8, generator())
        spread = {round(float(cdist(cloud, cloud).sum()), 1) for cloud in groups.clouds}
        assert len(spread) == 2

    def test_jitter_is_rigid_and_the_same_for_the_whole_sample(self, source: GroupSource) -> None:
        groups = source.draw(1, 16, generator(2))
        (cloud,), centers, neighbors = groups.clouds, groups.centers[0], groups.neighbors[0]
        assert cdist(centers, cloud).min(axis=1).max() < 1e-6
        assert cdist(neighbors.flatten(0, 1), cloud).min(axis=1).max() < 1e-6
        shapes = [np.sort(cdist(one.points, one.points).ravel()) for one in source.supports]
        found = np.sort(cdist(cloud, cloud).ravel())
        assert min(np.abs(found - shape).max() for shape in shapes) < 1e-5

    def test_rotations_are_proper_and_bounded(self, supports: list[Support], settings: Settings) -> None:
        training = TrainingSettings(rotation_deg=5, translation=0.01)
        source = GroupSource(supports, settings.grouping, training)
        drawn = [rigid_jitter(*source.jitter, rng) for rng in map(generator, range(300))]
        rotations = torch.stack([rotation for rotation, _ in drawn]).double()
        shifts = torch.stack([shift for _, shift in drawn])
        identity = torch.eye(3, dtype=torch.float64).expand(300, 3, 3)
        torch.testing.assert_close(rotations @ rotations.transpose(1, 2), identity, atol=1e-5, rtol=0)
        torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(300, dtype=torch.float64))
        sine = (rotations - rotations.transpose(1, 2)).flatten(1).norm(dim=1) / 8**0.5
        angles = torch.asin(sine.clamp(max=1)).rad2deg()
        assert float(angles.max()) <= 5.001
        assert float(angles.max()) > 4.5
        assert float(shifts.std()) == pytest.approx(0.01, rel=0.1)

    def test_the_pose_turns_normals_too(self, supports: list[Support], settings: Settings) -> None:
        source = GroupSource(supports[:1], settings.grouping, TrainingSettings(rotation_deg=90, translation=0.5))
        turns = []
        for seed in range(5):
            groups = source.draw(1, 16, generator(seed))
            (cloud,), (support,) = groups.clouds, source.supports
            middle, own = cloud.mean(dim=0), support.points.mean(dim=0)
            turn, _ = Rotation.align_vectors((cloud - middle).numpy(), (support.points - own).numpy())
            index = cdist(groups.centers[0], cloud).argmin(axis=1)
            expected = turn.apply(support.normals[index].numpy())
            np.testing.assert_allclose(groups.normals[0].numpy(), expected, atol=1e-4)
            turns.append(turn.magnitude())
        assert max(turns) > 0.2

    def test_the_number_of_groups_is_capped_at_the_smallest_cloud(
        self, supports: list[Support], settings: Settings
    ) -> None:
        grouping = settings.grouping.model_copy(update={"groups": 500})
        assert GroupSource(supports, grouping, settings.training).groups == 120

    def test_the_generator_decides(self, source: GroupSource) -> None:
        one, same, other = (source.draw(2, 8, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(one.neighbors, same.neighbors)
        assert not torch.equal(one.centers, other.centers)


def networks(settings: Settings) -> tuple[DownNet, UpNet]:
    torch.manual_seed(0)
    return DownNet(settings.down_net, patch_radius=0.2), UpNet(settings.up_net, spacing=0.3)


class TestDownStage:
    def test_predicts_the_clean_centres_from_the_noisy_groups(self, source: GroupSource, settings: Settings) -> None:
        """An untrained net returns the noisy centres, so the loss is that of the noise itself."""
        noise = NoiseGen(NoiseSettings(alpha=0.1, beta=0.2, coherent=0), patch_radius=0.2)
        down, _ = networks(settings)
        stage = DownStage(down, source, noise, settings.training.down, settings.loss)
        loss = stage.loss(down, generator(4))
        rng = generator(4)
        clean = source.draw(2, 16, rng)
        noisy = noise(clean.centers, clean.neighbors, clean.normals, rng)
        expected = down_loss(noisy.centers, clean.centers, settings.loss)
        torch.testing.assert_close(loss.total, expected.total)
        assert float(loss.terms["mse"]) == pytest.approx(3 * 0.1**2, rel=0.5)  # deviation .14 of it

    def test_learning_lowers_the_loss(self, source: GroupSource, settings: Settings) -> None:
        noise = NoiseGen(NoiseSettings(alpha=0, beta=0, coherent=0.2), patch_radius=0.2)
        wide = settings.down_net.model_copy(update={"width": 32, "layers": 0})
        down, _ = networks(settings.model_copy(update={"down_net": wide}))
        chosen = settings.training.down.model_copy(update={"steps": 100, "batch": 4})
        stage = DownStage(down, source, noise, chosen, settings.loss)

        def error() -> float:
            return float(np.mean([float(stage.loss(down, generator(seed)).terms["mse"]) for seed in range(20)]))

        before = error()
        train_stage(stage, chosen, make_run())
        assert error() < 0.5 * before  # .22 times, deviation .02 over five seeds


class TestUpStage:
    def make(self, supports: list[Support], settings: Settings) -> tuple[UpStage, DownNet, UpNet]:
        down, up = networks(settings)
        noise = NoiseGen(settings.noise, patch_radius=0.2)
        source = source_without_jitter(supports, settings.grouping)
        return UpStage(up, down, source, noise, settings.training.up, settings.loss), down, up

    def test_leaves_the_down_net_untouched(self, supports: list[Support], settings: Settings) -> None:
        stage, down, up = self.make(supports, settings)
        before = {name: value.clone() for name, value in down.state_dict().items()}
        learned = {name: value.clone() for name, value in up.state_dict().items()}
        train_stage(stage, settings.training.up, make_run())
        assert all(torch.equal(value, before[name]) for name, value in down.state_dict().items())
        assert not any(parameter.requires_grad or parameter.grad is not None for parameter in down.parameters())
        changed = [name for name, value in up.state_dict().items() if not torch.equal(value, learned[name])]
        assert set(changed) == {name for name, _ in up.named_parameters()}

    @pytest.mark.parametrize("gamma", [2, 7, 8, 30])
    def test_the_target_is_the_training_cloud_with_g_gamma_points(
        self, supports: list[Support], settings: Settings, gamma: int
    ) -> None:
        """16 groups of 120 points: up to gamma 7 a spread choice, beyond that every point about equally often."""
        changed = settings.model_copy(update={"up_net": settings.up_net.model_copy(update={"gamma": gamma})})
        stage, _, _ = self.make(supports, changed)
        source = source_without_jitter(supports, settings.grouping)
        clean = source.draw(1, 16, generator())
        (cloud,) = clean.clouds
        target = stage._target(clean, generator())[0]
        assert target.shape == (16 * gamma, 3)
        distance = cdist(target, cloud)
        assert distance.min(axis=1).max() == 0
        counts = np.bincount(distance.argmin(axis=1), minlength=120)
        if gamma < 8:
            assert counts.max() == 1
            gap = cdist(target, target)
            np.fill_diagonal(gap, np.inf)
            assert gap.min() >= cdist(cloud, target).min(axis=1).max() - 1e-6  # farthest points first
        else:
            assert counts.min() >= 1
            assert counts.max() <= -(-16 * gamma // 120)

    def test_the_loss_measures_the_rebuilt_cloud_against_the_training_cloud(
        self, supports: list[Support], settings: Settings
    ) -> None:
        stage, _, up = self.make(supports, settings)
        loss = stage.loss(up, generator())
        assert loss.total.requires_grad
        assert set(loss.terms) == {"repulsion", "emd"}
        assert 0 < float(loss.terms["emd"]) < 1

    def test_learning_lowers_the_loss(self, supports: list[Support], settings: Settings) -> None:
        more = settings.up_net.model_copy(update={"gamma": 6, "widths": (16, 16)})
        stage, _, up = self.make(supports, settings.model_copy(update={"up_net": more}))
        chosen = settings.training.up.model_copy(update={"steps": 60})

        def error() -> float:
            return float(np.mean([float(stage.loss(up, generator(seed)).terms["emd"]) for seed in range(10)]))

        before = error()
        train_stage(stage, chosen, make_run())
        assert error() < 0.9 * before  # .84 times, deviation .017 over five seeds
