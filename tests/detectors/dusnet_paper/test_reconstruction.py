"""Running networks on a scan: who becomes a centre, what noise does, how chunks are dealt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from dusnet.detectors.dusnet_paper import reconstruction
from dusnet.detectors.dusnet_paper.networks import Networks, TrainingLengths
from dusnet.detectors.dusnet_paper.reconstruction import Reconstructor
from dusnet.detectors.settings import Settings


def scan(count: int, seed: int = 0) -> Tensor:
    """Points of the unit sphere."""
    source = torch.Generator().manual_seed(seed)
    return nn.functional.normalize(torch.randn(count, 3, generator=source), dim=1)


def make(*, seed: int = 5, shake: bool = False, layers: int = 0, **sections: dict[str, object]) -> Reconstructor:
    """An untrained pair: its Down-Net returns the centres that it is given, unless `shake` spoils its head."""
    tree: dict[str, dict[str, object]] = {
        "grouping": {"groups": 16, "neighbors": 8, "stride": 2},
        "down_net": {"patch_widths": (8, 8, 8), "width": 8, "layers": layers, "heads": 2},
        "up_net": {"gamma": 3, "neighbors": 4, "widths": (8, 8)},
    }
    for name, section in sections.items():
        tree[name] = tree.get(name, {}) | section
    settings = Settings.model_validate(tree)
    measured = TrainingLengths(cell=0.05, patch_radius=0.2, wall=0.4, spacing=0.3)
    networks = Networks(settings, measured, seed=0)
    if shake:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            nn.init.normal_(networks.down.head[-1].weight, std=0.1)
    return Reconstructor(networks, settings, device=torch.device("cpu"), seed=seed)


def shown(module: nn.Module) -> list[Tensor]:
    """Collects the centres of every call of a network."""
    calls: list[Tensor] = []
    module.register_forward_pre_hook(lambda _module, inputs: calls.append(inputs[0].clone()))
    return calls


class TestCenters:
    @pytest.mark.parametrize("count", [16, 100, 103])
    def test_dense_makes_every_point_a_centre_once(self, count: int) -> None:
        points = scan(count)
        found = make().centers(points)
        assert torch.equal(found.index, torch.arange(count))
        assert torch.equal(found.points, points)
        assert torch.equal(found.predicted, points)

    @pytest.mark.parametrize("groups", [16, 40])
    def test_chunks_of_g_show_every_point(self, groups: int) -> None:
        maker = make(grouping={"groups": groups})
        calls = shown(maker.down)
        points = scan(1003)
        maker.centers(points)
        assert {call.shape[1] for call in calls} == {groups}
        seen = torch.cat([call.flatten(0, 1) for call in calls])
        assert len(seen) == -(-1003 // groups) * groups
        distance, index = cKDTree(points).query(seen)
        assert distance.max() == 0
        assert set(index.tolist()) == set(range(1003))

    def test_the_number_of_tokens_at_once_is_bounded(self) -> None:
        maker = make(grouping={"groups": 16})
        calls = shown(maker.down)
        maker.centers(scan(9000))
        assert max(call.shape[0] * call.shape[1] for call in calls) <= reconstruction.TOKENS_AT_ONCE
        assert len(calls) == -(-563 // (reconstruction.TOKENS_AT_ONCE // 16))  # 563 chunks

    def test_answers_go_back_to_their_own_points(self) -> None:
        """With attention off a point's answer depends on itself and its patch alone, whatever chunk it is in."""
        maker, points = make(shake=True), scan(203)
        found = maker.centers(points)
        assert float((found.predicted - points).norm(dim=1).min()) > 0
        support = maker._support(points)
        near = np.argsort(np.linalg.norm(support.numpy()[None] - points.numpy()[:, None], axis=-1), axis=1)
        for i in (0, 57, 202):
            kept = [j for j in near[i] if not torch.equal(support[j], points[i])][:8][::2]
            alone = maker.down(points[None, i : i + 1], support[kept][None, None])
            torch.testing.assert_close(found.predicted[i], alone[0, 0].detach(), atol=1e-6, rtol=1e-5)

    def test_without_dense_g_farthest_points_are_centres(self) -> None:
        points = scan(300)
        found = make(grouping={"dense": False}, scoring={"distance": "point", "tolerance": False}).centers(points)
        chosen = [0]
        while len(chosen) < 16:
            gaps = np.linalg.norm(points.numpy()[:, None] - points.numpy()[None, chosen], axis=-1).min(axis=1)
            chosen.append(int(gaps.argmax()))
        assert found.index.tolist() == chosen
        assert torch.equal(found.points, points[chosen])

    def test_a_big_scan_is_thinned_to_max_centers(self) -> None:
        found = make(scoring={"max_centers": 1000}).centers(scan(4000))
        assert len(found.index) == pytest.approx(1000, rel=0.1)
        assert len(set(found.index.tolist())) == len(found.index)
        everywhere, _ = cKDTree(found.points).query(scan(4000))
        assert everywhere.max() < 0.25

    def test_the_support_is_thinned_to_the_density_of_the_training(self) -> None:
        maker = make()
        dense, sparse = (len(maker._support(scan(count))) for count in (40_000, 20_000))
        assert dense == pytest.approx(sparse, rel=0.15)  # 10 % more, deviation .5 % over five seeds


