"""Settings of a benchmark like Real3D-AD.

Numbers are those of public records of the archive: its README (sizes and counts of points, list of files), per-scan
results of a public project on it (nihal4/ad3d), and nine thinned scans of its airplane.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from dusnet.synthesis.likeness.halves import of_half
from dusnet.synthesis.likeness.settings import LikenessSettings
from dusnet.synthesis.toys import TOYS

_MOST = {
    "spacing": 0.05,
    "density_ratio": 100.0,
    "noise": 0.05,
    "absent": 0.9,
    "depth": 0.5,
    "rise": 10.0,
    "length": 2.0,
    "length_factor": 10.0,
    "trimmed": 0.9,
}
"""Settings of two ascending numbers, and the highest that makes sense."""


class Real3dAdLike(LikenessSettings):
    """Everything that decides what a benchmark like Real3D-AD holds; lengths are fractions of the bounding radius."""

    parts: tuple[str, ...] = Field(default=tuple(TOYS), description="names from `toys.TOYS`; the half leaves out some")
    templates: int = Field(default=4, ge=1, description="training scans per class (list of files)")
    good: int = Field(default=25, ge=1, description="good parts in the test per class (list of files)")
    defective: int = Field(default=25, ge=1, description="defective parts in the test per class (list of files)")
    paired: bool = Field(
        default=True, description="every test scan once more with its rim trimmed (1206 tests are 603 scans)"
    )
    spacing: tuple[float, float] = Field(
        default=(0.003, 0.006), description="point distance of test scans by class (area over points)"
    )
    density_ratio: tuple[float, float] = Field(
        default=(0.6, 13.0),
        description="points per area of templates over those of tests, by class (README of the archive)",
    )
    density_spread: float = Field(
        default=10.0, ge=1, description="largest ratio between the densities of one class (README of the archive)"
    )
    noise: tuple[float, float] = Field(
        default=(0.0007, 0.001), description="standard deviation by class (point accuracy .011-.015 mm)"
    )
    flying: float = Field(
        default=0.0, ge=0, le=0.1, description="share of the points at the rim of a view that lie beside the surface"
    )
    seam: float = Field(
        default=0.003, ge=0, le=0.05, description="how far the two halves of a template are misplaced (joined by hand)"
    )
    scale_error: float = Field(default=0.0, ge=0, le=0.02, description="standard deviation of the scale of a scan")
    relief: float = Field(
        default=1.0, ge=0, le=10, description="factor of the relief; 1 is as uneven as nine airplanes, thinned to 1 mm"
    )
    variation: float = Field(
        default=0.005, ge=0, le=0.1, description="largest smooth displacement of a good part (no record says it)"
    )
    absent: tuple[float, float] = Field(
        default=(0.2, 0.5), description="lower share of the height that a test scan lacks (nine airplanes: .19-.54)"
    )
    biased: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="share of classes whose good scans show less (per-scan counts: car, diamond)",
    )
    trimmed: tuple[float, float] = Field(
        default=(0.02, 0.12),
        description="median and largest share of points that a second scan lacks (per-scan counts)",
    )
    relabelled: float = Field(
        default=0.3, ge=0, lt=1, description="largest change of the labelled area in a second scan (per-scan counts)"
    )
    depth: tuple[float, float] = Field(
        default=(0.005, 0.09), description="smallest and largest of defects (nine airplanes)"
    )
    rise: tuple[float, float] = Field(
        default=(0.1, 0.6), description="depth over half of the length, log-uniform (nine airplanes)"
    )
    inward: float = Field(
        default=0.6, gt=0, le=1, description="depth of what was taken off over that of what was put on"
    )
    length: tuple[float, float] = Field(default=(0.04, 0.33), description="of defects, log-uniform (nine airplanes)")
    length_factor: tuple[float, float] = Field(
        default=(1.3, 2.6), description="of the lengths by class (median shares by class are 1.1 to 5.3 %)"
    )
    roughness: float = Field(
        default=0.2, ge=0, le=1, description="unevenness of defects, of their depth (no record says it)"
    )
    most_points: int = Field(default=1_500_000, ge=1000, description="no scan has more")

    @model_validator(mode="after")
    def _consistent(self) -> Real3dAdLike:
        for name, most in _MOST.items():
            low, high = getattr(self, name)
            if not 0.0 < low <= high <= most:
                raise ValueError(f"{name} must be two ascending numbers above 0 and up to {most:g}, got {(low, high)}")
        unknown = sorted({*self.parts} - {*TOYS})
        if unknown:
            raise ValueError(f"there is no toy named {unknown[0]!r}; choose from {', '.join(TOYS)}")
        if not of_half(self.parts, self.half) and not self.meshes:
            raise ValueError(f"no class is left in the half {self.half!r}; name other parts, or a mesh")
        return self


SMALL: dict[str, Any] = {
    "good": 4,
    "defective": 6,
    "spacing": (0.008, 0.009),
    "density_ratio": (0.6, 2.5),
    "density_spread": 3.0,
}
"""A copy that still leaves one point per 1 % of the radius everywhere, in a fortieth of the space."""
