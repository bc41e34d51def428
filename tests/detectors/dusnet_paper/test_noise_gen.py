"""Noise-Gen: amplitudes, independence and coherence, measured on many draws."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dusnet.detectors.dusnet_paper.noise_gen import NoiseGen, NoisyGroups
from dusnet.detectors.dusnet_paper.settings import NoiseSettings

ALPHA, BETA = 0.08, 0.15
KINDS = ["gaussian", "uniform", "salt_pepper"]


def groups(seed: int = 0, batch: int = 2, count: int = 2000, neighbors: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """Centres, neighbours and normals in double precision."""
    source = torch.Generator().manual_seed(seed)
    centers = torch.randn(batch, count, 3, generator=source, dtype=torch.float64)
    offsets = 0.1 * torch.randn(batch, count, neighbors, 3, generator=source, dtype=torch.float64)
    normals = torch.nn.functional.normalize(torch.randn(batch, count, 3, generator=source, dtype=torch.float64), dim=-1)
    return centers, centers.unsqueeze(2) + offsets, normals


def make(**settings: object) -> NoiseGen:
    tree = {"alpha": 0.0, "beta": 0.0, "coherent": 0.0} | settings
    return NoiseGen(NoiseSettings.model_validate(tree), patch_radius=0.2)


def displacement(noise: NoiseGen, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """What the noise adds to centres and neighbours, and the normals."""
    centers, neighbors, normals = groups()
    noisy = noise(centers, neighbors, normals, torch.Generator().manual_seed(seed))
    assert noisy.centers.shape == centers.shape
    assert noisy.neighbors.shape == neighbors.shape
    return noisy.centers - centers, noisy.neighbors - neighbors, normals


class TestIndependentNoise:
    @pytest.mark.parametrize("kind", KINDS)
    def test_alpha_and_beta_are_the_standard_deviations(self, kind: str) -> None:
        """12,000 and 120,000 coordinates: the relative standard error is below 1 %."""
        of_centers, of_neighbors, _ = displacement(make(kind=kind, alpha=ALPHA, beta=BETA))
        assert float(of_centers.std()) == pytest.approx(ALPHA, rel=0.04)  # deviation .9 % over five seeds
        assert float(of_neighbors.std()) == pytest.approx(BETA, rel=0.015)  # deviation .3 % over five seeds
        assert float(of_centers.mean()) == pytest.approx(0, abs=4 * ALPHA / 12_000**0.5)
        assert float(of_neighbors.mean()) == pytest.approx(0, abs=4 * BETA / 120_000**0.5)

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_axis_has_the_same_variance(self, kind: str) -> None:
        _, of_neighbors, _ = displacement(make(kind=kind, beta=1.0))
        torch.testing.assert_close(
            of_neighbors.flatten(0, -2).var(dim=0), torch.ones(3, dtype=torch.float64), atol=0.03, rtol=0
        )

    def test_gaussian_has_gaussian_moments(self) -> None:
        _, values, _ = displacement(make(beta=1.0))
        assert float((values**4).mean()) == pytest.approx(3.0, rel=0.05)
        assert float((values.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=0.01)

    def test_uniform_is_flat_and_bounded(self) -> None:
        _, values, _ = displacement(make(kind="uniform", beta=1.0))
        assert float(values.abs().max()) <= 3**0.5 + 1e-6
        assert float((values**4).mean()) == pytest.approx(9 / 5, rel=0.02)

    def test_salt_and_pepper_hits_half_of_the_points_and_whole_points(self) -> None:
        _, values, _ = displacement(make(kind="salt_pepper", beta=1.0))
        hit = values.abs() > 1e-9
        assert torch.equal(hit.all(dim=-1), hit.any(dim=-1))
        assert float(hit.double().mean()) == pytest.approx(0.5, abs=0.02)
        torch.testing.assert_close(values[hit].abs(), torch.full_like(values[hit], 2**0.5), atol=1e-6, rtol=0)

    @pytest.mark.parametrize("kind", KINDS)
    def test_points_and_axes_are_independent(self, kind: str) -> None:
        of_centers, of_neighbors, _ = displacement(make(kind=kind, alpha=1.0, beta=1.0))
        rows = torch.cat([of_centers.unsqueeze(2), of_neighbors], dim=2).flatten(0, 1).flatten(1)
        correlation = torch.corrcoef(rows.T) - torch.eye(33, dtype=torch.float64)
        assert float(correlation.abs().max()) < 0.08  # 4000 draws: five standard errors

    def test_neighbours_do_not_follow_their_centre(self) -> None:
        of_centers, of_neighbors, _ = displacement(make(alpha=0.5))
        assert float(of_centers.abs().max()) > 0.5
        assert float(of_neighbors.abs().max()) == 0

    def test_unit_patch_scales_with_the_patch(self) -> None:
        in_frame = displacement(make(alpha=ALPHA, beta=BETA))
        in_patch = displacement(make(alpha=ALPHA, beta=BETA, unit="patch"))
        for frame, patch in zip(in_frame[:2], in_patch[:2], strict=True):
            torch.testing.assert_close(patch, 0.2 * frame, atol=1e-9, rtol=1e-6)

    @pytest.mark.parametrize("kind", KINDS)
    def test_at_test_time_it_is_equation_1_without_the_coherent_part(self, kind: str) -> None:
        centers, neighbors, normals = groups()
        quiet = make(kind=kind, alpha=ALPHA, beta=BETA)
        loud = make(kind=kind, alpha=ALPHA, beta=BETA, coherent=0.5)
        expected = quiet(centers, neighbors, normals, torch.Generator().manual_seed(3))
        found = loud.independent(centers, neighbors, torch.Generator().manual_seed(3))
        assert torch.equal(found.centers, expected.centers)
        assert torch.equal(found.neighbors, expected.neighbors)


class TestCoherentNoise:
    AMPLITUDE = 0.05

    def test_a_neighbourhood_moves_as_one(self) -> None:
        of_centers, of_neighbors, _ = displacement(make(coherent=self.AMPLITUDE))
        torch.testing.assert_close(of_neighbors, of_centers.unsqueeze(2).expand_as(of_neighbors), atol=1e-12, rtol=0)

    def test_groups_move_on_their_own(self) -> None:
        of_centers, _, normals = displacement(make(coherent=self.AMPLITUDE))
        along = (of_centers * normals).sum(dim=-1)
        assert abs(float(torch.corrcoef(torch.stack([along[0, :-1], along[0, 1:]]))[0, 1])) < 0.1
        assert abs(float(torch.corrcoef(along)[0, 1])) < 0.1

    def test_the_movement_is_along_the_normal_with_a_little_sideways(self) -> None:
        shift, _, normals = displacement(make(coherent=self.AMPLITUDE))
        moving = shift.norm(dim=-1) > 0
        assert float(moving.double().mean()) == pytest.approx(1 - NoiseGen.STILL, abs=0.03)
        shift, normals = shift[moving], normals[moving]
        along = (shift * normals).sum(dim=-1)
        across = (shift - along.unsqueeze(-1) * normals).norm(dim=-1)
        assert float((across / along.abs()).median()) < 0.3
        # Inward and outward are equally likely, and the spread is the amplitude, widened by its sideways part.
        assert float((along > 0).double().mean()) == pytest.approx(0.5, abs=0.04)
        assert float(along.std()) == pytest.approx(self.AMPLITUDE * (1 + NoiseGen.TANGENTIAL**2) ** 0.5, rel=0.05)

    def test_flipping_a_normal_does_not_change_the_distribution(self) -> None:
        centers, neighbors, normals = groups()
        noise = make(coherent=self.AMPLITUDE)
        lengths = [
            (noise(centers, neighbors, sign * normals, torch.Generator().manual_seed(5)).centers - centers).norm(dim=-1)
            for sign in (1, -1)
        ]
        assert float(lengths[0].mean()) == pytest.approx(float(lengths[1].mean()), rel=0.03)

    @pytest.mark.parametrize("limit", [0.01, 0.04, 0.08])
    def test_half_a_wall_bounds_the_movement(self, limit: float) -> None:
        settings = NoiseSettings(alpha=0, beta=0, coherent=self.AMPLITUDE)
        shift, _, normals = displacement(NoiseGen(settings, patch_radius=0.2, coherent_limit=limit))
        along = (shift * normals).sum(dim=-1).abs()
        # The sideways part has a normal component too: 15 % of the movement, 4 standard deviations at most here.
        assert 0.9 * limit < float(along.max()) < (1 + 4.5 * NoiseGen.TANGENTIAL) * limit

    def test_the_bound_can_be_switched_off(self) -> None:
        settings = NoiseSettings(alpha=0, beta=0, coherent=self.AMPLITUDE, wall_limit=False)
        shift, _, normals = displacement(NoiseGen(settings, patch_radius=0.2, coherent_limit=0.01))
        along = (shift * normals).sum(dim=-1)
        assert float(along[along != 0].std()) == pytest.approx(self.AMPLITUDE, rel=0.1)

    def test_a_thick_wall_changes_nothing(self) -> None:
        settings = NoiseSettings(alpha=0, beta=0, coherent=self.AMPLITUDE)
        free, walled = (NoiseGen(settings, patch_radius=0.2, coherent_limit=x) for x in (float("inf"), 0.3))
        assert torch.equal(displacement(free)[0], displacement(walled)[0])


class TestRandomness:
    LOUD: dict[str, object] = {"alpha": ALPHA, "beta": BETA, "coherent": 0.05}  # noqa: RUF012

    @staticmethod
    def run(noise: NoiseGen, generator: torch.Generator) -> NoisyGroups:
        return noise(*groups(count=50), generator)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_generator_is_the_only_source(self, kind: str) -> None:
        noise = make(kind=kind, **self.LOUD)
        torch.manual_seed(0)
        first = self.run(noise, torch.Generator().manual_seed(4))
        torch.manual_seed(99)
        second = self.run(noise, torch.Generator().manual_seed(4))
        other = self.run(noise, torch.Generator().manual_seed(5))
        assert torch.equal(first.centers, second.centers)
        assert torch.equal(first.neighbors, second.neighbors)
        assert not torch.equal(first.centers, other.centers)

    def test_a_stored_state_repeats_what_follows(self) -> None:
        noise, generator = make(**self.LOUD), torch.Generator().manual_seed(4)
        self.run(noise, generator)
        state = generator.get_state()
        expected = self.run(noise, generator)
        generator.set_state(state)
        assert torch.equal(self.run(noise, generator).neighbors, expected.neighbors)

    @pytest.mark.parametrize("kind", KINDS)
    def test_zero_amplitudes_change_nothing(self, kind: str) -> None:
        centers, neighbors, normals = groups(count=50)
        noise = make(kind=kind)
        found = noise(centers, neighbors, normals, torch.Generator().manual_seed(1))
        assert torch.equal(found.centers, centers)
        assert torch.equal(found.neighbors, neighbors)
        at_test = noise.independent(centers, neighbors, torch.Generator().manual_seed(1))
        assert torch.equal(at_test.centers, centers)
        assert torch.equal(at_test.neighbors, neighbors)
