"""Fair times: all candidates run in turn in one process, and the median of several runs counts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dusnet.evaluation.memory import PeakMeter

REPEATS = 5
SLOW = 2.0  # seconds; candidates that take longer run twice only


@dataclass(frozen=True)
class Timing:
    """One measurement.

    Attributes:
        what: the op or the step.
        size: what it worked on.
        by: what computed it: `dusnet (cpu)`, `plain torch`, a peer.
        seconds: median time; index build and copies included.
        spread: half of the distance between the quartiles, as a share of the median.
        memory: MiB that the process (on CUDA: the allocator) grew by at most while it ran, outputs included. What was
            allocated before and is reused does not show, so small figures mean little.
        ratio: its time over that of `dusnet` on the same size; None for what has nothing to compare with.
    """

    what: str
    size: str
    by: str
    seconds: float
    spread: float
    memory: float
    ratio: float | None


def race(what: str, size: str, runs: Mapping[str, Callable[[], Any]], *, device: str, repeats: int) -> list[Timing]:
    """Time callables that do the same work, the first of them ours.

    Args:
        what: the op.
        size: what it works on.
        runs: what computes it -> how.
        device: `cpu`, `cuda` or `cuda:N`.
        repeats: counted runs, after one that warms up and measures the memory.
    """
    memory = {by: _growth(run, device) for by, run in runs.items()}
    seconds: dict[str, list[float]] = {by: [] for by in runs}
    for turn in range(repeats):
        for by, run in runs.items():
            if turn > 1 and seconds[by][0] > SLOW:
                continue
            _finish(device)
            start = time.perf_counter()
            run()
            _finish(device)
            seconds[by].append(time.perf_counter() - start)
    ours = statistics.median(next(iter(seconds.values())))
    return [
        Timing(what, size, by, statistics.median(found), _spread(found), memory[by], statistics.median(found) / ours)
        for by, found in seconds.items()
    ]


def _spread(seconds: list[float]) -> float:
    if len(seconds) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return (high - low) / 2 / middle


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _growth(run: Callable[[], Any], device: str) -> float:
    """MiB by which the memory in use grew at most during one run."""
    meter = PeakMeter(device)
    run()
    _finish(device)
    return meter.growth()
