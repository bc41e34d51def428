"""Feature maps of scans or images: one feature per place, so that the rows of two maps of one part belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from typing_extensions import Self

from dusnet.detectors.feature_space.center_maps import mean_center

LEAST_SPREAD = 0.01
"""Of the spread over all places: what a smaller spread about the centre counts as."""


@dataclass(frozen=True)
class FeatureMaps:
    """Features of several scans of one part.

    Attributes:
        features: (B, G, C) float32.
        around: mean of the points nearest to each place, in the frame, (B, G, 3) float32.
        positions: of the places in the frame, (G, 3) float32.
        shown: which places each scan shows, or would show if nothing were missing there, (B, G) bool.
    """

    features: Tensor
    around: Tensor
    positions: Tensor
    shown: Tensor

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Those of several scans of one part as one."""
        names = [field.name for field in fields(cls) if field.name != "positions"]
        values = {name: torch.cat([getattr(one, name) for one in parts]) for name in names}
        return cls(positions=parts[0].positions, **values)

    @property
    def normal(self) -> Tensor:
        """The features as they would be without any defect, (B, G, C)."""
        return self.features

    def scaled(self, scaling: Scaling) -> Self:
        """The same with all channels brought to one spread."""
        return replace(self, features=scaling(self.features))

    def mean(self, values: Tensor) -> Tensor:
        """Mean of each place over the scans that show it, over all where none does, (B, G, C) -> (G, C)."""
        return mean_center(zip(values, self.shown, strict=True))


@dataclass(frozen=True)
class DamagedMaps(FeatureMaps):
    """Features of scans with defects, of which it is known what they would be without.

    Attributes:
        clean: the features without the defects, (B, G, C) float32.
        wrong: which places a defect touches, (B, G) bool.
    """

    clean: Tensor
    wrong: Tensor

    @classmethod
    def undamaged(cls, scans: FeatureMaps) -> Self:
        """Scans without a defect as maps with targets: they are their own."""
        return cls(**vars(scans), clean=scans.features, wrong=torch.zeros_like(scans.shown))

    @property
    def normal(self) -> Tensor:
        """The features as they would be without any defect, (B, G, C)."""
        return self.clean

    def scaled(self, scaling: Scaling) -> Self:
        """The same with all channels brought to one spread."""
        return replace(super().scaled(scaling), clean=scaling(self.clean))


@dataclass(frozen=True)
class Scaling:
    """Brings every channel to one spread, at every place or over all, so that the same noise means the same everywhere.

    Attributes:
        mean: what becomes 0, over all places (C,) or of each place (G, C).
        spread: of training features about their centre, per place (G, C), or about their mean over all places (C,).
        target: what the spread becomes.
    """

    mean: Tensor
    spread: Tensor
    target: float

    @classmethod
    def of(cls, part: FeatureMaps, target: float, *, residuals: bool = False) -> Scaling:
        """Measure the training features of a part.

        With `residuals` the mean of every place becomes 0: what is left of a feature is how it differs from good ones.

        Few scans tell little about a single place, so the variance of a place is the mean of its own and of that of all
        places. A channel that hardly ever differs from its centre, as with a single scan, takes a share of its spread
        over the places.
        """
        weight = part.shown.unsqueeze(-1).double()
        center = part.mean(part.normal)
        squares = (part.normal - center).double().square() * weight
        local = squares.sum(dim=0) / weight.sum(dim=0).clamp_min(1)
        overall = squares.sum(dim=(0, 1)) / weight.sum().clamp_min(1)
        features = part.normal[part.shown].double()
        spread = torch.maximum((0.5 * (local + overall)).sqrt(), LEAST_SPREAD * features.std(dim=0, correction=0))
        spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        return cls(center if residuals else features.mean(dim=0).float(), spread.float(), target)

    @classmethod
    def of_channels(cls, part: FeatureMaps, target: float) -> Scaling:
        """Measure every channel over all places together."""
        normal = part.normal.flatten(0, 1)
        spread = normal.std(dim=0, correction=0)
        return cls(normal.mean(dim=0), torch.where(spread > 0, spread, torch.ones_like(spread)), target)

    @classmethod
    def none(cls, channels: int) -> Scaling:
        """Leaves features as they are."""
        return cls(torch.zeros(channels), torch.ones(channels), 1.0)

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], places: int, channels: int | None) -> Scaling:
        """What a model file says of it; the target is 1.

        Args:
            tensors: `mean` and `spread`.
            places: G.
            channels: C, None where any number is right.

        Raises:
            KeyError, ValueError: they are not there or do not belong together.
        """
        mean, spread = tensors["mean"], tensors["spread"]
        wanted = mean.shape[-1:] if channels is None else (channels,)
        for one in (mean, spread):
            if one.dtype != torch.float32 or one.shape not in (torch.Size(wanted), torch.Size((places, *wanted))):
                raise ValueError(f"a scaling of shape {tuple(one.shape)} is none of {places} places")
        if not bool((spread > 0).all()):
            raise ValueError("a spread is not above zero")
        return cls(mean, spread, 1.0)

    def __call__(self, features: Tensor) -> Tensor:
        """(..., G, C) -> (..., G, C)."""
        return (features - self.mean) / self.spread * self.target
