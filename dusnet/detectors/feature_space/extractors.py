"""What describes a scan around places, training-free: where it lies to the good surface, and FPFH."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.detectors.descriptors import fpfh, local_mean
from dusnet.detectors.feature_space.settings import FeatureSettings
from dusnet.registration.warp import TangentPlanes


@dataclass(frozen=True)
class Heights:
    """Mean height of the nearest points over the tangent plane of a place, at several scales.

    The extractor of `features.extractor: heights`. The differences between the scales tell a local defect from the
    smooth variation of good parts, which moves all of them alike.

    Attributes:
        settings: numbers of points.
    """

    settings: FeatureSettings

    def __call__(self, points: NDArray[np.float64], places: Tensor, normals: Tensor) -> Tensor:
        """See `Extractor`."""
        cloud = torch.from_numpy(points).float()
        return _means(_heights(cloud, _nearest(cloud, places, self.settings), places, normals), self.settings)


@dataclass(frozen=True)
class Deviations:
    """`Heights`, and how far the same points are from the good surface.

    The extractor of `features.extractor: deviations`. Heights see how the surface bends and belong to their place
    whatever a defect does; but where points are few, as where a view meets the surface at a flat angle, the nearest
    ones reach farther around the bend. The distance of every point from the surface that it came from does not bend.

    Attributes:
        settings: numbers of points.
        planes: the good surface in the frame.
    """

    settings: FeatureSettings
    planes: TangentPlanes

    def __call__(self, points: NDArray[np.float64], places: Tensor, normals: Tensor) -> Tensor:
        """See `Extractor`."""
        cloud = torch.from_numpy(points).float()
        distance, along = self.planes.signed_distance(cloud)
        index = _nearest(cloud, places, self.settings)
        # Normals of a point and of its place can have either sign; the product has that of the place.
        deviations = ((distance.unsqueeze(1) * along)[index] * normals.unsqueeze(1)).sum(dim=-1)
        heights = _heights(cloud, index, places, normals)
        return torch.cat([_means(deviations, self.settings), _means(heights, self.settings)], dim=1)


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
            away_from=np.zeros(3),
        )
        return local_mean(described, torch.from_numpy(points).float(), places, self.settings.aggregate)


def _nearest(cloud: Tensor, places: Tensor, settings: FeatureSettings) -> Tensor:
    """The nearest points of every place, as many as the largest scale has, (G, k) int64."""
    _, index = ops.knn(places[None], cloud[None], min(max(settings.heights), len(cloud)))
    return index[0]


def _heights(cloud: Tensor, index: Tensor, places: Tensor, normals: Tensor) -> Tensor:
    """Of the indexed points over the tangent planes of their places, (G, k)."""
    return ((cloud[index] - places.unsqueeze(1)) * normals.unsqueeze(1)).sum(dim=-1)


def _means(values: Tensor, settings: FeatureSettings) -> Tensor:
    """Mean over the nearest points of every scale, (G, k) -> (G, scales)."""
    return torch.stack([values[:, :count].mean(dim=1) for count in settings.heights], dim=1)
