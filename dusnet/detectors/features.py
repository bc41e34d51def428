"""Local features at corresponding places of registered scans: what the methods in feature space learn from.

A part has fixed places on its good surface, spread by farthest point sampling. Every scan that lies in the frame of the
part gets one feature per place, so that the rows of the maps of two scans belong together, as the pixels of aligned
images do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import geometry, ops
from dusnet.config import FeatureSettings
from dusnet.coverage import Coverage, missing
from dusnet.detectors.descriptors import Thinned, density_cell, farthest, fpfh, local_mean
from dusnet.nn.feature_maps import LocalFeatures

EDGE = 0.012
"""Share of the places, those nearest to a place, that a view of one side must show as well where it is seen."""
AROUND = 4
"""Points whose mean says where a scan lies at a place."""


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
class View:
    """What a scan shows of the places of a part.

    Attributes:
        points: the scan at the density of the training scans, (n, 3) float64 in the frame.
        around: mean of the points nearest to each place, (G, 3) float32.
        seen: which places it shows, or would show if nothing were missing there, (G,) bool. In a view of one side what
            lies around them must be shown, too: at the edge all points lie on one side of a place.
        whole: whether it shows the part from all sides.
    """

    points: NDArray[np.float64]
    around: Tensor
    seen: Tensor
    whole: bool


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

    def look(self, points: NDArray[np.float64]) -> View:
        """What one scan in the frame, (N, 3) float64, shows of the places; the order of its points does not matter."""
        kept = self._thinned(points)
        cloud = torch.from_numpy(kept).float()
        beside = Coverage.of(cloud, self.surface)
        shown = ~beside.empty | missing(cloud, beside)
        seen, whole = shown[self._on_surface], beside.unseen_share == 0
        around = local_mean(cloud, cloud, self.positions, AROUND)
        return View(kept, around, seen if whole else seen[self._beside].all(dim=1), whole)

    def features(self, points: NDArray[np.float64], extractor: Extractor) -> Tensor:
        """Features of one scan in the frame, (N, 3) float64 -> (G, C) float32."""
        return self.extract(self._thinned(points), extractor)

    def describe(self, points: NDArray[np.float64], extractor: Extractor) -> LocalFeatures:
        """Everything about one scan in the frame, (N, 3) float64."""
        view = self.look(points)
        features = self.extract(view.points, extractor)
        return LocalFeatures(features[None], view.around[None], self.positions, view.seen[None])

    def _thinned(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        thinned = Thinned.of(points, self.cell, self.settings.points, seed=self.seed)
        return thinned.points + thinned.centroid

    def extract(self, thinned: NDArray[np.float64], extractor: Extractor) -> Tensor:
        """Features of a scan that has the density of the training scans already, such as that of a `View`."""
        return extractor(thinned, self.positions, self.normals).float()

    @cached_property
    def _beside(self) -> Tensor:
        """The places nearest to each of these, (G, k) int64."""
        _, nearest = ops.knn(self.positions[None], self.positions[None], max(1, round(EDGE * len(self.positions))))
        return nearest[0]

    @cached_property
    def _on_surface(self) -> Tensor:
        """The place of the surface nearest to each of these, (G,) int64."""
        _, nearest = ops.knn(self.positions[None], self.surface[None], 1)
        return nearest[0, :, 0]

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
