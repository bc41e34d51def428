"""The likenesses by the name of their archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dusnet.synthesis.likeness import anomaly_shapenet, real3d_ad, real3d_ad_settings
from dusnet.synthesis.likeness.settings import LikenessSettings
from dusnet.synthesis.writer import Plan

Like = Literal["anomaly_shapenet", "real3d_ad"]
Size = Literal["full", "small"]


@dataclass(frozen=True)
class Likeness:
    """A simulated dataset like an archive.

    Attributes:
        settings: the class of its settings; their defaults are the full size.
        small: what is set otherwise in a small copy.
        plan: makes the content from the settings.
    """

    settings: type[LikenessSettings]
    small: Mapping[str, Any]
    plan: Callable[[Any], Plan]

    def defaults(self, size: Size) -> dict[str, Any]:
        """Settings that a size asks for."""
        return dict(self.small) if size == "small" else {}


LIKENESSES: dict[Like, Likeness] = {
    "anomaly_shapenet": Likeness(
        anomaly_shapenet.AnomalyShapenetLike, anomaly_shapenet.SMALL, anomaly_shapenet.AnomalyShapenetPlan
    ),
    "real3d_ad": Likeness(real3d_ad_settings.Real3dAdLike, real3d_ad_settings.SMALL, real3d_ad.Real3dAdPlan),
}
