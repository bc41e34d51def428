"""Settings of the peer that learns a signed distance function (docs/peers.md)."""

from __future__ import annotations

from pydantic import Field

from dusnet.config import StageSettings
from dusnet.config.section import WIDEST, Section

FREQUENCIES, TOP_OCTAVE = 10, 4
"""Ten frequencies, evenly spaced in their logarithm from 1 to 2^4 radians per unit (public code of PASDF)."""
ENCODED = 3 * (1 + 2 * FREQUENCIES)
"""Numbers that a place is encoded to."""


class SDFSettings(Section):
    """The peer that learns a signed distance function (docs/peers.md): its network, its samples and its training."""

    width: int = Field(default=256, gt=ENCODED, le=WIDEST, description="channels of a layer")
    encoding: bool = Field(default=True, description="positional encoding of the place; without it the bare place")
    surface: int = Field(default=10_000, ge=1, description="training samples on the good surface")
    box: int = Field(default=10_000, ge=0, description="training samples in the box around the part")
    volume: int = Field(default=3000, ge=0, description="training samples in the cube of the frame")
    clamp: float = Field(default=0.1, gt=0, lt=1, description="distance from which on the loss sees no difference")
    steps: int = Field(default=1000, ge=0, description="of the training")
    batch: int = Field(default=512, ge=1, description="samples per step")
    learning_rate: float = Field(default=1e-3, gt=0, description="the highest rate")

    @property
    def stage(self) -> StageSettings:
        """What the training loop reads of it; the published Adam has no weight decay."""
        return StageSettings(
            steps=self.steps, batch=self.batch, learning_rate=self.learning_rate, weight_decay=0.0, warmup=0.0
        )
