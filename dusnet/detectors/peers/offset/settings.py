"""Settings of the peer that regresses offsets (docs/peers.md)."""

from __future__ import annotations

from pydantic import Field, model_validator

from dusnet.config.section import MOST_LAYERS, GroupTransformerSettings, Width


class OffsetSettings(GroupTransformerSettings):
    """The peer that regresses offsets (docs/peers.md): its network, and the pseudo-defects that it learns from."""

    patch_widths: tuple[Width, Width, Width] = (32, 32, 64)
    layers: int = Field(default=0, ge=0, le=MOST_LAYERS, description="transformer blocks")
    batch: int = Field(default=8, ge=1, description="clouds per step, in place of training.down.batch")
    rotation_deg: float = Field(default=0.5, ge=0, description="random rigid jitter, in place of training.rotation_deg")
    translation: float = Field(default=0.002, ge=0, description="the same, in place of training.translation")
    clouds: int = Field(default=48, ge=1, description="damaged clouds that are made before training")
    defects: int = Field(default=12, ge=1, description="pseudo-defects on each of them")
    radius: tuple[float, float] = Field(default=(0.06, 0.30), description="their smallest and largest reach")
    amplitude: tuple[float, float] = Field(default=(0.02, 0.10), description="their smallest and largest displacement")

    @model_validator(mode="after")
    def _ranges_ascend(self) -> OffsetSettings:
        for low, high in (self.radius, self.amplitude):
            if not 0 < low <= high <= 1:
                raise ValueError(f"{low:g} to {high:g} is not a range between 0 and 1")
        return self
