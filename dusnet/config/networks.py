"""Sections that several methods with networks share: groups, the Up-Net, losses and training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from dusnet.config.section import MOST_AROUND, Section, Width


class GroupingSettings(Section):
    """Farthest point sampling of centres and their nearest neighbours."""

    groups: int = Field(
        default=256, ge=8, le=MOST_AROUND, description="G, centres per training step and per chunk at test"
    )
    neighbors: int = Field(default=48, ge=3, le=MOST_AROUND, description="K, neighbours that span a patch")
    stride: int = Field(default=3, ge=1, description="take every stride-th of the K neighbours, nearest first")
    dense: bool = Field(default=True, description="at test every input point becomes a group centre once")


class UpNetSettings(Section):
    """PointNet++ network that rebuilds a dense cloud from the centres (Eq. 9-11)."""

    gamma: int = Field(default=4, ge=1, le=1024, description="points rebuilt per centre")
    neighbors: int = Field(default=16, ge=1, le=MOST_AROUND, description="neighbours of a set abstraction")
    widths: tuple[Width, Width] = (64, 128)
    head: Literal["offset", "absolute"] = "offset"


class LossSettings(Section):
    """Weights of Eq. 5-8 and Eq. 12-14; zero removes a term."""

    mse: float = Field(default=1.0, ge=0)
    cos: float = Field(default=1.0, ge=0)
    chamfer: float = Field(default=1.0, ge=0)
    repulsion: float = Field(default=1.0, ge=0)
    emd: float = Field(default=1.0, ge=0)
    pairing: Literal["index", "all"] = Field(
        default="index", description="MSE and COS of matching centres, or of all pairs as printed (which collapses)"
    )
    repulsion_form: Literal["punet", "paper"] = "punet"
    emd_form: Literal["assignment", "one_sided"] = "assignment"


class StageSettings(Section):
    """One training stage."""

    steps: int = Field(default=500, ge=0)
    batch: int = Field(default=2, ge=1, description="clouds per step")
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps with rising learning rate")
    clip: float = Field(default=1.0, gt=0, description="gradient norm that is never exceeded")
    ema: float = Field(default=0.0, ge=0, lt=1, description="decay of the averaged weights, 0 = none")
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="learning rate after the warm-up: half a cosine down to zero, or as it is"
    )


class TrainingSettings(Section):
    """The two stages and what they share."""

    down: StageSettings = StageSettings()
    up: StageSettings = StageSettings(steps=150)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    rotation_deg: float = Field(default=5.0, ge=0, description="random rigid jitter of the training clouds")
    translation: float = Field(default=0.01, ge=0, description="the same, fraction of the frame")
    points: int = Field(default=6000, ge=16, description="points of a training cloud that a step draws")
    checkpoint_every: int = Field(default=100, ge=1)
    init: Path | None = Field(default=None, description="model file whose weights training starts from")
