"""Every loss term against brute force in numpy, and why two printed formulas are not taken literally."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from dusnet.config import LossSettings
from dusnet.detectors.dusnet_paper import losses
from dusnet.detectors.dusnet_paper.losses import down_loss, matched_cosine, matched_mse
from dusnet.nn.losses import matching, repulsion, up_loss

Array = NDArray[np.float64]


def cloud(count: int, seed: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chamfer(x: Array, y: Array) -> float:
    squared = cdist(x, y) ** 2
    return float(squared.min(axis=1).mean() + squared.min(axis=0).mean())


def mean_over_batch(one: Tensor, other: Tensor, function: object) -> float:
    assert callable(function)
    return float(np.mean([function(x, y) for x, y in zip(one.numpy(), other.numpy(), strict=True)]))


class TestMatchedTerms:
    def test_mse_worked_example(self) -> None:
        predicted = torch.tensor([[[1.0, 0, 0], [0, 2, 0]]])
        target = torch.tensor([[[0.0, 0, 0], [0, 0, 1]]])
        assert float(matched_mse(predicted, target)) == pytest.approx((1 + 5) / 2)

    def test_cosine_worked_example(self) -> None:
        """Equal directions cost 0, right angles 1, opposite ones 2; lengths do not matter."""
        predicted = torch.tensor([[[2.0, 0, 0], [1, 0, 0], [1, 0, 0]]])
        target = torch.tensor([[[5.0, 0, 0], [0, 3, 0], [-1, 0, 0]]])
        assert float(matched_cosine(predicted, target)) == pytest.approx((0 + 1 + 2) / 3)

    def test_against_numpy(self) -> None:
        predicted, target = cloud(7, 0), cloud(7, 1)
        x, y = predicted.numpy(), target.numpy()
        assert float(matched_mse(predicted, target)) == pytest.approx(((x - y) ** 2).sum(-1).mean(), rel=1e-12)
        cosine = (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
        assert float(matched_cosine(predicted, target)) == pytest.approx((1 - cosine).mean(), rel=1e-12)

    def test_the_match_is_by_index(self) -> None:
        target = cloud(7, 1)
        swapped = target[:, torch.tensor([1, 0, 2, 3, 4, 5, 6])]
        assert float(matched_mse(target, target)) == 0
        assert float(matched_mse(swapped, target)) > 0
        assert float(matched_cosine(target, target)) == pytest.approx(0, abs=1e-12)
        assert float(matched_cosine(swapped, target)) > 0

    def test_the_printed_double_sum_is_minimised_by_collapse(self) -> None:
        """Why Eq. 5 is matched by index: over all pairs, every centre on the mean beats the true centres."""
        target = cloud(40, 1, batch=1)[0]

        def double_sum(predicted: Tensor) -> Tensor:
            return (predicted.unsqueeze(1) - target.unsqueeze(0)).square().sum(dim=-1).mean()

        mean = target.mean(dim=0).expand_as(target)
        assert float(double_sum(mean)) < 0.6 * float(double_sum(target))
        learned = target.clone().requires_grad_()
        optimizer = torch.optim.SGD([learned], lr=8.0)
        for _ in range(100):
            optimizer.zero_grad()
            double_sum(learned).backward()
            optimizer.step()
        torch.testing.assert_close(learned.detach(), mean, atol=1e-6, rtol=0)
        assert float(matched_mse(target[None], target[None])) < float(matched_mse(mean[None], target[None]))

    def test_gradcheck(self) -> None:
        predicted, target = cloud(4, 0).requires_grad_(), cloud(4, 1)
        assert torch.autograd.gradcheck(matched_mse, (predicted, target))
        assert torch.autograd.gradcheck(matched_cosine, (predicted, target))


class TestRepulsion:
    H = 0.9

    def nearest(self, points: Array, neighbors: int) -> Array:
        distance = cdist(points, points)
        np.fill_diagonal(distance, np.inf)
        return np.sort(distance, axis=1)[:, :neighbors]

    def test_the_printed_form(self) -> None:
        points = cloud(12, 0)
        expected = np.mean(
            [(-d * np.exp(-(d**2))).sum(axis=1).mean() for d in (self.nearest(p, 4) for p in points.numpy())]
        )
        assert float(repulsion(points, neighbors=4, form="paper", h=self.H)) == pytest.approx(expected, rel=1e-10)

    def test_the_hinge_form(self) -> None:
        points = cloud(12, 0)
        expected = np.mean(
            [
                (np.maximum(0, self.H - d) * np.exp(-(d**2) / self.H**2)).mean()
                for d in (self.nearest(p, 4) for p in points.numpy())
            ]
        )
        assert float(repulsion(points, neighbors=4, form="punet", h=self.H)) == pytest.approx(expected, rel=1e-10)

    def test_the_hinge_is_zero_for_points_farther_apart_than_h(self) -> None:
        grid = torch.cartesian_prod(*(torch.arange(3.0),) * 3).unsqueeze(0)
        assert float(repulsion(grid, neighbors=3, form="punet", h=1.0)) == 0
        assert float(repulsion(grid, neighbors=3, form="punet", h=1.1)) > 0

    @pytest.mark.parametrize("form", ["punet", "paper"])
    def test_descending_it_parts_two_points(self, form: str) -> None:
        pair = torch.tensor([[[0.0, 0, 0], [0.1, 0, 0]]], requires_grad=True)
        repulsion(pair, neighbors=1, form=form, h=0.5).backward()
        assert pair.grad is not None
        assert float(pair.grad[0, 0, 0]) > 0 > float(pair.grad[0, 1, 0])

    def test_the_printed_form_has_no_length_scale(self) -> None:
        """It repels up to a distance of 1 / sqrt 2 of the frame, whatever the density of the points, and then turns."""
        for distance, sign in ((0.6, 1), (0.8, -1)):
            pair = torch.tensor([[[0.0, 0, 0], [distance, 0, 0]]], requires_grad=True)
            repulsion(pair, neighbors=1, form="paper", h=0.01).backward()
            assert pair.grad is not None
            assert float(pair.grad[0, 0, 0]) * sign > 0

    @pytest.mark.parametrize("form", ["punet", "paper"])
    def test_coincident_points_have_a_finite_gradient(self, form: str) -> None:
        points = torch.zeros(1, 4, 3, requires_grad=True)
        repulsion(points, neighbors=2, form=form, h=0.5).backward()
        assert points.grad is not None
        assert bool(torch.isfinite(points.grad).all())

    def test_more_neighbours_than_points_are_all_there_are(self) -> None:
        points = cloud(4, 0)
        assert float(repulsion(points, neighbors=9, form="paper", h=1)) == float(
            repulsion(points, neighbors=3, form="paper", h=1)
        )

    @pytest.mark.parametrize("form", ["punet", "paper"])
    def test_gradcheck(self, form: str) -> None:
        points = cloud(5, 0, batch=1).requires_grad_()
        assert torch.autograd.gradcheck(lambda p: repulsion(p, neighbors=2, form=form, h=3.0), (points,))


class TestMatching:
    @staticmethod
    def optimal(x: Array, y: Array) -> float:
        cost = cdist(x, y)
        return float(cost[linear_sum_assignment(cost)].mean())

    def test_assignment_is_the_earth_movers_distance(self) -> None:
        points, target = cloud(40, 0), cloud(40, 1)
        expected = mean_over_batch(points, target, self.optimal)
        found = float(matching(points, target, form="assignment"))
        assert expected - 1e-9 <= found <= expected + 1e-3  # the promised excess of the auction

    def test_one_sided_is_the_printed_sum_over_nearest_points(self) -> None:
        points, target = cloud(40, 0), cloud(40, 1)
        expected = mean_over_batch(points, target, lambda x, y: cdist(x, y).min(axis=1).mean())
        assert float(matching(points, target, form="one_sided")) == pytest.approx(expected, rel=1e-12)

    def test_one_sided_does_not_see_what_is_missing(self) -> None:
        """Why the assignment is the default: all points on one true point cost the printed form nothing."""
        target = cloud(40, 1)
        collapsed = target[:, :1].expand_as(target).contiguous()
        assert float(matching(collapsed, target, form="one_sided")) < 1e-5
        expected = mean_over_batch(collapsed, target, self.optimal)
        assert float(matching(collapsed, target, form="assignment")) == pytest.approx(expected, abs=1e-3)
        assert expected > 0.5

    @pytest.mark.parametrize("form", ["assignment", "one_sided"])
    def test_order_does_not_matter(self, form: str) -> None:
        points, target = cloud(20, 0), cloud(20, 1)
        shuffled = target[:, torch.randperm(20, generator=torch.Generator().manual_seed(0))]
        one, other = (float(matching(points, cloud_, form=form)) for cloud_ in (target, shuffled))
        assert one == pytest.approx(other, abs=1e-3 if form == "assignment" else 1e-12)

    @pytest.mark.parametrize("form", ["assignment", "one_sided"])
    def test_gradcheck(self, form: str) -> None:
        points, target = cloud(5, 0, batch=1).requires_grad_(), cloud(5, 1, batch=1)
        assert torch.autograd.gradcheck(lambda p: matching(p, target, form=form), (points,))


class TestSums:
    def test_down_loss_is_the_weighted_sum_of_its_terms(self) -> None:
        predicted, target = cloud(9, 0), cloud(9, 1)
        loss = down_loss(predicted, target, LossSettings(mse=2.0, cos=0.5, chamfer=3.0))
        mse = float(matched_mse(predicted, target))
        cos = float(matched_cosine(predicted, target))
        expected_chamfer = mean_over_batch(predicted, target, chamfer)
        assert float(loss.terms["mse"]) == pytest.approx(mse)
        assert float(loss.terms["cos"]) == pytest.approx(cos)
        assert float(loss.terms["chamfer"]) == pytest.approx(expected_chamfer, rel=1e-10)
        assert float(loss.total) == pytest.approx(2 * mse + 0.5 * cos + 3 * expected_chamfer, rel=1e-10)

    def test_up_loss_is_the_weighted_sum_of_its_terms(self) -> None:
        points, target = cloud(9, 0), cloud(9, 1)
        points, target = 0.01 * points, 0.01 * target
        loss = up_loss(points, target, LossSettings(repulsion=2.0, emd=0.5))
        apart = float(repulsion(points, neighbors=5, form="punet", h=0.03))
        assert apart > 0.001
        match = float(matching(points, target, form="assignment"))
        assert float(loss.total) == pytest.approx(2 * apart + 0.5 * match)
        assert {name: float(value) for name, value in loss.terms.items()} == pytest.approx(
            {"repulsion": apart, "emd": match}
        )

    def test_forms_are_chosen_by_the_settings(self) -> None:
        points, target = cloud(9, 0), cloud(9, 1)
        literal = up_loss(points, target, LossSettings(repulsion_form="paper", emd_form="one_sided"))
        assert float(literal.terms["repulsion"]) < 0
        assert float(literal.terms["emd"]) == pytest.approx(float(matching(points, target, form="one_sided")))

    @pytest.mark.parametrize("name", ["mse", "cos", "chamfer"])
    def test_a_zero_weight_removes_a_term_of_the_down_loss(self, name: str) -> None:
        predicted, target = cloud(9, 0), cloud(9, 1)
        whole = down_loss(predicted, target, LossSettings())
        loss = down_loss(predicted, target, LossSettings.model_validate({name: 0}))
        assert set(loss.terms) == {"mse", "cos", "chamfer"} - {name}
        assert float(loss.total) == pytest.approx(float(whole.total) - float(whole.terms[name]))

    @pytest.mark.parametrize("name", ["repulsion", "emd"])
    def test_a_zero_weight_removes_a_term_of_the_up_loss(self, name: str) -> None:
        points, target = cloud(9, 0), cloud(9, 1)
        loss = up_loss(points, target, LossSettings.model_validate({name: 0}))
        (kept,) = {"repulsion", "emd"} - {name}
        assert list(loss.terms) == [kept]
        assert float(loss.total) == pytest.approx(float(loss.terms[kept]))

    def test_without_any_term_there_is_a_zero_that_can_be_differentiated(self) -> None:
        predicted = cloud(9, 0).requires_grad_()
        loss = down_loss(predicted, cloud(9, 1), LossSettings(mse=0, cos=0, chamfer=0))
        loss.total.backward()
        assert (float(loss.total.detach()), loss.terms) == (0.0, {})
        assert predicted.grad is not None
        assert float(predicted.grad.abs().max()) == 0

    def test_terms_for_the_log_hold_no_graph(self) -> None:
        loss = down_loss(cloud(9, 0).requires_grad_(), cloud(9, 1), LossSettings())
        assert loss.total.requires_grad
        assert not any(value.requires_grad for value in loss.terms.values())

    def test_gradcheck(self) -> None:
        predicted, target = cloud(5, 0, batch=1).requires_grad_(), cloud(5, 1, batch=1)
        assert torch.autograd.gradcheck(lambda p: down_loss(p, target, LossSettings()).total, (predicted,))
        assert torch.autograd.gradcheck(lambda p: repulsion(p, form="punet", h=2.0), (predicted,))
        assert torch.autograd.gradcheck(lambda p: up_loss(p, target, LossSettings()).total, (predicted,))


class TestAllPairs:
    """The printed double sums, against the sums written out."""

    def test_mse_over_all_pairs(self, rng: np.random.Generator) -> None:
        predicted, target = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 7, 3))
        by_hand = np.mean([((p - t) ** 2).sum() for b in range(2) for p in predicted[b] for t in target[b]])
        ours = losses.all_pairs_mse(torch.from_numpy(predicted), torch.from_numpy(target))
        assert float(ours) == pytest.approx(by_hand, rel=1e-12)

    def test_cosine_over_all_pairs(self, rng: np.random.Generator) -> None:
        predicted, target = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 7, 3))
        by_hand = np.mean(
            [
                1 - p @ t / (np.linalg.norm(p) * np.linalg.norm(t))
                for b in range(2)
                for p in predicted[b]
                for t in target[b]
            ]
        )
        ours = losses.all_pairs_cosine(torch.from_numpy(predicted), torch.from_numpy(target))
        assert float(ours) == pytest.approx(by_hand, rel=1e-12)

    def test_the_setting_chooses_the_form(self, rng: np.random.Generator) -> None:
        predicted, target = (torch.from_numpy(rng.normal(size=(1, 9, 3))) for _ in range(2))
        found = losses.down_loss(predicted, target, LossSettings(pairing="all", chamfer=0, cos=0))
        torch.testing.assert_close(found.total, losses.all_pairs_mse(predicted, target))
        assert float(found.total) != pytest.approx(float(losses.matched_mse(predicted, target)))
