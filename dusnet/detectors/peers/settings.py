"""Settings of the peers with a memory (docs/peers.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dusnet.config.section import Section


class MemorySettings(Section):
    """The peers that look local features up in a memory of normal ones (docs/peers.md). Lengths are in the frame."""

    points: int | None = Field(
        default=6000,
        ge=100,
        description="points that a scan is thinned to for features, none = 0.6 times those of the sparsest scan",
    )
    radius: float = Field(default=0.15, gt=0, description="btf_fpfh, patchcore: radius of the support of FPFH")
    simple3d_neighbors: tuple[Annotated[int, Field(ge=3)], ...] = Field(
        default=(40, 80, 120), min_length=1, description="simple3d: neighbours of each of its FPFH features"
    )
    located_neighbors: tuple[Annotated[int, Field(ge=3)], ...] = Field(
        default=(10, 20, 30), min_length=1, description="located_memory: neighbours of each of its FPFH features"
    )
    centers: int = Field(
        default=2048, ge=16, le=4096, description="simple3d, located_memory: farthest points that carry a feature"
    )
    local_mean: int = Field(
        default=128, ge=1, description="simple3d, located_memory: points that the feature of a centre is the mean of"
    )
    coreset: float | None = Field(
        default=None, gt=0, le=1, description="share of the training features that is remembered, none = the paper's"
    )
    projection: int | None = Field(
        default=None, ge=1, description="dimensions in which the coreset is chosen, none = all of the feature"
    )
    entries: int | None = Field(
        default=10_000, ge=16, description="most features that are remembered, of views as many again; none = no limit"
    )
    views: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] | None = Field(
        default=None,
        description="simulated single views of every training scan that are remembered, too; auto = four, which only "
        "scans of one side are compared with; none = no views",
    )
    rho: float | None = Field(
        default=0.1, gt=0, description="located_memory: distance within which memories are compared, none = infinite"
    )
    smoothing: int = Field(default=12, ge=1, description="places that a score is averaged over, 1 = none")
    smoothing_centers: int = Field(
        default=1024, ge=16, description="simple3d, located_memory: farthest points that smoothing goes through"
    )
