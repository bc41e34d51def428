"""Settings of the peer `georeg` (docs/peers.md); defaults are those of its public code for Anomaly-ShapeNet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dusnet.config.section import MOST_AROUND, Section

FINEST = 0.001
"""Of the radius: in smaller cells hardly two points of any scan lie together, and every point is an anchor. The public
code has 0.012 for Real3D-AD."""
COARSEST = 1.0
"""Of the radius: a part in cells of this size has at most 27 anchors, fewer than a normal is estimated from (32).
Larger cells make no sense at all."""


class GeoRegSettings(Section):
    """The peer that scores anchors against the template points around them (docs/peers.md)."""

    voxel: float = Field(
        default=0.116,
        ge=FINEST,
        le=COARSEST,
        description="edge of the cells whose means are the anchors, in radii of the part; 0.05 in the unit of "
        "Anomaly-ShapeNet, whose parts have a radius of about 0.43",
    )
    candidates: int = Field(default=8, ge=1, le=MOST_AROUND, description="nearest template points that are compared")
    radius: float = Field(default=8.0, gt=0, description="how far they may be, in spacings of the template")
    plane: float = Field(default=0.5, ge=0, description="weight of the distance to the plane of a template point")
    normal: float = Field(default=0.5, ge=0, description="weight of the difference of the normals")
    penalty: float = Field(default=16.0, gt=0, description="score of an anchor without a template point in reach")
    neighbors: int = Field(default=3, ge=1, le=MOST_AROUND, description="anchors that the score of a point comes from")
    power: Literal[0, 1] = Field(
        default=1, description="1 weighs these anchors by their inverse distance, 0 takes their mean"
    )
    poses: int = Field(
        default=1, ge=1, le=64, description="poses of nearly equal fit that are scored; the lowest object score counts"
    )
