"""Local features at corresponding places of registered scans: what the methods in feature space learn from.

A part has fixed places on its good surface, spread by farthest point sampling. Every scan that lies in the frame of the
part gets one feature per place, so that the rows of the maps of two scans belong together, as the pixels of aligned
images do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from dusnet import geometry, ops
from dusnet.config import FeatureSettings
from dusnet.coverage import Coverage, missing
from dusnet.detectors.descriptors import Thinned, density_cell, farthest, fpfh, local_mean

AROUND = 4
"""Points whose mean says where a scan lies at a place."""
LEAST_SPREAD = 0.01
"""Of the spread over all places: what a smaller spread about the centre counts as."""


class Extractor(Protocol):
    """Anything that describes a scan around some places: hand-made descriptors, a network, or a function of yours."""

    def __call__(self, points: NDArray[np.float64], places: Tensor, normals: Tensor) -> Tensor:
        """Features of a scan.

        Args:
            points: the scan in the frame of its part, about the origin and of radius 1, at the density of the training
                scans, (n, 3) float64.
            places: on the good surface, (G, 3) float32.
            normals: of the good surface there, of either sign but always the same, (G, 3) float32.

        Returns:
            (G, C) float32. The same input must give the same features.
        """


@dataclass(frozen=True)
class LocalFeatures:
    """Features of several scans of one part.

    Attributes:
        features: (B, G, C) float32.
        around: mean of the points nearest to each place, in the frame, (B, G, 3) float32.
        positions: of the places in the frame, (G, 3) float32.
        seen: which places each scan shows, or would show if nothing were missing there, (B, G) bool.
    """

    features: Tensor
    around: Tensor
    positions: Tensor
    seen: Tensor

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
        weight = self.seen.unsqueeze(-1).to(values.dtype)
        weight = torch.where(weight.sum(dim=0, keepdim=True) > 0, weight, torch.ones_like(weight))
        return (values * weight).sum(dim=0) / weight.sum(dim=0)


@dataclass(frozen=True)
class DamagedFeatures(LocalFeatures):
    """Features of scans with defects, of which it is known what they would be without.

    Attributes:
        clean: the features without the defects, (B, G, C) float32.
        wrong: which places a defect touches, (B, G) bool.
    """

    clean: Tensor
    wrong: Tensor

    @property
    def normal(self) -> Tensor:
        """The features as they would be without any defect, (B, G, C)."""
        return self.clean

    def scaled(self, scaling: Scaling) -> Self:
        """The same with all channels brought to one spread."""
        return replace(super().scaled(scaling), clean=scaling(self.clean))


@dataclass(frozen=True)
class Places:
    """Where the features of a part are taken.

    Attributes:
        positions: on the good surface in the frame, (G, 3) float32.
        normals: of either sign, (G, 3) float32.
        surface: places of a good part, which tell what a scan shows, (M, 3) float32.
        cell: edge of the grid that thins every scan to one density.
        settings: numbers of points.
        seed: of the thinning.
    """

    positions: Tensor
    normals: Tensor
    surface: Tensor
    cell: float
    settings: FeatureSettings
    seed: int

    @classmethod
    def spread(
        cls, clouds: Sequence[NDArray[np.float64]], surface: Tensor, settings: FeatureSettings, *, seed: int
    ) -> Places:
        """Choose places on the good surface of a part.

        Args:
            clouds: training scans in the frame, (N, 3) float64 each.
            surface: of a good part in the frame, (M, 3) float32.
            settings: how many places, and how dense scans are.
            seed: of the thinning.
        """
        positions = surface[farthest(surface, settings.places)]
        cell = density_cell(clouds, settings.points, seed=seed)
        return cls(positions, geometry.normals(positions, surface), surface, cell, settings, seed)

    def describe(self, points: NDArray[np.float64], extractor: Extractor) -> LocalFeatures:
        """Features of one scan in the frame, (N, 3) float64, the order of whose points does not matter."""
        thinned = Thinned.of(points, self.cell, self.settings.points, seed=self.seed)
        kept = thinned.points + thinned.centroid
        cloud = torch.from_numpy(kept).float()
        features = extractor(kept, self.positions, self.normals).float()
        around = local_mean(cloud, cloud, self.positions, AROUND)
        return LocalFeatures(features[None], around[None], self.positions, self._seen(cloud)[None])

    def _seen(self, cloud: Tensor) -> Tensor:
        """Places that lie on what the scan shows, or on what was looked at and is not there, (G,) bool."""
        beside = Coverage.of(cloud, self.surface)
        shown = ~beside.empty | missing(cloud, beside)
        _, nearest = ops.knn(self.positions[None], self.surface[None], 1)
        return shown[nearest[0, :, 0]]

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores."""
        return {"positions": self.positions, "normals": self.normals}

    @classmethod
    def restore(
        cls, tensors: dict[str, Tensor], surface: Tensor, cell: float, settings: FeatureSettings, *, seed: int
    ) -> Places:
        """The inverse of `tensors`."""
        return cls(tensors["positions"], tensors["normals"], surface, cell, settings, seed)


