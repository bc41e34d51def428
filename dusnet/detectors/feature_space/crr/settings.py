"""Settings of CRR (docs/methods/crr.md)."""

from __future__ import annotations

from pydantic import Field

from dusnet.config.section import MOST_AROUND, WIDEST, TransformerSettings


class CRRSettings(TransformerSettings):
    """Collaborative reconstruction and repair (docs/methods/crr.md)."""

    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=8, ge=1, description="feature maps per step")
    places: int = Field(default=512, ge=8, le=MOST_AROUND, description="places of a map that attend to each other")
    learning_rate: float = Field(default=1e-3, gt=0)
    width: int = Field(default=64, ge=8, le=WIDEST, description="channels of a token")
    hidden: float = Field(default=0.3, ge=0, lt=1, description="share of the places whose features are masked")
    damaged: int = Field(default=4, ge=1, description="damaged copies of every scan, real or simulated")
    defects: int = Field(default=6, ge=1, description="pseudo-defects on each of them")
