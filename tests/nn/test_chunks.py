"""Chunks: which points a network sees together, each of them once and in order, and what is too much at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dusnet.nn import chunks
from dusnet.nn.chunks import dealt_chunks, in_halves, random_chunks, through_chunks

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scan(count: int, seed: int = 0) -> Tensor:
    """Points of the unit sphere."""
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator(seed)), dim=1)


class TestRandomChunks:
    @pytest.mark.parametrize(("count", "size"), [(100, 10), (101, 10), (109, 10), (7, 10), (10, 10), (1, 8), (25, 24)])
    def test_cover_everything_once_except_the_fill(self, count: int, size: int) -> None:
        chunks = random_chunks(count, size, generator())
        assert chunks.shape == (-(-count // size), min(size, count))
        flat = chunks.flatten().tolist()
        assert sorted(flat[:count]) == list(range(count))
        assert flat[count:] == flat[: len(flat) - count]

    @pytest.mark.parametrize(("count", "size"), [(101, 10), (25, 24)])
    def test_no_chunk_holds_a_point_twice(self, count: int, size: int) -> None:
        for seed in range(20):
            for chunk in random_chunks(count, size, generator(seed)).tolist():
                assert len(set(chunk)) == len(chunk)

    def test_the_generator_decides(self) -> None:
        one, same, other = (random_chunks(50, 7, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


class TestThroughChunks:
    @pytest.mark.parametrize(("count", "size"), [(100, 10), (101, 10), (7, 10), (1, 8), (5000, 16)])
    def test_every_point_gets_its_own_answer_in_its_place(self, count: int, size: int) -> None:
        points, number = scan(count), torch.arange(count).double()
        moved, double = through_chunks(
            lambda here, which: (here + which.unsqueeze(-1), 2 * which), (points, number), size, generator(), device=CPU
        )
        torch.testing.assert_close(moved, (points + number.unsqueeze(1)).float(), atol=0, rtol=0)
        torch.testing.assert_close(double, 2 * number.float(), atol=0, rtol=0)

    def test_the_points_of_a_chunk_see_each_other_and_no_others(self) -> None:
        number = torch.arange(23).float()
        (sums,) = through_chunks(
            lambda which: which.cumsum(1)[:, -1:].expand_as(which), (number,), 5, generator(3), device=CPU
        )
        expected = torch.empty(23)
        for chunk in random_chunks(23, 5, generator(3)).flip(0):
            expected[chunk] = float(chunk.sum())
        torch.testing.assert_close(sums, expected)

    def test_a_network_gets_few_chunks_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chunks, "TOKENS_AT_ONCE", 40)
        seen: list[torch.Size] = []

        def network(here: Tensor) -> Tensor:
            seen.append(here.shape[:2])
            return here

        through_chunks(network, (scan(200),), 16, generator(), device=CPU)
        assert [tuple(shape) for shape in seen] == [(2, 16)] * 6 + [(1, 16)]

    def test_what_is_prepared_is_what_the_network_sees(self) -> None:
        number = torch.arange(30).float()
        (found,) = through_chunks(
            lambda which: which, (number,), 8, generator(), device=CPU, prepare=lambda which: (which + 100,)
        )
        torch.testing.assert_close(found, number + 100)

    def test_what_is_finished_lies_as_the_chunks_do(self) -> None:
        number = torch.arange(30).float()
        lying: list[Tensor] = []

        def finish(values: Tensor) -> tuple[Tensor]:
            lying.append(values)
            return (-values,)

        (found,) = through_chunks(lambda which: which, (number,), 8, generator(), device=CPU, finish=finish)
        torch.testing.assert_close(found, -number)
        torch.testing.assert_close(lying[0], random_chunks(30, 8, generator()).flatten()[:30].float())


class TestDealtChunks:
    @pytest.mark.parametrize(("count", "size", "most"), [(100, 16, 1000), (100, 16, 50), (10, 16, 1000), (100, 80, 64)])
    def test_cover_the_whole_cloud_each(self, count: int, size: int, most: int) -> None:
        cloud = scan(count)
        dealt = dealt_chunks(cloud, size, most)
        flat = dealt.flatten().tolist()
        assert dealt.shape[1] == min(size, count, most)
        assert len(set(flat)) == len(flat) <= min(count, most)
        assert len(flat) > min(count, most) - size
        spread = torch.cdist(cloud, cloud).median()
        for chunk in dealt:
            assert torch.cdist(cloud, cloud[chunk]).amin(dim=1).max() < 1.5 * spread


class TestInHalves:
    """Several inputs and outputs, and a function that takes at most so many chunks at once."""

    @staticmethod
    def inputs(count: int) -> tuple[Tensor, Tensor]:
        return scan(count * 4).view(count, 4, 3), torch.arange(count).double()

    @staticmethod
    def both(points: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of different shapes that show which input they belong to."""
        return points * number.view(-1, 1, 1), points.sum(dim=(1, 2)) + number

    @pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError, MemoryError])
    @pytest.mark.parametrize(("count", "most"), [(1, 1), (8, 8), (8, 3), (13, 3), (13, 1)])
    def test_every_output_is_put_together_in_order(self, count: int, most: int, error: type[Exception]) -> None:
        asked = []

        def tight(points: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
            asked.append(len(points))
            assert len(number) == len(points)
            if len(points) > most:
                raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes.")
            return self.both(points, number)

        found = in_halves(tight, self.inputs(count))
        expected = self.both(*self.inputs(count))
        assert len(found) == 2
        for one, wanted in zip(found, expected, strict=True):
            assert one.dtype == torch.float32
            assert one.device.type == "cpu"
            torch.testing.assert_close(one, wanted.float(), atol=0, rtol=0)
        assert asked[0] == count
        assert sum(size for size in asked if size <= most) == count

    def test_one_tensor_becomes_a_tuple_of_one(self) -> None:
        points, number = self.inputs(5)
        (found,) = in_halves(lambda points, number: points + number.view(-1, 1, 1), (points, number))
        torch.testing.assert_close(found, (points + number.view(-1, 1, 1)).float())

    def test_low_precision_comes_back_as_float32(self) -> None:
        (found,) = in_halves(lambda points: points.bfloat16(), self.inputs(3)[:1])
        assert found.dtype == torch.float32

    def test_a_single_chunk_that_is_too_much_and_other_errors_stay(self) -> None:
        asked = []

        def fail(*chunks: Tensor) -> Tensor:
            asked.append(len(chunks[0]))
            raise RuntimeError(message)

        message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes."
        with pytest.raises(RuntimeError, match="can't allocate memory"):
            in_halves(fail, self.inputs(8))
        assert asked == [8, 4, 2, 1]
        asked.clear()
        message = "shapes differ"
        with pytest.raises(RuntimeError, match="shapes differ"):
            in_halves(fail, self.inputs(8))
        assert asked == [8]
