"""Steps beyond the boundary against the printed equations, computed by hand and in NumPy float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dusnet.detectors.feature_space.pbas.network import boundary_guided, undirected


class TestBoundaryGuided:
    def test_a_worked_step(self) -> None:
        """From (3, 4) away from the origin by 0.3 * 2 along (0.6, 0.8)."""
        made = boundary_guided(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2), torch.tensor(2.0), alpha=0.3)
        np.testing.assert_allclose(made, [[3.36, 4.48]], rtol=1e-6)

    def test_a_feature_on_its_centre_stays(self) -> None:
        made = boundary_guided(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor(2.0), alpha=0.3)
        assert made.tolist() == [[0.0, 0.0]]

    def test_the_gradient_does_not_go_through_the_step(self) -> None:
        u, radius = torch.tensor([[3.0, 4.0]], requires_grad=True), torch.tensor(2.0, requires_grad=True)
        boundary_guided(u, torch.zeros(1, 2), radius, alpha=0.3).sum().backward()
        assert u.grad is not None
        assert u.grad.tolist() == [[1.0, 1.0]]
        assert radius.grad is None


class TestUndirected:
    def test_a_random_direction_is_as_far(self) -> None:
        noise = torch.tensor([[0.0, -5.0], [3.0, 4.0]])
        made = undirected(torch.zeros(2, 2), noise, torch.tensor(2.0), alpha=0.3, form="random")
        np.testing.assert_allclose(made, [[0.0, -0.6], [0.36, 0.48]], rtol=1e-6)

    def test_gaussian_noise_is_as_far_on_average(self) -> None:
        noise = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
        made = undirected(torch.zeros(4000, 16), noise, torch.tensor(2.0), alpha=0.3, form="gaussian")
        assert float(made.square().sum(dim=1).mean().sqrt()) == pytest.approx(0.6, rel=0.02)
