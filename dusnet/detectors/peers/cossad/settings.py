"""Settings of the peer `cossad` (docs/peers.md)."""

from __future__ import annotations

from pydantic import Field

from dusnet.config.section import Section


class CossadSettings(Section):
    """The peer that compares a scan with the good scans place by place (docs/peers.md). Lengths are in the frame."""

    points: int = Field(default=6000, ge=100, le=100_000, description="points that a scan is thinned to")
    places: int = Field(default=1000, ge=1, le=10_000, description="places of the part, farthest points of a good scan")
    radius: float = Field(
        default=0.12,
        gt=0,
        description="radius of a patch, and width of the bell that carries scores to points; 2 mm on parts of "
        "Real3D-AD, whose radius is 15 to 20 mm",
    )
    neighbors: int = Field(
        default=8, ge=1, le=1000, description="nearest places whose distances are taken together, 1 = the place alone"
    )
    full_patches: bool = Field(
        default=False,
        description="leave out places whose patch has fewer points than the mean of all patches, for single views",
    )
