"""What decides the content of an embedded benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from dusnet.config import Section
from dusnet.synthesis.scanner import Pose, Scanner

Layout = Literal["anomaly_shapenet", "real3d_ad"]
View = Literal["full", "single"]

DEFAULT_PARTS = ("bottle", "bracket", "cup", "gear", "tap", "vase")


class BenchmarkSettings(Section):
    """Everything that decides what `write_benchmark` writes; equal settings give equal files, to the bit.

    Lengths without a unit are fractions of the bounding radius of the undamaged part.
    """

    parts: tuple[str, ...] = Field(default=DEFAULT_PARTS, description="names from `shapes.PARTS`; `all` is all of them")
    meshes: tuple[Path, ...] = Field(default=(), description="own CAD or scan meshes; the class is the file's stem")
    layout: Layout = "anomaly_shapenet"
    variation: float = Field(
        default=0.01, ge=0, le=0.1, description="largest smooth displacement of a good part; 0 makes the task trivial"
    )
    jitter: float = Field(
        default=0.0, ge=0, le=0.1, description="relative change of every dimension of a procedural part, per specimen"
    )
    seed: int = Field(default=0, ge=0)
    train: int = Field(default=4, ge=1, description="defect-free training scans per class")
    good: int = Field(default=4, ge=1, description="defect-free test scans per class")
    per_kind: int = Field(default=2, ge=1, description="test scans per class and kind of defect")
    kinds: tuple[str, ...] = Field(default=(), description="kinds of defects; empty: those of the layout")
    amplitude: tuple[float, float] = Field(default=(0.03, 0.10), description="smallest and largest size of a defect")
    points: int = Field(default=10_000, ge=500, le=200_000, description="mean number of points of a scan")
    noise: float = Field(default=0.001, ge=0, le=0.1, description="standard deviation of the scanner's noise")
    outliers: float = Field(default=0.0, ge=0, le=0.5, description="share of stray points")
    missing: float = Field(default=0.0, ge=0, le=0.5, description="share of points lost in patches")
    even: bool = Field(default=False, description="even point distances instead of independent random points")
    view: View | None = Field(
        default=None,
        description="test scans from all sides or one; None: full for anomaly_shapenet, single for real3d_ad",
    )
    pose: Pose = "near"

    @model_validator(mode="after")
    def _consistent(self) -> BenchmarkSettings:
        if not self.parts and not self.meshes:
            raise ValueError("name at least one part or mesh")
        if not 0.0 < self.amplitude[0] <= self.amplitude[1] <= 0.5:
            raise ValueError(f"amplitude must be two ascending numbers from 0 to 0.5, got {self.amplitude}")
        return self

    @property
    def test_view(self) -> View:
        """The view of test scans; training scans always see the part from all sides."""
        if self.view is not None:
            return self.view
        return "single" if self.layout == "real3d_ad" else "full"

    @property
    def chosen_kinds(self) -> tuple[str, ...]:
        """The kinds of defects, the layout's own where none are named."""
        if self.kinds:
            return self.kinds
        if self.layout == "real3d_ad":
            return ("bulge", "sink")
        return ("bulge", "concavity", "hole", "crack", "broken", "bending")

    @property
    def scanner(self) -> Scanner:
        """The scanner of all scans."""
        return Scanner(
            points=self.points,
            noise=self.noise,
            outliers=self.outliers,
            missing=self.missing,
            pose=self.pose,
            even=self.even,
        )
