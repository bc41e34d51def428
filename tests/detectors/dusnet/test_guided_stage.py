"""The stages of the guided networks: losses by hand, random turns by their distribution, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from guided_parts import bumpy_scan, good_surface, networks, small_guide
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import kstest
from sklearn.metrics import log_loss, roc_auc_score
from warped_parts import surface, tensor

from dusnet.config import LossSettings, StageSettings, UpNetSettings
from dusnet.detectors.dusnet import stage as guided_stage
from dusnet.detectors.dusnet.groups import GuidedGroups, GuidedScan
from dusnet.detectors.dusnet.simulated_scans import DamagedScan
from dusnet.detectors.dusnet.stage import (
    DEFECT_WEIGHT,
    GuidedStage,
    GuidedUpStage,
    _random_rotation,
    guided_loss,
    turned,
)
from dusnet.nn.losses import up_loss
from dusnet.nn.up_net import UpNet

BATCH = StageSettings(batch=3)


def damaged_scan(count: int = 600) -> DamagedScan:
    """The dented ellipsoid with the answer."""
    good = good_surface()
    damaged, clean = tensor(bumpy_scan(count)), tensor(bumpy_scan(count, depth=0.0))
    scan = GuidedScan.of(good.compare(damaged), good, small_guide(), seed=0)
    return DamagedScan(scan, clean, (damaged - clean).norm(dim=1) > 0.01)


@pytest.fixture(scope="module")
def taught() -> DamagedScan:
    return damaged_scan()


class TestLoss:
    def test_value_by_hand(self) -> None:
        rng = np.random.default_rng(0)
        centers, targets = rng.normal(size=(2, 2, 5, 3)) * 0.02
        logits, wrong = (
            rng.normal(size=(2, 5)),
            np.array([[True, False, False, False, False], [False, True, True, False, False]]),
        )
        weight = np.where(wrong, 4.0, 1.0)
        off = np.abs(centers - targets) / 0.01
        per_center = np.where(off < 0.5, off**2, off - 0.25).sum(axis=2)
        expected = {
            "centers": (weight * per_center).sum() / weight.sum(),
            "defect": log_loss(
                wrong.ravel(), 1 / (1 + np.exp(-logits.ravel())), sample_weight=weight.ravel(), normalize=False
            )
            / 10,
        }
        loss = guided_loss(*map(torch.from_numpy, (centers, logits, targets, wrong)))
        assert DEFECT_WEIGHT == 4
        assert {name: float(value) for name, value in loss.terms.items()} == pytest.approx(expected)
        assert float(loss.total) == pytest.approx(sum(expected.values()))

    def test_a_perfect_answer_costs_nothing(self) -> None:
        targets, wrong = torch.randn(2, 5, 3), torch.tensor([[True, False, False, True, False]] * 2)
        logits = torch.where(wrong, 50.0, -50.0)
        assert float(guided_loss(targets, logits, targets, wrong).total) == pytest.approx(0, abs=1e-6)
        assert float(guided_loss(targets, -logits, targets, wrong).total) > 50


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """Random rotations, (2000, 3, 3)."""
    source = torch.Generator().manual_seed(1)
    return torch.stack([_random_rotation(source) for _ in range(2000)]).double().numpy()


class TestRandomRotation:
    def test_is_proper(self, drawn: np.ndarray) -> None:
        np.testing.assert_allclose(drawn @ drawn.transpose(0, 2, 1), np.tile(np.eye(3), (2000, 1, 1)), atol=1e-5)
        np.testing.assert_allclose(np.linalg.det(drawn), 1, atol=1e-5)

    def test_prefers_no_direction_and_no_angle(self, drawn: np.ndarray) -> None:
        """Every axis goes everywhere on the sphere alike; angles have the density (1 - cos a) / pi."""
        for row in range(3):
            for column in range(3):
                assert kstest(drawn[:, row, column], "uniform", args=(-1, 2)).pvalue > 1e-4
        angle = np.arccos(np.clip((np.trace(drawn, axis1=1, axis2=2) - 1) / 2, -1, 1))
        assert kstest(angle, lambda a: (a - np.sin(a)) / np.pi).pvalue > 1e-3


class TestTurned:
    def test_feet_and_axes_turn_and_what_is_local_stays(self, taught: DamagedScan) -> None:
        rotation = _random_rotation(torch.Generator().manual_seed(4))
        before = taught.seen.groups(torch.arange(20), torch.zeros(20))
        after = turned(before, rotation)
        for row in range(20):
            for old, new in ((before.centers, after.centers), (before.displacement, after.displacement)):
                torch.testing.assert_close(new[0, row], rotation @ old[0, row])
            for axis in range(3):
                torch.testing.assert_close(after.axes[0, row, axis], rotation @ before.axes[0, row, axis])
        assert all(vars(after)[name] is vars(before)[name] for name in ("scan", "places", "about"))

    def test_a_net_that_does_not_know_where_it_is_turns_its_answer(self, taught: DamagedScan) -> None:
        """With the position of the centres taken out of its tokens."""
        net = networks(shake=True)[0]
        where = net.fourier.width
        with torch.no_grad():
            net.join[0].weight[:, -where:] = 0
        rotation = _random_rotation(torch.Generator().manual_seed(4))
        groups = taught.seen.groups(torch.arange(20), torch.zeros(20))
        centers, logits = net(*groups.tensors(torch.device("cpu")))
        moved, same = net(*turned(groups, rotation).tensors(torch.device("cpu")))
        torch.testing.assert_close(moved, centers @ rotation.T, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(same, logits)


class TestDraw:
    def draw(self, taught: DamagedScan, seed: int = 0) -> tuple[GuidedGroups, torch.Tensor, torch.Tensor]:
        stage = GuidedStage(networks()[0], [taught], BATCH, groups=64)
        return stage.draw(torch.Generator().manual_seed(seed))

    def test_targets_belong_to_their_groups(self, taught: DamagedScan) -> None:
        """A rotation keeps how far every centre is from its target and both are from the origin."""
        groups, targets, wrong = self.draw(taught)
        assert groups.centers.shape == targets.shape == (3, 64, 3)
        known = self.lengths(taught.seen.points, taught.clean, taught.wrong)
        for cloud in range(3):
            found = self.lengths(groups.centers[cloud], targets[cloud], wrong[cloud])
            assert torch.cdist(found, known).amin(dim=1).max() < 1e-5
        assert wrong.any()

    @staticmethod
    def lengths(centers: torch.Tensor, targets: torch.Tensor, wrong: torch.Tensor) -> torch.Tensor:
        away = (centers - targets).norm(dim=1)
        return torch.stack([centers.norm(dim=1), targets.norm(dim=1), away, wrong.float()], dim=1).double()

    def test_every_cloud_has_groups_and_a_pose_of_its_own(self, taught: DamagedScan) -> None:
        groups, _, _ = self.draw(taught)
        for cloud in groups.centers:
            assert len(torch.unique(cloud, dim=0)) == 64
        assert not torch.allclose(groups.axes[0], groups.axes[1], atol=0.1)

    def test_the_generator_decides(self, taught: DamagedScan) -> None:
        first, again, other = self.draw(taught), self.draw(taught), self.draw(taught, seed=1)
        assert torch.equal(first[0].scan, again[0].scan)
        assert torch.equal(first[1], again[1])
        assert not torch.equal(first[1], other[1])

    def test_the_smallest_scan_limits_the_groups(self, taught: DamagedScan) -> None:
        stage = GuidedStage(networks()[0], [taught, damaged_scan(40)], BATCH, groups=64)
        assert stage.draw(torch.Generator().manual_seed(0))[1].shape == (3, 40, 3)


def learn(stage: GuidedStage | GuidedUpStage, steps: int, rate: float) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(stage.model.parameters(), lr=rate)
    curve = []
    for _ in range(steps):
        loss = stage.loss(stage.model, generator)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        curve.append(float(loss.total.detach()))
    return curve


def test_a_few_steps_learn_one_scan_by_heart(taught: DamagedScan) -> None:
    net = networks()[0]
    learn(GuidedStage(net, [taught], BATCH, groups=128), 60, 0.01)
    groups = taught.seen.groups(torch.arange(600), torch.zeros(600))
    with torch.no_grad():
        centers, logits = net(*groups.tensors(torch.device("cpu")))
    assert roc_auc_score(taught.wrong.numpy(), logits[0].numpy()) > 0.9  # .993, deviation .009 over five seeds
    wrong = taught.wrong
    before = (taught.seen.points - taught.clean)[wrong].norm(dim=1).mean()
    assert (centers[0] - taught.clean)[wrong].norm(dim=1).mean() < 0.6 * before  # .18 times, deviation .06


@pytest.fixture(scope="module")
def clouds() -> list[DamagedScan]:
    """Two dense clouds; the second stage looks at nothing else of a scan."""
    scan = damaged_scan(40).seen
    return [DamagedScan(scan, tensor(surface(seed, 700)[0]), torch.zeros(700, dtype=torch.bool)) for seed in (1, 2)]


class TestUpStage:
    def test_learning_lowers_the_distance_to_the_dense_cloud(
        self, clouds: list[DamagedScan], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Earth mover's distance by SciPy's assignment, on draws that training did not make."""
        seen: list[tuple[np.ndarray, np.ndarray]] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = UpNet(UpNetSettings(gamma=4, neighbors=4, widths=(16, 16)), spacing=1.0)
        with torch.no_grad():
            net.head[-1].bias.add_(1.0)  # all new points beside the surface: a fresh net has little to learn

        def watch(rebuilt, targets, settings):
            seen.append((rebuilt.detach().double().numpy(), targets.double().numpy()))
            return up_loss(rebuilt, targets, settings)

        monkeypatch.setattr(guided_stage, "up_loss", watch)
        stage = GuidedUpStage(net, clouds, StageSettings(batch=2), LossSettings(), groups=32)

        def distance() -> float:
            seen.clear()
            source = torch.Generator().manual_seed(77)
            for _ in range(4):
                stage.loss(net, source)
            costs = [cdist(*pair) for rebuilt, targets in seen for pair in zip(rebuilt, targets, strict=True)]
            return float(np.mean([cost[linear_sum_assignment(cost)].mean() for cost in costs]))

        before = distance()
        learn(stage, 100, 0.01)
        assert distance() < 0.5 * before  # .28 times, deviation .02 over five seeds

    def test_clouds_come_in_units_of_the_spacing_of_their_centres(
        self, clouds: list[DamagedScan], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown: list[np.ndarray] = []
        net = networks()[1]
        net.register_forward_pre_hook(lambda _, given: shown.append(given[0].double().numpy()))
        monkeypatch.setattr(guided_stage, "CENTER_NOISE", 0.0)
        stage = GuidedUpStage(net, clouds, StageSettings(batch=2), LossSettings(), groups=48)
        stage.loss(net, torch.Generator().manual_seed(0))
        assert shown[0].shape == (2, 48, 3)
        for centers in shown[0]:
            np.testing.assert_allclose(centers.mean(axis=0), 0, atol=1e-4)
            nearest = np.sort(cdist(centers, centers), axis=1)[:, 1]
            assert nearest.mean() == pytest.approx(1, rel=1e-3)

    def test_a_cloud_with_too_few_points_is_not_shown(self, clouds: list[DamagedScan]) -> None:
        """48 centres of two points each want 96; the small cloud would make targets of another shape."""
        stage = GuidedUpStage(
            networks()[1], [damaged_scan(40), *clouds], StageSettings(batch=8), LossSettings(), groups=48
        )
        assert stage.loss(stage.model, torch.Generator().manual_seed(0)).total.isfinite()