class TestNoise:
    def spread(self, draws: int, seed: int = 5) -> Tensor:
        noise = {"alpha": 0.1, "beta": 0.2, "coherent": 0.5}
        maker = make(seed=seed, noise=noise, scoring={"draws": draws}, grouping={"groups": 64})
        points = scan(2048)
        return maker.centers(points).predicted - points

    def test_no_draws_no_noise(self) -> None:
        assert float(self.spread(0).abs().max()) == 0

    @pytest.mark.parametrize("draws", [1, 4, 25])
    def test_draws_are_averaged(self, draws: int) -> None:
        """An untrained net returns noisy centres: alpha over the root of the number of draws, nothing coherent."""
        assert float(self.spread(draws).std()) == pytest.approx(0.1 / draws**0.5, rel=0.05)

    def test_the_same_scan_gives_the_same_answer(self) -> None:
        assert torch.equal(self.spread(2), self.spread(2))
        assert not torch.equal(self.spread(2), self.spread(2, seed=6))

    def test_a_second_look_does_not_continue_the_first(self) -> None:
        maker = make(shake=True, layers=1, noise={"alpha": 0.1}, scoring={"draws": 1})
        points = scan(100)
        assert torch.equal(maker.centers(points).predicted, maker.centers(points).predicted)


class TestDense:
    @pytest.mark.parametrize("count", [16, 100, 512])
    def test_gamma_points_for_every_centre_of_whole_chunks(self, count: int) -> None:
        maker, centers = make(), scan(count)
        calls = shown(maker.up)
        rebuilt = maker.dense(centers)
        chunks = count // 16
        assert rebuilt.shape == (chunks * 16 * 3, 3)
        seen = torch.cat([call.flatten(0, 1) for call in calls])
        assert len(seen) == chunks * 16 == len({tuple(row) for row in seen.tolist()})
        assert cKDTree(centers).query(seen)[0].max() == 0
        offset = (rebuilt.view(-1, 3, 3) - seen.unsqueeze(1)).norm(dim=-1)
        assert float(offset.max()) < 0.3  # an untrained offset head stays within a spacing of its centre

    def test_every_chunk_covers_the_whole_scan(self) -> None:
        maker, centers = make(grouping={"groups": 64}), scan(640)
        calls = shown(maker.up)
        maker.dense(centers)
        chunks = torch.cat(calls)
        assert chunks.shape == (10, 64, 3)
        assert max(cKDTree(chunk).query(centers)[0].max() for chunk in chunks) < 0.8  # a piece would leave out 1.9

    def test_fewer_centres_than_groups_are_one_chunk(self) -> None:
        assert make(grouping={"groups": 64}).dense(scan(20)).shape == (60, 3)

    def test_very_many_centres_are_thinned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconstruction, "MOST_CENTERS", 160)
        assert make().dense(scan(1000)).shape == (480, 3)


class TestMemory:
    """A network that runs out of memory above some number of chunks, as torch says it on a CPU and on a GPU."""

    @staticmethod
    def limit(network: nn.Module, most: int, error: type[Exception] = RuntimeError) -> list[int]:
        """Let a network take at most so many chunks at once; collects how many it was given."""
        asked: list[int] = []

        def check(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            asked.append(len(inputs[0]))
            if len(inputs[0]) > most:
                raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes.")

        network.register_forward_pre_hook(check)
        return asked

    @pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError, MemoryError])
    def test_fewer_chunks_at_once_give_the_same(self, error: type[Exception]) -> None:
        roomy, tight = (make(shake=True, noise={"alpha": 0.1}, scoring={"draws": 1}) for _ in range(2))
        asked = {network: self.limit(network, 3, error) for network in (tight.down, tight.up)}
        points = scan(203)
        expected, found = (maker.centers(points).predicted for maker in (roomy, tight))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(tight.dense(points), roomy.dense(points), atol=1e-6, rtol=1e-5)
        for sizes in asked.values():
            assert max(sizes) > 3  # the trigger was met
            assert sum(size for size in sizes if size <= 3) in (12, 13)  # no chunk twice: 203 points in chunks of 16

    def test_when_a_single_chunk_is_too_much_the_error_stays(self) -> None:
        maker = make()
        asked = self.limit(maker.down, 0)
        with pytest.raises(RuntimeError, match="can't allocate memory"):
            maker.centers(scan(128))
        assert asked == [8, 4, 2, 1]

    def test_other_errors_are_not_tried_again(self) -> None:
        maker = make()
        asked = self.limit(maker.down, 0, ValueError)
        with pytest.raises(ValueError, match="allocate"):
            maker.centers(scan(128))
        assert asked == [8]
