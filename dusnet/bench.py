"""Speed of the native ops and of scoring, beside plain torch and what else is installed.

Every time is the median of several runs after one that is not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dusnet.progress import Progress

REPEATS = 5
_SLOW = 2.0  # seconds; whoever takes longer than this is measured once


@dataclass(frozen=True)
class Timing:
    """One measurement.

    Attributes:
        what: the op or the step.
        size: what it worked on.
        by: who computed it: `dusnet (cpu)`, `plain torch`, a peer.
        seconds: median time.
    """

    what: str
    size: str
    by: str
    seconds: float


def time_ops(sizes: Sequence[int], device: str, progress: Progress) -> list[Timing]:
    """Time every op on clouds of some sizes.

    Args:
        sizes: points per cloud.
        device: `cpu`, `cuda` or `cuda:N`.
        progress: where to report.
    """
    from dusnet import ops

    backend = f"dusnet ({ops.status().backend if device == 'cpu' else device})"
    if device == "cpu":
        _say_who_is_missing(progress)
    found = []
    with progress.task("timing ops", len(sizes)) as task:
        for size in sizes:
            for what, label, candidates in _cases(size, device):
                for by, run in candidates.items():
                    found.append(Timing(what, label, by or backend, _median(run, device)))
            task.advance()
    return found


def time_scoring(model: Path, sizes: Sequence[int], device: str, progress: Progress) -> list[Timing]:
    """Time the scoring of noisy copies of a model's own part, drawn to some sizes.

    Args:
        model: a model file.
        sizes: points per scan.
        device: `cpu`, `cuda` or `cuda:N`.
        progress: where to report.

    Raises:
        BadModel: the file cannot be used.
    """
    from dusnet.cloud import PointCloud
    from dusnet.detectors import load_model
    from dusnet.detectors.registered import RegisteredDetector
    from dusnet.errors import BadModel

    detector = load_model(model, device=device)
    if not isinstance(detector, RegisteredDetector):
        raise BadModel(f"{model} keeps no reference part to draw scans from; time a model of another detector.")
    reference = detector.class_frame.reference
    jitter = 0.002 * detector.class_frame.frame.scale
    generator = np.random.default_rng(0)
    found = []
    with progress.task("timing scores", len(sizes)) as task:
        for size in sizes:
            chosen = reference[generator.choice(len(reference), size, replace=size > len(reference))]
            cloud = PointCloud(chosen + generator.normal(scale=jitter, size=chosen.shape))
            seconds = _median(lambda cloud=cloud: detector.score(cloud), device)  # type: ignore[misc]
            found.append(Timing(f"score with {detector.name}", f"{size} points", device, seconds))
            task.advance()
    return found


def as_text(timings: Sequence[Timing]) -> str:
    """A table, one line per measurement."""
    rows = [("what", "size", "by", "ms"), *((t.what, t.size, t.by, f"{1000 * t.seconds:.2f}") for t in timings)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        lines.append("  ".join([*words, row[3].rjust(widths[3])]))
    return "\n".join(lines)


def _median(run: Callable[[], Any], device: str) -> float:
    seconds = []
    run()
    for _ in range(REPEATS):
        _finish(device)
        start = time.perf_counter()
        run()
        _finish(device)
        seconds.append(time.perf_counter() - start)
        if seconds[-1] > _SLOW:
            break
    return statistics.median(seconds)


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _cases(size: int, device: str) -> list[tuple[str, str, dict[str, Callable[[], Any]]]]:
    """What to run: op, description of its input, and who computes it ("" is the installed op)."""
    from dusnet import ops
    from dusnet.ops.schemas import PLAIN_TORCH

    generator = torch.Generator().manual_seed(0)
    cloud = torch.rand(1, size, 3, generator=generator).to(device)
    other = torch.rand(1, size, 3, generator=generator).to(device)
    fewer, matched = size // 8, min(size, 2048)
    features = torch.rand(1, fewer, 64, generator=generator).to(device)
    weights, index = ops.three_nn(cloud, other[:, :fewer])
    x, y = cloud[:, :matched].contiguous(), other[:, :matched].contiguous()
    radius = (50 / size) ** (1 / 3)
    cases: list[tuple[str, str, dict[str, Callable[[], Any]]]] = [
        (
            "farthest_point_sample",
            f"{fewer} of {size}",
            {
                "": lambda: ops.farthest_point_sample(cloud, fewer),
                "plain torch": lambda: PLAIN_TORCH["farthest_point_sample"](cloud, fewer, 0, None),
            },
        ),
        (
            "knn",
            f"16 of {size} for {size}",
            {
                "": lambda: ops.knn(other, cloud, 16),
                "plain torch": lambda: PLAIN_TORCH["knn"](other, cloud, 16, None, None, None),
            },
        ),
        (
            "ball_query",
            f"up to 32 of {size} for {size}",
            {
                "": lambda: ops.ball_query(other, cloud, radius, 32),
                "plain torch": lambda: PLAIN_TORCH["ball_query"](other, cloud, radius, 32, None, None, None),
            },
        ),
        (
            "three_interpolate",
            f"64 features, {fewer} to {size}",
            {
                "": lambda: ops.three_interpolate(features, index, weights),
                "plain torch": lambda: PLAIN_TORCH["three_interpolate"](features, index, weights),
            },
        ),
        ("chamfer_distance", f"{size} and {size}", {"": lambda: ops.chamfer_distance(cloud, other)}),
        ("earth_movers_distance", f"{matched} and {matched}", {"": lambda: ops.earth_movers_distance(x, y)}),
    ]
    if device == "cpu":
        _add_peers(cases, cloud, other, fewer, x, y)
    return cases


def _say_who_is_missing(progress: Progress) -> None:
    from dusnet.errors import MissingDependency
    from dusnet.open3d_import import open3d

    try:
        open3d()
    except MissingDependency as error:
        progress.log(f"no times of Open3D: {error}")


def _add_peers(
    cases: list[tuple[str, str, dict[str, Callable[[], Any]]]],
    cloud: Tensor,
    other: Tensor,
    fewer: int,
    x: Tensor,
    y: Tensor,
) -> None:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial import cKDTree
    from scipy.spatial.distance import cdist

    from dusnet.errors import MissingDependency
    from dusnet.open3d_import import open3d

    points, query = cloud[0].double().numpy(), other[0].double().numpy()
    candidates = {what: run for what, _, run in cases}
    with suppress(MissingDependency):
        legacy = open3d().geometry.PointCloud(open3d().utility.Vector3dVector(points))
        candidates["farthest_point_sample"]["Open3D"] = lambda: legacy.farthest_point_down_sample(fewer)
    candidates["knn"]["SciPy cKDTree"] = lambda: cKDTree(points).query(query, k=16, workers=-1)
    candidates["earth_movers_distance"]["SciPy (exact)"] = lambda: linear_sum_assignment(
        cdist(x[0].numpy(), y[0].numpy())
    )
