"""Pre-training of the guided networks: damaged scans of many random solids, then both stages."""

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
from dusnet.detectors.dusnet.simulated_scans import DamagedScan, damaged_scans_of
from dusnet.detectors.dusnet.stage import GuidedStage, GuidedUpStage
from dusnet.detectors.dusnet.weights import FORMAT
from dusnet.detectors.settings import Settings
from dusnet.io.tensors import read_tensors, write_tensors
from dusnet.nn.up_net import UpNet
from dusnet.progress import Progress
from dusnet.training.loop import Run, fingerprint, train_stage

SOLIDS = 360
SIMULATION = 3
"""How damaged scans are made; whoever changes that counts on, so that no scans of another way are taken for these."""


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
    """Make damaged scans, train both networks and write their weights; what `workdir` has of another run is kept.

    Args:
        settings: `guide`, `up_net`, `warp`, `loss`, `grouping.groups` and `training`.
        out: the weights file.
        workdir: folder for damaged scans (about 16 MB per solid) and checkpoints.
        seed: of all randomness.
        solids: how many random solids are scanned. All scans are kept in memory.
        device: where to train.
        jobs: processes that make the scans.
        progress: where to report.
    """
    mark = fingerprint(settings.warp.model_dump(mode="json"), _shape(settings), seed)
    folder = workdir / f"scans-{mark}"
    folder.mkdir(parents=True, exist_ok=True)
    scans = list(_damaged_scans(settings, folder, seed, solids, jobs, progress))
    groups = settings.grouping.groups
    scans = [one for one in scans if len(one.wrong) >= groups]
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
    train_stage(GuidedStage(down, scans, training.down, groups=groups), training.down, run)
    train_stage(GuidedUpStage(up, scans, training.up, settings.loss, groups=groups), training.up, run)
    tensors = {f"down.{name}": value for name, value in down.state_dict().items()}
    tensors |= {f"up.{name}": value for name, value in up.state_dict().items()}
    course = {"seed": seed, "solids": solids, "settings": settings.model_dump(mode="json")}
    write_tensors(out, tensors, {"format": FORMAT, "course": course})


def _shape(settings: Settings) -> dict[str, Any]:
    """What damaged scans depend on: how groups are cut, of how many points, and how scans are simulated."""
    guide = settings.guide
    names = ("neighbors", "stride", "places", "centers")
    return {name: getattr(guide, name) for name in names} | {"simulation": SIMULATION}


def _damaged_scans(
    settings: Settings, folder: Path, seed: int, solids: int, jobs: int, progress: Progress
) -> Iterator[DamagedScan]:
    with (
        progress.task("Making damaged scans", solids) as task,
        ProcessPoolExecutor(
            jobs, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool,
    ):
        waiting = [
            pool.submit(_keep_scans, folder / f"{number}.safetensors", settings, seed, number)
            for number in range(solids)
        ]
        for number, made in enumerate(waiting):
            made.result()
            yield from _read_scans(folder / f"{number}.safetensors")
            task.advance()


def _keep_scans(path: Path, settings: Settings, seed: int, number: int) -> None:
    if path.is_file():
        return
    tensors: dict[str, Tensor] = {}
    numbers = []
    for index, one in enumerate(damaged_scans_of(seed, number, settings.warp, settings.guide)):
        parts = asdict(one.seen) | {"clean": one.clean, "wrong": one.wrong}
        tensors |= {f"{index}.{name}": value for name, value in parts.items() if isinstance(value, Tensor)}
        numbers.append({name: value for name, value in parts.items() if not isinstance(value, Tensor)})
    write_tensors(path, tensors, {"scans": numbers})


def _read_scans(path: Path) -> Iterator[DamagedScan]:
    tensors, metadata = read_tensors(path)
    names = [field.name for field in fields(GuidedScan)]
    for index, numbers in enumerate(metadata["scans"]):
        scan: dict[str, Any] = {
            name: numbers[name] if name in numbers else tensors[f"{index}.{name}"] for name in names
        }
        yield DamagedScan(GuidedScan(**scan), tensors[f"{index}.clean"], tensors[f"{index}.wrong"])
