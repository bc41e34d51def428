"""Settings of CRAS (docs/methods/cras.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dusnet.config.section import MOST_LAYERS
from dusnet.detectors.feature_space.settings import BoundarySettings


class CRASSettings(BoundarySettings):
    """Center-aware residual anomaly synthesis (docs/methods/cras.md)."""

    adapter_rate: float = Field(default=1e-4, gt=0, description="learning rate of the adapter")
    adapter_layers: int = Field(default=0, ge=0, le=MOST_LAYERS, description="0 leaves features as they are")
    noise: float = Field(default=0.015, gt=0, description="sigma of the Gaussian noise")
    beta: float = Field(default=0.3, ge=0, le=1, description="how strongly the distance guides the noise (Eq. 5)")
    ratio: Literal["noise", "residual", "fixed"] = Field(default="noise", description="what guides it")
    center: Literal["mean", "single"] = Field(default="mean", description="over all training scans, or the first one")
    search: Literal["place", "class", "all"] = Field(
        default="place",
        description="centre vector of the same place, or the nearest one of the identified class or of all classes",
    )
    inputs: Literal["both", "residual", "raw"] = Field(default="residual", description="what the discriminator sees")
