"""Settings of the Noise-Gen and of the Down-Net of the paper."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dusnet.config.section import MOST_LAYERS, MOST_OCTAVES, WIDEST, Section, Width, require_multiple


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
