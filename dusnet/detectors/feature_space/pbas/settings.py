"""Settings of PBAS (docs/methods/pbas.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dusnet.config.section import MOST_LAYERS
from dusnet.detectors.feature_space.settings import BoundarySettings


class PBASSettings(BoundarySettings):
    """Progressive boundary guided anomaly synthesis (docs/methods/pbas.md)."""

    projector_rate: float = Field(default=1e-4, gt=0, description="learning rate of the projector")
    projector_layers: int = Field(default=1, ge=0, le=MOST_LAYERS)
    alpha: float = Field(default=0.3, gt=0, description="how far beyond a feature its anomaly lies, in radii (Eq. 7)")
    center: Literal["alignment", "average", "iterative", "clustering"] = Field(
        default="alignment", description="how the centre map is made (Algorithm 1, or what it is compared with)"
    )
    search: Literal["place", "class"] = Field(
        default="place", description="centre vector of the same place, or the nearest one of the part"
    )
    direction: Literal["center", "random", "gaussian"] = Field(
        default="center", description="where anomalies lie: on the ray from the centre, or anywhere"
    )

    @model_validator(mode="after")
    def _possible(self) -> PBASSettings:
        if self.center == "clustering" and self.search == "place":
            raise ValueError("clusters belong to no place; set pbas.search to class")
        return self
