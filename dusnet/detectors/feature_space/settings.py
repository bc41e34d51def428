"""Settings that the methods in feature space share, on scans and on images (docs/methods)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dusnet.config.section import MOST_LAYERS, WIDEST, Section


class FeatureSettings(Section):
    """Local features that methods in feature space learn from (docs/methods/features.md)."""

    points: int = Field(default=6000, ge=100, description="points that a scan is thinned to for features")
    extractor: Literal["deviations", "heights", "fpfh", "down_net"] = Field(
        default="deviations",
        description="heights over the good surface with or without distances from it, FPFH, or patch embeddings",
    )
    down_net: Path | None = Field(
        default=None, description="down_net: model or weights file that has the patch encoder"
    )
    heights: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(4, 16, 64),
        min_length=1,
        description="deviations, heights: nearest points that each of them is the mean of",
    )
    openings: bool = Field(default=True, description="two more features that say where a scan has no points")
    neighbors: tuple[Annotated[int, Field(ge=3)], ...] = Field(
        default=(10, 20, 30, 40, 80, 120), min_length=1, description="fpfh: neighbours of each of its scales"
    )
    aggregate: int = Field(
        default=16, ge=1, description="fpfh: points that the feature of a place is the mean of (patch aggregation)"
    )
    places: int = Field(default=2048, ge=16, le=8192, description="places of a part that carry a feature each")
    warp: bool = Field(default=True, description="take the smooth variation out of every scan first (docs/method.md)")
    replicas: int = Field(default=4, ge=0, description="simulated good scans per training scan to learn from as well")
    views: float = Field(default=0.0, ge=0, le=1, description="share of the simulated scans that show one side only")
    scale: float = Field(
        default=0.005, gt=0, description="spread of normal features about their centre that all channels are brought to"
    )
    smoothing: int = Field(default=48, ge=1, description="nearest points that a point score is averaged over, 1 = none")

    @model_validator(mode="after")
    def _possible(self) -> FeatureSettings:
        if self.extractor == "down_net" and self.down_net is None:
            raise ValueError("extractor down_net needs the file that has the network, down_net")
        if self.views and not self.replicas:
            raise ValueError("views are simulated scans of one side, but replicas is 0 so that none is simulated")
        return self


class PartsSettings(Section):
    """One model of several parts (docs/methods/features.md)."""

    candidates: int = Field(
        default=8, ge=1, description="parts that a scan is registered to at most; to all where it fits none of these"
    )


class BoundarySettings(Section):
    """What CRAS and PBAS share: a discriminator that learns to tell features from anomalies made of them."""

    epochs: int = Field(default=20, ge=1, description="times that every feature is seen")
    batch: int = Field(default=32, ge=1, description="feature maps per step")
    places: int = Field(default=128, ge=1, description="places that a step draws from each map")
    discriminator_rate: float = Field(default=2e-4, gt=0, description="learning rate of the discriminator")
    hidden: int = Field(default=64, ge=1, le=WIDEST, description="width of the discriminator between its layers")
    discriminator_layers: int = Field(default=3, ge=1, le=MOST_LAYERS)


class ImageSettings(Section):
    """The image form of cras, pbas and crr (docs/methods/images.md)."""

    resize: int = Field(default=329, ge=8, le=2048, description="pixels of the shorter side of an image")
    crop: int = Field(default=288, ge=8, le=2048, description="pixels of each side of the middle that is looked at")
    weights: Path | None = Field(default=None, description="weights of WideResNet50, none = torchvision downloads them")
    neighborhood: int = Field(
        default=3, ge=1, le=101, description="places that a feature is the mean of, in each direction"
    )
    sigma: float = Field(
        default=4.0, ge=0, le=1000, description="of the Gaussian filter on score maps in pixels, 0 = none"
    )

    @model_validator(mode="after")
    def _possible(self) -> ImageSettings:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}")
        if self.neighborhood % 2 == 0:
            raise ValueError(f"neighborhood {self.neighborhood} is even, so that it has no middle")
        return self
