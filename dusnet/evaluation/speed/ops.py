"""The point-cloud ops beside plain torch and the peers, on a closed surface in random order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.evaluation.speed import peers
from dusnet.evaluation.speed.timing import REPEATS, Timing, race
from dusnet.ops.schemas import PLAIN_TORCH
from dusnet.progress import Progress

_PLAIN_PAIRS = 10**9  # plain torch looks at all pairs; beyond so many it is left out


@dataclass(frozen=True)
class Work:
    """What the ops are timed on.

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
FULL = Work(
    farthest=((16_000, 1024), (100_000, 8192), (400_000, 8192)),
    knn=((16_000, 1024, 64), (100_000, 8192, 640), (400_000, 8192, 640)),
    nearest=((400_000, 65_000, 1), (400_000, 65_000, 3), (65_000, 400_000, 1), (65_000, 400_000, 3)),
    chamfer=((65_000, 400_000),),
    match=(1024, 4096),
    match_alone=(65_536,),
)


def of_size(count: int) -> Work:
    """Work on clouds of one size."""
    return Work(
        farthest=((count, count // 8),),
        knn=((count, count, 16),),
        nearest=((count, count, 1), (count, count, 3)),
        chamfer=((count, count),),
        match=(min(count, 2048),),
        ball=((count, count, 32),),
        interpolation=((count // 8, count),),
    )


def time_ops(
    works: Sequence[Work], device: str, progress: Progress, *, repeats: int = REPEATS, with_peers: bool = True
) -> list[Timing]:
    """Time farthest points, neighbours, Chamfer and earth mover's distance.

    Args:
        works: the sizes, such as `FULL` or `of_size(8192)`.
        device: `cpu`, `cuda` or `cuda:N`; peers run on the CPU only.
        progress: where to report.
        repeats: counted runs of each.
        with_peers: whether other packages run, too.
    """
    beside = with_peers and device == "cpu"
    if beside:
        for line in peers.missing():
            progress.log(line)
    backend = ops.status().backend if device == "cpu" else device
    cases = [case for work in works for case in _cases(work, f"dusnet ({backend})", device, beside)]
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


_Case = tuple[str, str, Callable[[], peers.Runs]]


def _cases(work: Work, us: str, device: str, beside: bool) -> list[_Case]:
    """What to run; a case makes its clouds only when its turn comes."""
    cases: list[_Case] = []
    for count, k in work.farthest:
        cases.append(("farthest points", f"{k} of {count}", _farthest(count, k, us, device, beside)))
    for count, rows, k in work.knn:
        cases.append(("neighbours", f"{k} of {count} for {rows}", _own_neighbors(count, rows, k, us, device, beside)))
    for count, rows, k in work.nearest:
        cases.append(("neighbours", f"{k} of {count} for {rows}", _neighbors(count, rows, k, us, device, beside)))
    for count, rows, k in work.ball:
        cases.append(("ball query", f"up to {k} of {count} for {rows}", _ball(count, rows, k, us, device)))
    for places, count in work.interpolation:
        cases.append(("interpolation", f"64 features, {places} to {count}", _interpolation(places, count, us, device)))
    for first, second in work.chamfer:
        cases.append(("Chamfer and gradients", f"{first} and {second}", _chamfer(first, second, us, device, beside)))
    for count in work.match:
        cases.append(("earth mover's match", f"{count}", _match(count, us, device, beside)))
    for count in work.match_alone:
        cases.append(("earth mover's match", f"{count}", _match(count, us, device, beside=False)))
    return cases


def _tensor(cloud: NDArray[np.float32], device: str) -> Tensor:
    return torch.from_numpy(cloud)[None].to(device)


def _farthest(count: int, k: int, us: str, device: str, beside: bool) -> Callable[[], peers.Runs]:
    def prepare() -> peers.Runs:
        cloud = knot(count, 0)
        tensor = _tensor(cloud, device)
        runs: peers.Runs = {us: lambda: ops.farthest_point_sample(tensor, k)}
        if count * k <= _PLAIN_PAIRS:
            runs["plain torch"] = lambda: PLAIN_TORCH["farthest_point_sample"](tensor, k, 0, None)
        return {**runs, **(peers.farthest(cloud, k) if beside else {})}

    return prepare


def _own_neighbors(count: int, rows: int, k: int, us: str, device: str, beside: bool) -> Callable[[], peers.Runs]:
    return lambda: _search(knot(count, 0)[:rows], knot(count, 0), k, us, device, beside)


def _neighbors(count: int, rows: int, k: int, us: str, device: str, beside: bool) -> Callable[[], peers.Runs]:
    return lambda: _search(knot(rows, 1), knot(count, 2), k, us, device, beside)


def _search(
    query: NDArray[np.float32], cloud: NDArray[np.float32], k: int, us: str, device: str, beside: bool
) -> peers.Runs:
    asked, points = _tensor(query, device), _tensor(cloud, device)
    runs: peers.Runs = {us: lambda: ops.knn(asked, points, k)}
    if len(query) * len(cloud) <= _PLAIN_PAIRS:
        runs["plain torch"] = lambda: PLAIN_TORCH["knn"](asked, points, k, None, None, None)
    return {**runs, **(peers.neighbors(query, cloud, k, torch.get_num_threads()) if beside else {})}


def _ball(count: int, rows: int, k: int, us: str, device: str) -> Callable[[], peers.Runs]:
    def prepare() -> peers.Runs:
        query, points = _tensor(knot(rows, 1), device), _tensor(knot(count, 2), device)
        radius = 2.0 * float(ops.knn(query, points, min(k, count))[0][..., -1].sqrt().median())
        runs: peers.Runs = {us: lambda: ops.ball_query(query, points, radius, k)}
        if rows * count <= _PLAIN_PAIRS:
            runs["plain torch"] = lambda: PLAIN_TORCH["ball_query"](query, points, radius, k, None, None, None)
        return runs

    return prepare


def _interpolation(places: int, count: int, us: str, device: str) -> Callable[[], peers.Runs]:
    def prepare() -> peers.Runs:
        weights, index = ops.three_nn(_tensor(knot(count, 1), device), _tensor(knot(places, 2), device))
        features = torch.rand(1, places, 64, generator=torch.Generator().manual_seed(0)).to(device)
        return {
            us: lambda: ops.three_interpolate(features, index, weights),
            "plain torch": lambda: PLAIN_TORCH["three_interpolate"](features, index, weights),
        }

    return prepare


def _chamfer(first: int, second: int, us: str, device: str, beside: bool) -> Callable[[], peers.Runs]:
    """Peers have no gradients: they are asked for the two searches only."""

    def prepare() -> peers.Runs:
        one, other = knot(first, 1), knot(second, 2)
        x, y = _tensor(one, device).requires_grad_(), _tensor(other, device).requires_grad_()

        def ours() -> Any:
            x.grad = y.grad = None
            distance = ops.chamfer_distance(x, y)
            assert isinstance(distance, Tensor)
            distance.backward()

        runs: peers.Runs = {us: ours}
        if beside:
            threads = torch.get_num_threads()
            forth, back = peers.neighbors(one, other, 1, threads), peers.neighbors(other, one, 1, threads)
            runs |= {f"{by}, no gradients": _both(forth[by], back[by]) for by in forth}
        return runs

    return prepare


def _both(first: Callable[[], Any], second: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: (first(), second())


def _match(count: int, us: str, device: str, beside: bool) -> Callable[[], peers.Runs]:
    def prepare() -> peers.Runs:
        one, other = knot(count, 1), knot(count, 2)
        x, y = _tensor(one, device), _tensor(other, device)
        runs: peers.Runs = {f"{us}, eps {eps:g}": _matcher(x, y, eps) for eps in (1e-3, 1e-4)}
        return {**runs, **(peers.matches(one, other) if beside else {})}

    return prepare


def _matcher(x: Tensor, y: Tensor, eps: float) -> Callable[[], Any]:
    return lambda: ops.earth_movers_distance(x, y, eps=eps)
