"""Noise guided by the distance to the centre against the printed equations, computed by hand and in NumPy float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dusnet.detectors.feature_space.cras.network import LEAST_RESIDUAL, distance_guided, distance_ratio


class TestDistanceGuided:
    def test_a_worked_ratio(self) -> None:
        """r = 1 and 3 (mean 2), g = 2 and 6 (mean 4): g / r * r' / g' = 2 / 1 * 2 / 4 = 1 and 6 / 3 * 2 / 4 = 1."""
        residual, noise = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [6.0]])
        assert distance_ratio(residual, noise, beta=0.3, form="noise").flatten().tolist() == pytest.approx([1.0, 1.0])
        noise = torch.tensor([[6.0], [2.0]])
        # 6 / 1 * 2 / 4 = 3 and 2 / 3 * 2 / 4 = 1 / 3.
        expected = [0.3 * (3 - 1) + 1, 0.3 * (1 / 3 - 1) + 1]
        assert distance_ratio(residual, noise, beta=0.3, form="noise").flatten().tolist() == pytest.approx(expected)

    @pytest.mark.parametrize("form", ["noise", "residual"])
    def test_features_that_all_lie_on_their_centre_get_plain_noise(self, form: str) -> None:
        ratio = distance_ratio(torch.zeros(2, 1), torch.full((2, 1), 3.0), beta=0.3, form=form)
        assert ratio.flatten().tolist() == [1.0, 1.0]

    def test_forms(self) -> None:
        residual, noise = torch.tensor([[1.0], [3.0]]), torch.tensor([[6.0], [2.0]])
        assert distance_ratio(residual, noise, beta=0.3, form="fixed").flatten().tolist() == [1.0, 1.0]
        expected = [0.3 * (2 - 1) + 1, 0.3 * (2 / 3 - 1) + 1]
        assert distance_ratio(residual, noise, beta=0.3, form="residual").flatten().tolist() == pytest.approx(expected)
        assert distance_ratio(residual, noise, beta=0.0, form="noise").flatten().tolist() == [1.0, 1.0]

    def test_against_numpy(self) -> None:
        generator = torch.Generator().manual_seed(0)
        u, p, g = (torch.randn(50, 6, generator=generator, dtype=torch.float64) for _ in range(3))
        r, n = (np.linalg.norm(x, axis=1, keepdims=True) for x in ((u - p).numpy(), g.numpy()))
        alpha = 0.4 * (n / r / (n.mean() / r.mean()) - 1) + 1
        made = distance_guided(u, p, g, beta=0.4, form="noise")
        np.testing.assert_allclose(made.numpy(), u.numpy() + alpha * g.numpy(), atol=1e-12)

    def test_a_feature_on_its_centre_is_not_thrown_to_infinity(self) -> None:
        u = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
        made = distance_guided(u, torch.zeros(2, 2), torch.ones(2, 2), beta=1.0, form="noise")
        assert made[0].tolist() == pytest.approx([1 / LEAST_RESIDUAL] * 2)

    def test_the_gradient_goes_through_the_features_alone(self) -> None:
        u = torch.tensor([[1.0, 2.0], [0.5, -1.0]], requires_grad=True)
        distance_guided(u, torch.zeros(2, 2), torch.ones(2, 2), beta=0.3, form="noise").sum().backward()
        assert u.grad is not None
        assert u.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]
