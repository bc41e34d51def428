"""Settings of the Noise-Gen and of the Down-Net of the paper."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dusnet.config.section import GroupTransformerSettings, Section


class NoiseSettings(Section):
    """Noise-Gen (Eq. 1) and the coherent pseudo-defects of `dusnet.detectors.dusnet_paper.noise_gen`."""

    kind: Literal["gaussian", "uniform", "salt_pepper"] = "gaussian"
    alpha: float = Field(default=0.0, ge=0, description="amplitude of the noise on centres")
    beta: float = Field(default=0.01, ge=0, description="amplitude of the noise on neighbours")
    unit: Literal["frame", "patch"] = "frame"
    coherent: float = Field(default=0.05, ge=0, description="amplitude of displacements shared by a neighbourhood")
    wall_limit: bool = Field(default=True, description="keep `coherent` below half the wall thickness of the part")


class DownNetSettings(GroupTransformerSettings):
    """Transformer that predicts anomaly-free centres (Eq. 2-4)."""

    head: Literal["offset", "absolute"] = "offset"
