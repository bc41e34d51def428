"""Coreset, projection and nearest memory against brute force, scikit-learn and their guarantees."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from dusnet.detectors.peers import memory_bank
from dusnet.detectors.peers.memory_bank import MemoryBank, greedy_coreset, nearest, sparse_projection


def features(count: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def radius(points: np.ndarray, chosen: list[int]) -> float:
    """Largest distance of a point to the nearest chosen one."""
    return float(np.linalg.norm(points[:, None] - points[chosen][None], axis=-1).min(axis=1).max())


class TestCoreset:
    @pytest.mark.parametrize("start", [0, 17])
    def test_each_choice_is_the_farthest_from_all_before(self, start: int) -> None:
        points = features(120, 5)
        exact, expected = points.double().numpy(), [start]
        while len(expected) < 25:
            distance = np.linalg.norm(exact[:, None] - exact[expected][None], axis=-1).min(axis=1)
            expected.append(int(distance.argmax()))
        assert greedy_coreset(points, 25, start).tolist() == expected

    def test_is_at_most_twice_as_far_as_the_best_choice(self) -> None:
        points = features(14, 2, seed=3)
        exact = points.double().numpy()
        best = min(radius(exact, list(choice)) for choice in combinations(range(14), 4))
        for start in range(14):
            assert radius(exact, greedy_coreset(points, 4, start).tolist()) <= 2 * best + 1e-9

    def test_covers_better_than_chance(self) -> None:
        points = features(2000, 8)
        exact = points.double().numpy()
        rng = np.random.default_rng(0)
        chance = np.mean([radius(exact, rng.choice(2000, 100, replace=False).tolist()) for _ in range(5)])
        # .80 of one draw, deviation .04 over five seeds; .02 of the mean of five.
        assert radius(exact, greedy_coreset(points, 100).tolist()) < 0.9 * chance

    def test_nothing_is_chosen_twice_even_where_all_are_the_same(self) -> None:
        assert sorted(greedy_coreset(torch.ones(9, 4), 9, 3).tolist()) == list(range(9))

    def test_a_large_offset_does_not_hide_small_differences(self) -> None:
        points = features(200, 6)
        assert greedy_coreset(points + 1000, 20).tolist() == greedy_coreset(points, 20).tolist()

    @pytest.mark.parametrize(("count", "start"), [(0, 0), (6, 0), (2, 5), (2, -1)])
    def test_impossible_choices_are_refused(self, count: int, start: int) -> None:
        with pytest.raises(ValueError, match="do not fit 5 features"):
            greedy_coreset(features(5, 2), count, start)


class TestProjection:
    def test_keeps_distances_in_the_mean(self) -> None:
        points = features(40, 400)
        generator = torch.Generator().manual_seed(1)
        ratios = [torch.pdist(points @ sparse_projection(400, 60, generator)) / torch.pdist(points) for _ in range(5)]
        assert float(torch.stack(ratios).square().mean()) == pytest.approx(1.0, abs=0.03)
        assert float(torch.stack(ratios).std()) < 0.15

    def test_is_mostly_zero_and_has_three_values(self) -> None:
        matrix = sparse_projection(400, 60, torch.Generator().manual_seed(1))
        assert matrix.shape == (400, 60)
        assert float((matrix != 0).double().mean()) == pytest.approx(1 / 20, rel=0.1)
        assert matrix.unique().tolist() == pytest.approx([-((20 / 60) ** 0.5), 0, (20 / 60) ** 0.5])


class TestNearest:
    @pytest.mark.parametrize("block", [2**22, 1000])
    def test_agrees_with_scikit_learn(self, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory_bank, "_BLOCK", block)
        query, memory = 100 * features(301, 33, 1), 100 * features(470, 33, 2)
        distance, index = (x[:, 0] for x in NearestNeighbors(n_neighbors=1).fit(memory).kneighbors(query))
        found, which = nearest(query, memory)
        np.testing.assert_array_equal(which, index)
        np.testing.assert_allclose(found, distance, rtol=1e-6)

    def test_what_is_remembered_is_at_distance_zero(self) -> None:
        memory = 200 * features(500, 33)
        found, which = nearest(memory, memory)
        assert found.max() == 0
        assert which.tolist() == list(range(500))

    def test_a_block_never_holds_much_more_than_it_may(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[int] = []
        original = torch.cdist

        def watched(one: torch.Tensor, other: torch.Tensor, **rest: str) -> torch.Tensor:
            seen.append(len(one) * len(other))
            return original(one, other, **rest)

        monkeypatch.setattr(memory_bank, "_BLOCK", 2000)
        monkeypatch.setattr(torch, "cdist", watched)
        nearest(features(333, 4), features(70, 4))
        assert max(seen) <= 2000
        assert sum(seen) == 333 * 70

    @pytest.mark.parametrize("block", [2**22, 1000])
    def test_only_memories_within_reach_are_compared(self, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory_bank, "_BLOCK", block)
        query, memory, here, there = features(80, 5, 1), features(120, 5, 2), features(80, 3, 3), features(120, 3, 4)
        here[:6] += 100  # no memory is near these
        found, which = nearest(query, memory, (here, there, 0.8))
        for row in range(80):
            apart = np.linalg.norm(query[row].double() - memory.double(), axis=1)
            near = np.linalg.norm(here[row].double() - there.double(), axis=1) <= 0.8
            usable = np.where(near, apart, np.inf) if near.any() else apart
            assert int(which[row]) == usable.argmin()
            assert float(found[row]) == pytest.approx(usable.min(), rel=1e-9)
        assert not torch.equal(which, nearest(query, memory)[1])

    @pytest.mark.parametrize("few", [1, 16, 10**9])
    def test_few_memories_are_found_one_by_one_and_many_together(
        self, few: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both ways are one answer."""
        monkeypatch.setattr(memory_bank, "_FEW", few)
        query, memory, here, there = features(90, 7, 1), features(400, 7, 2), features(90, 3, 3), features(400, 3, 4)
        found, which = nearest(query, memory, (here, there, 0.9))
        apart = np.linalg.norm(query.double()[:, None] - memory.double()[None], axis=2)
        near = np.linalg.norm(here.double()[:, None] - there.double()[None], axis=2) <= 0.9
        expected = np.where(near | ~near.any(axis=1, keepdims=True), apart, np.inf)
        np.testing.assert_array_equal(which, expected.argmin(axis=1))
        np.testing.assert_allclose(found, expected.min(axis=1), rtol=1e-9)


