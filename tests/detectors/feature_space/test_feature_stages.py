"""What the methods in feature space draw from their maps, their rates, and their losses."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from dusnet.detectors.feature_space.cras.network import CRASNetwork
from dusnet.detectors.feature_space.cras.settings import CRASSettings
from dusnet.detectors.feature_space.cras.stage import CRASStage
from dusnet.detectors.feature_space.crr.network import CRRNetwork, repair_loss
from dusnet.detectors.feature_space.crr.settings import CRRSettings
from dusnet.detectors.feature_space.crr.stage import CRRStage
from dusnet.detectors.feature_space.feature_maps import DamagedMaps
from dusnet.detectors.feature_space.pbas.network import PBASNetwork
from dusnet.detectors.feature_space.pbas.settings import PBASSettings
from dusnet.detectors.feature_space.pbas.stage import PBASStage
from dusnet.detectors.feature_space.training_maps import CenteredMaps, MapSource, separation_loss
from dusnet.detectors.settings import load_settings
from dusnet.progress import Silent
from dusnet.training.loop import Run, learning_rate, train_stage


def part(number: int, scans: int, places: int = 10, channels: int = 3) -> CenteredMaps:
    """Features that say where they come from: part, scan, place."""
    where = torch.meshgrid(torch.tensor([number]), torch.arange(scans), torch.arange(places), indexing="ij")
    features = torch.stack(where, dim=-1)[0].float()
    seen = torch.ones(scans, places, dtype=torch.bool)
    return CenteredMaps(features[..., :channels], seen, torch.full((4, channels), float(number)))


def run(seed: int = 0) -> Run:
    return Run(
        device="cpu",
        precision="32-true",
        seed=seed,
        fingerprint="",
        workdir=None,
        resume=False,
        checkpoint_every=100,
        progress=Silent(),
    )


class TestMapSource:
    def test_every_row_comes_from_one_map_with_the_centre_of_its_part(self) -> None:
        source = MapSource([part(0, 2), part(1, 3)], batch=40, places=6)
        features, centers = source.draw(torch.Generator().manual_seed(0))
        assert features.shape == (40, 6, 3)
        for row, center in zip(features, centers, strict=True):
            assert len(row[:, :2].unique(dim=0)) == 1
            assert (center == row[0, 0]).all()

    def test_all_maps_and_all_seen_places_are_equally_likely(self) -> None:
        shown = part(1, 3)
        shown.shown[2] = torch.arange(10) < 4
        source = MapSource([part(0, 2), shown], batch=2000, places=5)
        features, _ = source.draw(torch.Generator().manual_seed(0))
        maps = Counter(map(tuple, features[:, 0, :2].int().tolist()))
        assert set(maps) == {(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)}
        assert min(maps.values()) > 0.75 * 400  # the least 377, deviation 20 over five seeds
        hidden = features[(features[:, 0, 0] == 1) & (features[:, 0, 1] == 2)]
        assert set(hidden[..., 2].flatten().int().tolist()) == {0, 1, 2, 3}

    def test_a_centre_by_place_comes_with_each_feature(self) -> None:
        found = replace(part(0, 2), center=10 * part(0, 2).features[1])
        source = MapSource([found], batch=8, places=6, by_place=True)
        features, centers = source.draw(torch.Generator().manual_seed(0))
        assert torch.equal(torch.stack(centers)[..., 2], 10 * features[..., 2])

    def test_a_map_that_shows_nothing_is_left_out(self) -> None:
        blind = part(0, 2)
        blind.shown[1] = False
        source = MapSource([blind], batch=4, places=5)
        assert source.steps == math.ceil(10 / 20)
        assert (source.draw(torch.Generator())[0][..., 1] == 0).all()

    def test_steps_of_an_epoch_show_as_many_features_as_there_are(self) -> None:
        assert MapSource([part(0, 2), part(1, 3)], batch=4, places=3).steps == math.ceil(50 / 12)


def test_cross_entropy_against_numpy() -> None:
    normal, anomalous = np.array([-1.0, 2.0]), np.array([0.5, 0.0, 3.0])
    probability = [1 / (1 + np.exp(-values)) for values in (normal, anomalous)]
    expected = -np.log(1 - probability[0]).mean() - np.log(probability[1]).mean()
    assert float(separation_loss(torch.from_numpy(normal), torch.from_numpy(anomalous)).total) == pytest.approx(
        expected
    )


def random_part(seed: int = 0) -> CenteredMaps:
    features = torch.randn(3, 40, 4, generator=torch.Generator().manual_seed(seed))
    return CenteredMaps(features, torch.ones(3, 40, dtype=torch.bool), features.mean(dim=0))


class TestCRASStage:
    def test_rates_are_those_of_the_paper_and_do_not_fall(self) -> None:
        settings = load_settings("images").cras.model_copy(update={"places": 32})
        model = CRASNetwork(settings, 4)
        stage = CRASStage(model, [random_part()], settings)
        schedule = stage.stage
        assert (settings.epochs, settings.batch, settings.noise, settings.beta) == (100, 32, 0.015, 0.3)
        assert schedule.steps == 100 * math.ceil(120 / (32 * settings.places))
        rates = [learning_rate(schedule, step) for step in (0, schedule.steps // 2, schedule.steps - 1)]
        assert rates == [1e-4] * 3
        found = {id(one): group["rate"] * 1e-4 for group in stage.parameter_groups() for one in group["params"]}
        assert {found[id(one)] for one in model.adapter.parameters()} == {1e-4}
        assert [found[id(one)] for one in model.discriminator.parameters()] == pytest.approx([2e-4] * 9)
        assert len(found) == len(list(model.parameters()))

    def test_equal_seeds_train_equal_networks_and_others_do_not(self) -> None:
        settings = CRASSettings(epochs=2, batch=4, places=10, adapter_layers=1)

        def trained(seed: int) -> torch.Tensor:
            torch.manual_seed(0)
            model = CRASNetwork(settings, 4)
            stage = CRASStage(model, [random_part()], settings)
            train_stage(stage, stage.stage, run(seed))
            assert not model.training
            return torch.cat([value.flatten().float() for value in model.state_dict().values()])

        assert torch.equal(trained(0), trained(0))
        assert not torch.equal(trained(0), trained(1))

    def test_it_learns_to_tell_noise_from_normal_features(self) -> None:
        settings = CRASSettings(
            epochs=40, batch=4, places=30, adapter_layers=1, noise=2.0, adapter_rate=1e-2, discriminator_rate=1e-2
        )
        torch.manual_seed(0)
        model = CRASNetwork(settings, 4)
        stage = CRASStage(model, [random_part()], settings)
        generator = torch.Generator().manual_seed(9)
        before = float(stage.loss(model, generator).total.detach())
        train_stage(stage, stage.stage, run())
        # .09 times, deviation .05 over five seeds.
        assert float(stage.loss(model, generator).total.detach()) < 0.6 * before


class TestPBASStage:
    def test_rates_and_regularisation_are_those_of_the_paper(self) -> None:
        settings = PBASSettings()
        model = PBASNetwork(settings, 4)
        projector, discriminator = PBASStage(model, random_part(), settings).parameter_groups()
        rate = settings.projector_rate
        assert (projector["rate"] * rate, projector["weight_decay"]) == (1e-4, 1e-5)
        assert (discriminator["rate"] * rate, discriminator["weight_decay"]) == (pytest.approx(2e-4), 1e-2)
        assert projector["params"] == list(model.projector.parameters())
        assert discriminator["params"] == list(model.discriminator.parameters())

    def test_the_loss_is_the_radius_and_the_cross_entropy(self) -> None:
        settings = PBASSettings(batch=2, places=5, search="class")
        torch.manual_seed(0)
        model = PBASNetwork(settings, 4)
        maps = random_part()
        center = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
        stage = PBASStage(model, CenteredMaps(maps.features, maps.shown, center), settings)
        loss = stage.loss(model, torch.Generator().manual_seed(1))
        assert set(loss.terms) == {"radius", "normal", "anomalous"}
        assert float(loss.total.detach()) == pytest.approx(float(sum(loss.terms.values())))


class TestCRRStage:
    def damaged(self) -> DamagedMaps:
        """Features that say which scan and place they are of; half of the places of the second scan are seen."""
        scans, places = torch.meshgrid(torch.arange(2.0), torch.arange(12.0), indexing="ij")
        features = torch.stack([scans, places], dim=-1)
        seen = torch.ones(2, 12, dtype=torch.bool)
        seen[1, 6:] = False
        positions = torch.arange(12.0).unsqueeze(1).expand(12, 3)
        return DamagedMaps(features, features, positions, seen, features + 0.5, places % 2 == 1)

    def test_what_belongs_together_is_drawn_together_and_some_of_it_is_hidden(self) -> None:
        given: list[tuple[torch.Tensor, ...]] = []

        class Watched(CRRNetwork):
            def forward(
                self, features: torch.Tensor, positions: torch.Tensor, hidden: torch.Tensor | None = None
            ) -> tuple[torch.Tensor, torch.Tensor]:
                assert hidden is not None
                given.append((features, positions, hidden))
                return super().forward(features, positions, hidden)

        settings = CRRSettings(width=8, heads=2, layers=0, batch=40, places=20, hidden=0.25)
        torch.manual_seed(0)
        model = Watched(settings, 2)
        stage = CRRStage(model, [self.damaged()], settings)
        loss = stage.loss(model, torch.Generator().manual_seed(0))
        ((features, positions, hidden),) = given
        assert features.shape == (40, 20, 2)
        assert (features[..., 1] == positions[..., 0]).all()
        assert all(len(row.unique()) == 1 for row in features[..., 0])
        assert float(features[features[:, 0, 0] == 1][..., 1].max()) == 5
        assert float(hidden.float().mean()) == pytest.approx(0.25, abs=0.08)  # deviation .02 over five seeds
        # Every second place is wrong, and what it should be lies 0.5 higher.
        repaired, logits = model(features, positions, hidden)
        expected = repair_loss(repaired, logits, features + 0.5, features[..., 1] % 2 == 1)
        assert float(loss.total.detach()) == pytest.approx(float(expected.total.detach()))

    def test_steps_and_rate_fall_like_a_cosine(self) -> None:
        settings = CRRSettings(steps=100, learning_rate=0.5)
        stage = CRRStage(CRRNetwork(settings, 2), [self.damaged()], settings)
        assert (stage.stage.steps, stage.stage.schedule) == (100, "cosine")
        assert learning_rate(stage.stage, 99) < 0.01 < learning_rate(stage.stage, 5) <= 0.5
