"""The point-cloud ops beside plain torch and the peers, on a closed surface in random order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import dusnet.evaluation.speed.peers as peers
from dusnet import ops
from dusnet.evaluation.speed.timing import REPEATS, Timing, race
from dusnet.ops.schemas import PLAIN_TORCH
from dusnet.progress import Progress

_PLAIN_PAIRS = 10**9  # plain torch looks at all pairs; beyond so many it is left out


@dataclass(frozen=True)
class OpSizes:
    """The sizes of the clouds that the ops are timed on.

    Attributes:
        farthest: (points, how many to choose).
        knn: (points, queries, neighbours); the queries are some of the points.
        nearest: (points, queries of another surface, 1 or 3).
        chamfer: (points, points), with the gradients of both.
        match: points of each of the two clouds, as many as the longest exact solver may take.
        match_alone: the same without peers.
        ball: (points, queries, most neighbours), within twice the usual distance of the last of them.
        interpolation: (places with 64 features, points).
    """

    farthest: tuple[tuple[int, int], ...]
    knn: tuple[tuple[int, int, int], ...]
    nearest: tuple[tuple[int, int, int], ...]
    chamfer: tuple[tuple[int, int], ...]
    match: tuple[int, ...]
    match_alone: tuple[int, ...] = ()
    ball: tuple[tuple[int, int, int], ...] = ()
    interpolation: tuple[tuple[int, int], ...] = ()


# The sizes that the docs report: those of a scan of a part at the paper's setting.
FULL = OpSizes(
    farthest=((16_000, 1024), (100_000, 8192), (400_000, 8192)),
    knn=((16_000, 1024, 64), (100_000, 8192, 640), (400_000, 8192, 640)),
    nearest=((400_000, 65_000, 1), (400_000, 65_000, 3), (65_000, 400_000, 1), (65_000, 400_000, 3)),
    chamfer=((65_000, 400_000),),
    match=(1024, 4096),
    match_alone=(65_536,),
)


def of_size(count: int) -> OpSizes:
    """The sizes for clouds of `count` points."""
    return OpSizes(
        farthest=((count, count // 8),),
        knn=((count, count, 16),),
        nearest=((count, count, 1), (count, count, 3)),
        chamfer=((count, count),),
        match=(min(count, 2048),),
        ball=((count, count, 32),),
        interpolation=((count // 8, count),),
    )


def time_ops(
    sizes: Sequence[OpSizes], device: str, progress: Progress, *, repeats: int = REPEATS, with_peers: bool = True
) -> list[Timing]:
    """Time farthest points, neighbours, Chamfer and earth mover's distance.

    Args:
        sizes: such as `FULL` or `of_size(8192)`.
        device: `cpu`, `cuda` or `cuda:N`; peers run on the CPU only.
        progress: where to report.
        repeats: counted runs of each.
        with_peers: whether other packages run, too.
    """
    beside = with_peers and device == "cpu"
    if beside:
        for line in peers.missing():
            progress.log(line)
    runner = _Runner(f"dusnet ({ops.status().backend if device == 'cpu' else device})", device, beside)
    cases = [case for one in sizes for case in _cases(one, runner)]
    found: list[Timing] = []
    with progress.task("timing ops", len(cases)) as task:
        for what, size, prepare in cases:
            found += race(what, size, prepare(), device=device, repeats=repeats)
            task.advance()
    return found


def knot(count: int, seed: int) -> NDArray[np.float32]:
    """Random points on the tube around a trefoil knot inside the unit box, (N, 3) float32."""
    rng = np.random.default_rng(seed)
    turn = rng.random(count) * 2 * np.pi
    middle = [np.sin(turn) + 2 * np.sin(2 * turn), np.cos(turn) - 2 * np.cos(2 * turn), -np.sin(3 * turn)]
    outward = rng.normal(size=(count, 3))
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return (np.stack(middle, axis=1) / 3 + 0.12 * outward).astype(np.float32)


@dataclass(frozen=True)
class _Runner:
    """Where cases run.

    Attributes:
        us: name of our op in the table.
        device: `cpu`, `cuda` or `cuda:N`.
        beside: whether other packages run, too.
    """

    us: str
    device: str
    beside: bool

    def tensor(self, cloud: NDArray[np.float32]) -> Tensor:
        """(N, 3) -> (1, N, 3)."""
        return torch.from_numpy(cloud)[None].to(self.device)

    def without_peers(self) -> _Runner:
        """The same alone."""
        return replace(self, beside=False)


_Case = tuple[str, str, Callable[[], peers.Runs]]


def _cases(sizes: OpSizes, runner: _Runner) -> Iterator[_Case]:
    """What to run; a case makes its clouds only when its turn comes."""
    for count, k in sizes.farthest:
        yield "farthest points", f"{k} of {count}", partial(_farthest, runner, count, k)
    for count, rows, k in sizes.knn:
        yield "neighbours", f"{k} of {count} for {rows}", partial(_own_neighbors, runner, count, rows, k)
    for count, rows, k in sizes.nearest:
        yield "neighbours", f"{k} of {count} for {rows}", partial(_neighbors, runner, count, rows, k)
    for count, rows, k in sizes.ball:
        yield "ball query", f"up to {k} of {count} for {rows}", partial(_ball, runner, count, rows, k)
    for places, count in sizes.interpolation:
        yield "interpolation", f"64 features, {places} to {count}", partial(_interpolation, runner, places, count)
    for first, second in sizes.chamfer:
        yield "Chamfer and gradients", f"{first} and {second}", partial(_chamfer, runner, first, second)
    for count in sizes.match:
        yield "earth mover's match", f"{count}", partial(_match, runner, count)
    for count in sizes.match_alone:
        yield "earth mover's match", f"{count}", partial(_match, runner.without_peers(), count)


def _farthest(runner: _Runner, count: int, k: int) -> peers.Runs:
    cloud = knot(count, 0)
    tensor = runner.tensor(cloud)
    runs: peers.Runs = {runner.us: lambda: ops.farthest_point_sample(tensor, k)}
    if count * k <= _PLAIN_PAIRS:
        runs["plain torch"] = lambda: PLAIN_TORCH["farthest_point_sample"](tensor, k, 0, None)
    return {**runs, **(peers.farthest(cloud, k) if runner.beside else {})}


def _own_neighbors(runner: _Runner, count: int, rows: int, k: int) -> peers.Runs:
    return _search(runner, knot(count, 0)[:rows], knot(count, 0), k)


def _neighbors(runner: _Runner, count: int, rows: int, k: int) -> peers.Runs:
    return _search(runner, knot(rows, 1), knot(count, 2), k)


def _search(runner: _Runner, query: NDArray[np.float32], cloud: NDArray[np.float32], k: int) -> peers.Runs:
    queries, points = runner.tensor(query), runner.tensor(cloud)
    runs: peers.Runs = {runner.us: lambda: ops.knn(queries, points, k)}
    if len(query) * len(cloud) <= _PLAIN_PAIRS:
        runs["plain torch"] = lambda: PLAIN_TORCH["knn"](queries, points, k, None, None, None)
    return {**runs, **(peers.neighbors(query, cloud, k, torch.get_num_threads()) if runner.beside else {})}


def _ball(runner: _Runner, count: int, rows: int, k: int) -> peers.Runs:
    query, points = runner.tensor(knot(rows, 1)), runner.tensor(knot(count, 2))
    radius = 2.0 * float(ops.knn(query, points, min(k, count))[0][..., -1].sqrt().median())
    runs: peers.Runs = {runner.us: lambda: ops.ball_query(query, points, radius, k)}
    if rows * count <= _PLAIN_PAIRS:
        runs["plain torch"] = lambda: PLAIN_TORCH["ball_query"](query, points, radius, k, None, None, None)
    return runs


def _interpolation(runner: _Runner, places: int, count: int) -> peers.Runs:
    weights, index = ops.three_nn(runner.tensor(knot(count, 1)), runner.tensor(knot(places, 2)))
    features = torch.rand(1, places, 64, generator=torch.Generator().manual_seed(0)).to(runner.device)
    return {
        runner.us: lambda: ops.three_interpolate(features, index, weights),
        "plain torch": lambda: PLAIN_TORCH["three_interpolate"](features, index, weights),
    }


def _chamfer(runner: _Runner, first: int, second: int) -> peers.Runs:
    """Peers have no gradients: they do the two searches only."""
    one, other = knot(first, 1), knot(second, 2)
    x, y = runner.tensor(one).requires_grad_(), runner.tensor(other).requires_grad_()

    def ours() -> Any:
        x.grad = y.grad = None
        distance = ops.chamfer_distance(x, y)
        assert isinstance(distance, Tensor)
        distance.backward()

    runs: peers.Runs = {runner.us: ours}
    if runner.beside:
        threads = torch.get_num_threads()
        forth, back = peers.neighbors(one, other, 1, threads), peers.neighbors(other, one, 1, threads)
        runs |= {f"{by}, no gradients": partial(_both, forth[by], back[by]) for by in forth}
    return runs


def _both(first: Callable[[], Any], second: Callable[[], Any]) -> None:
    first()
    second()


def _match(runner: _Runner, count: int) -> peers.Runs:
    one, other = knot(count, 1), knot(count, 2)
    x, y = runner.tensor(one), runner.tensor(other)
    runs: peers.Runs = {
        f"{runner.us}, eps {eps:g}": partial(ops.earth_movers_distance, x, y, eps=eps) for eps in (1e-3, 1e-4)
    }
    return {**runs, **(peers.matches(one, other) if runner.beside else {})}