@dataclass(frozen=True)
class Heights:
    """Mean height of the nearest points over the tangent plane of the good surface, at several scales.

    The extractor of `features.extractor: heights`. The differences between the scales tell a local defect from the
    smooth variation of good parts, which moves all of them alike.

    Attributes:
        settings: numbers of points.
    """

    settings: FeatureSettings

    def __call__(self, points: NDArray[np.float64], places: Tensor, normals: Tensor) -> Tensor:
        """See `Extractor`."""
        cloud = torch.from_numpy(points).float()
        _, index = ops.knn(places[None], cloud[None], min(max(self.settings.heights), len(cloud)))
        heights = ((cloud[index[0]] - places.unsqueeze(1)) * normals.unsqueeze(1)).sum(dim=-1)
        return torch.stack([heights[:, :count].mean(dim=1) for count in self.settings.heights], dim=1)


@dataclass(frozen=True)
class Descriptors:
    """FPFH at several scales, each the mean over the thinned points around a place.

    The extractor of `features.extractor: fpfh`; the scales of Simple3D (arXiv 2507.07435) and the smaller ones of
    `located_memory` together.

    Attributes:
        settings: scales and size of the mean.
    """

    settings: FeatureSettings

    def __call__(self, points: NDArray[np.float64], places: Tensor, normals: Tensor) -> Tensor:
        """See `Extractor`."""
        del normals
        described = fpfh(
            points,
            neighbors=self.settings.neighbors,
            normal_neighbors=self.settings.normal_neighbors,
            away_from=np.zeros(3),
        )
        return local_mean(described, torch.from_numpy(points).float(), places, self.settings.aggregate)


@dataclass(frozen=True)
class Scaling:
    """Brings every channel to one spread at every place, so that noise of one sigma means the same everywhere.

    Attributes:
        mean: over all places, (C,).
        spread: of training features about their centre, per place, (G, C).
        target: what the spread becomes.
    """

    mean: Tensor
    spread: Tensor
    target: float

    @classmethod
    def of(cls, part: LocalFeatures, target: float) -> Scaling:
        """Measure the training features of a part.

        Few scans tell little about a single place, so the variance of a place is the mean of its own and of that of all
        places. A channel that hardly ever differs from its centre, as with a single scan, takes a share of its spread
        over the places.
        """
        weight = part.seen.unsqueeze(-1).double()
        residuals = (part.normal - part.mean(part.normal)).double().square() * weight
        local = residuals.sum(dim=0) / weight.sum(dim=0).clamp_min(1)
        overall = residuals.sum(dim=(0, 1)) / weight.sum().clamp_min(1)
        features = part.normal[part.seen].double()
        spread = torch.maximum((0.5 * (local + overall)).sqrt(), LEAST_SPREAD * features.std(dim=0, correction=0))
        spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        return cls(features.mean(dim=0).float(), spread.float(), target)

    def __call__(self, features: Tensor) -> Tensor:
        """(..., G, C) -> (..., G, C)."""
        return (features - self.mean) / self.spread * self.target
