"""DUS-Net: groups, noise, both networks, losses and training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from dusnet.config.section import MOST_AROUND, MOST_LAYERS, MOST_OCTAVES, WIDEST, Section, Width, require_multiple


class GroupingSettings(Section):
    """Farthest point sampling of centres and their nearest neighbours."""

    groups: int = Field(
        default=256, ge=8, le=MOST_AROUND, description="G, centres per training step and per chunk at test"
    )
    neighbors: int = Field(default=48, ge=3, le=MOST_AROUND, description="K, neighbours that span a patch")
    stride: int = Field(default=3, ge=1, description="take every stride-th of the K neighbours, nearest first")
    dense: bool = Field(default=True, description="at test every input point becomes a group centre once")


class NoiseSettings(Section):
    """Noise-Gen (Eq. 1) and the coherent pseudo-defects of `dusnet.detectors.dusnet_paper.noise_gen`."""

    kind: Literal["gaussian", "uniform", "salt_pepper"] = "gaussian"
    alpha: float = Field(default=0.0, ge=0, description="amplitude of the noise on centres")
    beta: float = Field(default=0.01, ge=0, description="amplitude of the noise on neighbours")
    unit: Literal["frame", "patch"] = "frame"
    coherent: float = Field(default=0.05, ge=0, description="amplitude of displacements shared by a neighbourhood")
    wall_limit: bool = Field(default=True, description="keep `coherent` below half the wall thickness of the part")


class DownNetSettings(Section):
    """Transformer that predicts anomaly-free centres (Eq. 2-4)."""

    patch_widths: tuple[Width, Width, Width] = (64, 64, 128)
    width: int = Field(default=128, ge=8, le=WIDEST)
    layers: int = Field(default=2, ge=0, le=MOST_LAYERS)
    heads: int = Field(default=4, ge=1)
    fourier_octaves: int = Field(default=4, ge=0, le=MOST_OCTAVES)
    head: Literal["offset", "absolute"] = "offset"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> DownNetSettings:
        require_multiple(self.width, self.heads)
        return self


class GuideSettings(Section):
    """The guided Down-Net, which starts from the warped good surface and knows no part."""

    enabled: bool = Field(default=True, description="use the guided networks; false trains the paper's on every part")
    weights: Path | None = Field(default=None, description="their weights; None takes those that the package brings")
    centers: int = Field(default=10_000, ge=256, description="points of a bigger scan that become centres")
    slits: float = Field(default=0.25, ge=0, description="weight of slits in the scan (cracks); 0 leaves them out")
    neighbors: int = Field(default=32, ge=4, le=MOST_AROUND, description="points of the scan that a group shows")
    stride: int = Field(default=2, ge=1, description="take every stride-th of the nearest points")
    places: int = Field(default=96, ge=4, le=MOST_AROUND, description="places of the good surface that a group shows")
    patch_width: int = Field(default=64, ge=8, le=WIDEST)
    width: int = Field(default=128, ge=8, le=WIDEST)
    layers: int = Field(default=2, ge=0, le=MOST_LAYERS)
    heads: int = Field(default=4, ge=1)
    fourier_octaves: int = Field(default=3, ge=0, le=MOST_OCTAVES)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> GuideSettings:
        require_multiple(self.width, self.heads)
        return self


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
    repulsion_h: float = Field(default=0.03, gt=0)
    repulsion_neighbors: int = Field(default=5, ge=1, le=MOST_AROUND)
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
