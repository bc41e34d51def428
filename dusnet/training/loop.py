"""One loop for both stages: Fabric for devices and precision, checkpoints that resume exactly, curves for the user."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from dusnet.config import StageSettings, TrainingSettings
from dusnet.errors import BadModel
from dusnet.nn.losses import Loss
from dusnet.progress import Progress, Silent
from dusnet.training.checkpoint import StageState
from dusnet.training.curves import Lines, Record, recorded
from dusnet.training.devices import require_device


class Stage(Protocol):
    """What is trained and on what."""

    name: str
    model: nn.Module

    def loss(self, model: nn.Module, generator: torch.Generator) -> Loss:
        """Draw one batch with `generator` and evaluate `model` (this stage's model, possibly wrapped) on it."""


@runtime_checkable
class PacedStage(Stage, Protocol):
    """A stage whose networks learn at different rates."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """For the optimizer: `params`, `rate`, a factor of the learning rate, and `weight_decay` where it differs."""


@dataclass(frozen=True)
class Run:
    """What the stages of one training share.

    Attributes:
        device: `cpu`, `cuda` or `cuda:N`.
        precision: a Fabric precision, `32-true` or `bf16-mixed`.
        seed: of all randomness.
        fingerprint: identifies scans, settings and seed.
        workdir: folder for checkpoints and curves, or None.
        resume: continue from the checkpoints in `workdir`.
        checkpoint_every: steps between checkpoints.
        progress: where to report.
        curves: of the stages so far.
    """

    device: str
    precision: str
    seed: int
    fingerprint: str
    workdir: Path | None
    resume: bool
    checkpoint_every: int
    progress: Progress
    curves: Lines = field(default_factory=dict, compare=False)

    @classmethod
    def of(
        cls,
        settings: TrainingSettings,
        *trained: Any,
        device: torch.device | str,
        seed: int,
        workdir: Path | None,
        resume: bool,
        progress: Progress,
    ) -> Run:
        """The run of a training with these settings.

        Args:
            settings: precision and how often there is a checkpoint.
            trained: what tells this training from others, anything JSON can hold; its hash is the fingerprint.
            device: where to train.
            seed: of all randomness.
            workdir: folder for checkpoints and curves, or None.
            resume: continue from the checkpoints in `workdir`.
            progress: where to report.
        """
        return cls(
            device=str(device),
            precision=settings.precision,
            seed=seed,
            fingerprint=fingerprint(*trained),
            workdir=workdir,
            resume=resume,
            checkpoint_every=settings.checkpoint_every,
            progress=progress,
        )


def fingerprint(*parts: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def learning_rate(settings: StageSettings, step: int) -> float:
    """Linear warm-up, then half a cosine down to zero or the same rate to the end."""
    warmup = round(settings.warmup * settings.steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def train_stage(stage: Stage, settings: StageSettings, run: Run) -> None:
    """Train `stage.model` in place.

    Under `torchrun` every process draws its own batches and gradients are averaged; the first one reports and saves.
    On one device the result depends on the seed alone, whether or not the training was interrupted.

    Raises:
        BadConfig: the device is absent.
        BadModel: a checkpoint to resume from is damaged or belongs to another training.
    """
    fabric = _fabric(run)
    model, optimizer = fabric.setup(
        stage.model,
        torch.optim.AdamW(_groups(stage), lr=settings.learning_rate, weight_decay=settings.weight_decay),
    )
    generator = torch.Generator().manual_seed(run.seed * 1000 + fabric.global_rank)
    average = {name: value.detach().clone() for name, value in stage.model.named_parameters()} if settings.ema else {}
    state = StageState(0, stage.model, optimizer, generator, average)
    path = None if run.workdir is None else run.workdir / f"{stage.name}.checkpoint.{fabric.global_rank}.safetensors"
    if run.resume and path is not None and path.is_file():
        state.load(path, fingerprint=run.fingerprint)
    _require_same_step(fabric, state.step, run.workdir)
    progress = run.progress if fabric.is_global_zero else Silent()
    if state.step:
        progress.log(f"{stage.name}: continuing at step {state.step} of {settings.steps}")
    stage.model.train()
    with (
        _curves(run, stage.name, state.step, progress, first=fabric.is_global_zero) as record,
        progress.task(f"Training {stage.name}", settings.steps) as task,
    ):
        task.advance(state.step)
        while state.step < settings.steps:
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * learning_rate(settings, state.step)
            loss = stage.loss(model, generator)
            optimizer.zero_grad()
            fabric.backward(loss.total)
            fabric.clip_gradients(model, optimizer, max_norm=settings.clip)
            optimizer.step()
            state.step += 1
            _follow(state.average, stage.model, settings.ema)
            record(state.step, loss, optimizer.param_groups[0]["lr"])
            if path is not None and (state.step % run.checkpoint_every == 0 or state.step == settings.steps):
                state.save(path, fingerprint=run.fingerprint)
            task.advance()
    if state.average:
        stage.model.load_state_dict(state.average, strict=False)
    stage.model.eval()


def _groups(stage: Stage) -> list[dict[str, Any]]:
    if isinstance(stage, PacedStage):
        return stage.parameter_groups()
    return [{"params": list(stage.model.parameters()), "rate": 1.0}]


def _fabric(run: Run) -> Any:
    from lightning_fabric import Fabric

    device = require_device(run.device)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    nodes = int(os.environ.get("GROUP_WORLD_SIZE", "1"))
    devices: int | list[int] = processes
    if processes == 1 and device.type == "cuda":
        devices = [device.index or 0]
    fabric = Fabric(
        accelerator=device.type,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if processes * nodes > 1 else "auto",
        precision=run.precision,
    )
    fabric.launch()
    return fabric


def _require_same_step(fabric: Any, step: int, workdir: Path | None) -> None:
    """Processes that start at different steps would wait for each other forever."""
    if fabric.world_size == 1:
        return
    low, high = (
        int(fabric.all_reduce(torch.tensor(step, device=fabric.device), reduce_op=op)) for op in ("min", "max")
    )
    if low != high:
        raise BadModel(
            f"The checkpoints in {workdir} do not belong together (the processes would start at steps {low} and "
            f"{high}); resume with as many processes as before, or train without --resume."
        )


@torch.no_grad()
def _follow(average: Mapping[str, Tensor], model: nn.Module, decay: float) -> None:
    if average:
        for name, value in model.named_parameters():
            average[name].lerp_(value, 1 - decay)


def _no_record(step: int, loss: Loss, rate: float) -> None:
    del step, loss, rate


def _curves(run: Run, name: str, done: int, progress: Progress, *, first: bool) -> AbstractContextManager[Record]:
    """What keeps the losses of a stage: nothing where there is no folder, and the first process alone else."""
    if run.workdir is None or not first:
        return nullcontext(_no_record)
    return recorded(run.workdir, name, run.curves, done=done, progress=progress)
