"""Where the time of a training step goes, and what `torch.compile` and bfloat16 would change.

The networks are those of a configuration with random weights; the clouds are closed surfaces. `down` and `up` are the
two stages of the paper's way, `guided` and `guided-up` those of the course that makes the weights of the default.

Example:
    python benchmarks/step_cost.py --config paper --points 100000 --stages down up --steps 1
    python benchmarks/step_cost.py --config course --stages guided guided-up --variants plain compile
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from paper_cost import wavy_sphere
from torch import nn
from torch.profiler import ProfilerActivity, profile

from dusnet.detectors.dusnet.down_net import GuidedDownNet
from dusnet.detectors.dusnet.simulated_scans import lessons_of_solid
from dusnet.detectors.dusnet.stage import GuidedStage, GuidedUpStage
from dusnet.detectors.dusnet_paper.networks import Networks, measure
from dusnet.detectors.dusnet_paper.stages import DownStage, GroupSource, UpStage
from dusnet.detectors.settings import Settings, load_settings
from dusnet.nn.grouping import supports_of
from dusnet.nn.up_net import UpNet
from dusnet.training.loop import Stage

PARTS = ("draw", "forward", "backward", "update", "step")
LISTED = 6


class Clock:
    """Seconds by part; waits for the device at every reading."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, dict.fromkeys(PARTS, 0.0)

    def now(self) -> float:
        """Seconds since some moment."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds what the block takes to a part."""
        start = self.now()
        yield
        self.seconds[name] += self.now() - start

    def timed(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A function whose calls are added to a part."""

        def run(*arguments: Any, **named: Any) -> Any:
            with self.part(name):
                return call(*arguments, **named)

        return run


def paper_stage(name: str, settings: Settings, points: int, clock: Clock) -> Stage:
    """A stage of the paper's way; drawing is everything that comes before the networks."""
    supports, cell = supports_of([wavy_sphere(points, 0)], settings.grouping, settings.training.points, seed=0)
    networks = Networks(settings, measure(supports, cell, settings), seed=0)
    source = GroupSource(supports, settings.grouping, settings.training)
    source.draw = clock.timed(source.draw, "draw")  # type: ignore[method-assign]
    networks.noise.forward = clock.timed(networks.noise.forward, "draw")  # type: ignore[method-assign]
    training, loss = settings.training, settings.loss
    if name == "down":
        return DownStage(networks.down, source, networks.noise, training.down, loss)
    return UpStage(networks.up, networks.down.to(clock.device), source, networks.noise, training.up, loss)


def guided_stage(name: str, settings: Settings, clock: Clock) -> Stage:
    """A stage of the course; drawing of the second stage is counted as forward."""
    lessons = [lesson for number in range(4) for lesson in lessons_of_solid(0, number, settings.warp, settings.guide)]
    groups, training = settings.grouping.groups, settings.training
    lessons = [lesson for lesson in lessons if len(lesson.wrong) >= groups]
    if name == "guided":
        stage = GuidedStage(GuidedDownNet(settings.guide), lessons, training.down, groups=groups)
        stage.draw = clock.timed(stage.draw, "draw")  # type: ignore[method-assign]
        return stage
    return GuidedUpStage(UpNet(settings.up_net, spacing=1.0), lessons, training.up, settings.loss, groups=groups)


def step(stage: Stage, model: nn.Module, optimizer: torch.optim.Optimizer, clock: Clock, *, bf16: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    with clock.part("step"):
        before = clock.seconds["draw"]
        with clock.part("forward"), torch.autocast(clock.device.type, torch.bfloat16, enabled=bf16):
            loss = stage.loss(model, generator).total
        clock.seconds["forward"] -= clock.seconds["draw"] - before
        with clock.part("backward"):
            optimizer.zero_grad()
            loss.backward()
        with clock.part("update"):
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()


def costly(record: Any, device: torch.device) -> str:
    """The operators that take most of a step, with their shares."""
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = sorted(record.key_averages(), key=lambda event: -getattr(event, key))
    total = sum(getattr(event, key) for event in events)
    shown = (f"{event.key} {100 * getattr(event, key) / total:.0f} %" for event in events[:LISTED])
    return ", ".join(shown)


def measured(name: str, chosen: argparse.Namespace, settings: Settings) -> None:
    device = torch.device(chosen.device)
    for variant in chosen.variants:
        clock = Clock(device)
        if name.startswith("guided"):
            stage = guided_stage(name, settings, clock)
        else:
            stage = paper_stage(name, settings, chosen.points, clock)
        stage.model.to(device).train()
        model = torch.compile(stage.model) if variant == "compile" else stage.model
        assert isinstance(model, nn.Module)
        optimizer = torch.optim.AdamW(stage.model.parameters(), lr=1e-3)
        bf16 = variant == "bf16"
        start = clock.now()
        step(stage, model, optimizer, clock, bf16=bf16)
        first = clock.now() - start
        rows = []
        for _ in range(chosen.steps):
            clock.seconds = dict.fromkeys(PARTS, 0.0)
            step(stage, model, optimizer, clock, bf16=bf16)
            rows.append(clock.seconds)
        medians = [1000 * statistics.median(row[part] for row in rows) for part in PARTS]
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
        with profile(activities=activities) as record:
            step(stage, model, optimizer, clock, bf16=bf16)
        cells = " | ".join(f"{value:.0f}" for value in medians)
        print(f"| {name}, {variant} | {cells} | {first:.1f} | {costly(record, device)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="paper")
    parser.add_argument("--stages", nargs="+", choices=("down", "up", "guided", "guided-up"), default=("down", "up"))
    parser.add_argument("--variants", nargs="+", choices=("plain", "compile", "bf16"), default=("plain",))
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--set", nargs="*", default=(), metavar="KEY=VALUE", help="settings in place of the file's")
    chosen = parser.parse_args()
    settings = load_settings(chosen.config, chosen.set)
    print(f"{chosen.config}, {chosen.points} points, {chosen.device}, torch {torch.__version__}, ms")
    print("| stage | " + " | ".join(PARTS) + " | first, s | most costly operators |")
    print("|---|" + "---:|" * (len(PARTS) + 1) + "---|")
    for name in chosen.stages:
        measured(name, chosen, settings)
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