class TestBank:
    def bank(self, seed: int = 0, **changes: object) -> MemoryBank:
        chosen: dict[str, object] = {"share": 0.1, "most": 10_000, "projection": None, "seed": seed} | changes
        return MemoryBank.of(features(300, 12), features(300, 3, 9), **chosen)  # type: ignore[arg-type]

    def test_keeps_the_share_and_never_more_than_allowed(self) -> None:
        assert len(self.bank().features) == 30
        assert len(self.bank(share=0.001).features) == 1
        assert len(self.bank(share=1.0).features) == 300
        assert len(self.bank(share=1.0, most=50).features) == 50
        assert len(self.bank(most=20).features) == 20
        assert len(self.bank(most=None).features) == 30
        assert len(self.bank(most=None, share=1.0).features) == 300

    @pytest.mark.parametrize("changes", [{}, {"projection": 4}, {"share": 1.0}, {"share": 1.0, "most": 40}])
    def test_features_stay_with_their_places(self, changes: dict[str, object]) -> None:
        everything, places = features(300, 12), features(300, 3, 9)
        bank = self.bank(**changes)
        origin = [int((everything == one).all(dim=1).nonzero()) for one in bank.features]
        assert torch.equal(places[origin], bank.places)
        assert origin == sorted(set(origin))

    def test_the_seed_decides(self) -> None:
        for changes in ({}, {"projection": 4}, {"share": 1.0, "most": 40}):
            one, same, other = self.bank(1, **changes), self.bank(1, **changes), self.bank(2, **changes)
            assert torch.equal(one.features, same.features)
            assert not torch.equal(one.features, other.features)

    def test_a_projection_that_is_no_smaller_is_left_out(self) -> None:
        assert torch.equal(self.bank(projection=12).features, self.bank().features)
        assert not torch.equal(self.bank(projection=3).features, self.bank().features)

    def test_too_many_features_are_drawn_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory_bank, "POOL", 100)
        seen: list[int] = []
        original = memory_bank.greedy_coreset
        monkeypatch.setattr(
            memory_bank, "greedy_coreset", lambda given, *rest: (seen.append(len(given)), original(given, *rest))[1]
        )
        assert len(self.bank(most=60, share=0.2).features) == 60
        assert seen == [100]

    def test_no_limit_takes_all_features_however_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory_bank, "POOL", 100)
        assert len(self.bank(most=None, share=1.0).features) == 300
        assert len(self.bank(most=None, share=0.5).features) == 150

    def test_an_infinite_reach_is_the_global_search(self) -> None:
        bank, query = self.bank(share=1.0), features(40, 12, 5)
        everywhere, around = bank.nearest(query), bank.nearest_around(query, features(40, 3, 6), None)
        assert torch.equal(everywhere[0], around[0])
        assert torch.equal(everywhere[1], around[1])

    def test_restores_what_it_stores(self) -> None:
        bank = self.bank()
        again = MemoryBank.restore(bank.tensors())
        assert torch.equal(again.features, bank.features)
        assert torch.equal(again.places, bank.places)
        with pytest.raises(ValueError, match="no memory"):
            MemoryBank.restore({"features": bank.features, "places": bank.places[:-1]})
        with pytest.raises(ValueError, match="no memory"):
            MemoryBank.restore({"features": bank.features[:0], "places": bank.places[:0]})
