"""Settings of the guided networks."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dusnet.config.section import MOST_AROUND, MOST_OCTAVES, WIDEST, TransformerSettings


class GuideSettings(TransformerSettings):
    """The guided Down-Net, which starts from the warped good surface and knows no part."""

    weights: Path | None = Field(default=None, description="their weights; None takes those that the package brings")
    centers: int = Field(default=10_000, ge=256, description="points of a bigger scan that become centres")
    slits: float = Field(default=0.25, ge=0, description="weight of slits in the scan (cracks); 0 leaves them out")
    neighbors: int = Field(default=32, ge=4, le=MOST_AROUND, description="points of the scan that a group shows")
    stride: int = Field(default=2, ge=1, description="take every stride-th of the nearest points")
    places: int = Field(default=96, ge=4, le=MOST_AROUND, description="places of the good surface that a group shows")
    patch_width: int = Field(default=64, ge=8, le=WIDEST)
    fourier_octaves: int = Field(default=3, ge=0, le=MOST_OCTAVES)
