"""From a scan to a verdict: registration, smooth warp, scores, thresholds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dusnet.config.section import Section


class RegistrationSettings(Section):
    """How a scan is brought into the frame of its class. Lengths are fractions of the class's bounding radius."""

    method: Literal["auto", "none", "icp", "global"] = "auto"
    points: int = Field(default=6000, ge=100, description="points of a scan that take part in the alignment")
    accept_residual: float = Field(
        default=0.004, gt=0, description="auto: trimmed residual above which ICP is not believed and global is tried"
    )


class WarpSettings(Section):
    """The smooth warp after rigid registration; lengths are fractions of the class's bounding radius."""

    degree: int = Field(default=3, ge=0, le=4, description="degree of the polynomial displacement field, 0 = no warp")
    cutoff: float = Field(
        default=0.004, gt=0, description="distance from the warped surface from which on a point has no vote"
    )
    tolerance: bool = Field(
        default=True,
        description="detector warp: divide by what the training clouds do at the same place, in place of "
        "scoring.tolerance",
    )
    ridge: float = Field(default=1e-4, gt=0, description="penalty of the field's coefficients, per point")


class ScoringSettings(Section):
    """From the reconstruction to scores (Eq. 15-17, and what was found to be better)."""

    surface: Literal["down", "up"] = Field(
        default="down", description="measure against the dense predicted centres or against the Up-Net's cloud"
    )
    distance: Literal["point", "plane", "displacement"] = "displacement"
    tolerance: bool = Field(
        default=False,
        description="dusnet_paper: divide by what the training clouds do at the same place; warp.tolerance says it for "
        "the detector warp",
    )
    gap: float = Field(
        default=0.5, ge=0, description="weight of places of a good part that no input point is near, 0 = none"
    )
    defect_weight: float = Field(
        default=0.03,
        ge=0,
        description="dusnet: weight of the squared probability that a point belongs to a defect, 0 = none",
    )
    weighting: bool = Field(default=False, description="Eq. 16's softmax weight over the 3 nearest points")
    smoothing: int = Field(default=24, ge=1, description="nearest input points that a score is averaged over")
    pooling: Literal["max", "top", "quantile"] | None = Field(
        default=None,
        description="object score of the point scores: the largest, the mean of the highest share, or the value that "
        "this share exceeds; none = the rule of the method, which is top but for peers with a memory",
    )
    pooling_fraction: float = Field(
        default=0.002, gt=0, le=1, description="share of the points for top and quantile; top of 1 is the mean"
    )
    max_centers: int = Field(
        default=40_000, ge=1000, description="points of a bigger scan that become centres; the others are interpolated"
    )
    draws: int = Field(
        default=0, ge=0, le=1000, description="noise draws averaged at test, 0 = no noise, 1 = the paper"
    )


class CalibrationSettings(Section):
    """The threshold that is learned from good parts alone."""

    false_alarm: float = Field(default=0.05, gt=0, lt=1)
    replicas: int = Field(
        default=5, ge=1, description="simulated good scans per training scan, for detectors that take long to fit"
    )
