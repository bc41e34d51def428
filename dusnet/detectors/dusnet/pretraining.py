"""The course that makes the weights of the guided networks: lessons on many random solids, then both stages."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dusnet.detectors.dusnet.down_net import GuidedDownNet
from dusnet.detectors.dusnet.groups import GuidedScan
from dusnet.detectors.dusnet.simulated_scans import Lesson, lessons_of_solid
from dusnet.detectors.dusnet.stage import GuidedStage, GuidedUpStage
from dusnet.detectors.dusnet.weights import FORMAT
from dusnet.detectors.settings import Settings
from dusnet.io.tensors import read_tensors, write_tensors
from dusnet.nn.up_net import UpNet
from dusnet.progress import Progress
from dusnet.training.loop import Run, fingerprint, train_stage

SOLIDS = 360


def train_guided(
    settings: Settings,
    out: Path,
    workdir: Path,
    *,
    seed: int = 0,
    solids: int = SOLIDS,
    device: str = "cpu",
    jobs: int = 1,
    progress: Progress,
) -> None:
    """Make lessons, train both networks and write their weights; what `workdir` has of an interrupted run is kept.

    Args:
        settings: `guide`, `up_net`, `warp`, `loss`, `grouping.groups` and `training`.
        out: the weights file.
        workdir: folder for lessons (about 15 MB per solid) and checkpoints.
        seed: of all randomness.
        solids: how many random solids the lessons are about. All lessons are kept in memory.
        device: where to train.
        jobs: processes that make lessons.
        progress: where to report.
    """
    mark = fingerprint(settings.warp.model_dump(mode="json"), _shape(settings), seed)
    folder = workdir / f"lessons-{mark}"
    folder.mkdir(parents=True, exist_ok=True)
    lessons = list(_lessons(settings, folder, seed, solids, jobs, progress))
    groups = settings.grouping.groups
    lessons = [lesson for lesson in lessons if len(lesson.wrong) >= groups]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        down, up = GuidedDownNet(settings.guide), UpNet(settings.up_net, spacing=1.0)
    run = Run.of(
        settings.training,
        settings.model_dump(mode="json"),
        seed,
        solids,
        device=device,
        seed=seed,
        workdir=workdir,
        resume=True,
        progress=progress,
    )
    training = settings.training
    train_stage(GuidedStage(down, lessons, training.down, groups=groups), training.down, run)
    train_stage(GuidedUpStage(up, lessons, training.up, settings.loss, groups=groups), training.up, run)
    tensors = {f"down.{name}": value for name, value in down.state_dict().items()}
    tensors |= {f"up.{name}": value for name, value in up.state_dict().items()}
    course = {"seed": seed, "solids": solids, "settings": settings.model_dump(mode="json")}
    write_tensors(out, tensors, {"format": FORMAT, "course": course})


def _shape(settings: Settings) -> dict[str, Any]:
    """What lessons depend on: how groups are cut."""
    guide = settings.guide
    return {"neighbors": guide.neighbors, "stride": guide.stride, "places": guide.places}


def _lessons(
    settings: Settings, folder: Path, seed: int, solids: int, jobs: int, progress: Progress
) -> Iterator[Lesson]:
    with (
        progress.task("Making lessons", solids) as task,
        ProcessPoolExecutor(
            jobs, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool,
    ):
        waiting = [
            pool.submit(_keep_lessons, folder / f"{number}.safetensors", settings, seed, number)
            for number in range(solids)
        ]
        for number, made in enumerate(waiting):
            made.result()
            yield from _read_lessons(folder / f"{number}.safetensors")
            task.advance()


def _keep_lessons(path: Path, settings: Settings, seed: int, number: int) -> None:
    if path.is_file():
        return
    tensors: dict[str, Tensor] = {}
    numbers = []
    for index, lesson in enumerate(lessons_of_solid(seed, number, settings.warp, settings.guide)):
        parts = asdict(lesson.scan) | {"clean": lesson.clean, "wrong": lesson.wrong}
        tensors |= {f"{index}.{name}": value for name, value in parts.items() if isinstance(value, Tensor)}
        numbers.append({name: value for name, value in parts.items() if not isinstance(value, Tensor)})
    write_tensors(path, tensors, {"lessons": numbers})


def _read_lessons(path: Path) -> Iterator[Lesson]:
    tensors, metadata = read_tensors(path)
    names = [field.name for field in fields(GuidedScan)]
    for index, numbers in enumerate(metadata["lessons"]):
        scan: dict[str, Any] = {
            name: numbers[name] if name in numbers else tensors[f"{index}.{name}"] for name in names
        }
        yield Lesson(GuidedScan(**scan), tensors[f"{index}.clean"], tensors[f"{index}.wrong"])
