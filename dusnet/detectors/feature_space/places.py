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

from dusnet import ops
from dusnet.detectors.descriptors import Thinned, density_cell, farthest, indexed_mean
from dusnet.detectors.feature_space.feature_maps import FeatureMaps
from dusnet.detectors.feature_space.openings import NEAREST, Openings
from dusnet.detectors.feature_space.settings import FeatureSettings
from dusnet.geometry.coverage import Coverage
from dusnet.geometry.normals import tensor_normals
from dusnet.geometry.part_places import PartPlaces
from dusnet.io import stored

EDGE = 0.012
"""Share of the places: so many nearest places must be shown as well for a view of one side to show a place."""
RIM = 8
"""Nearest points that the value of a bare place goes to, and nearest places that it is averaged over."""


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
        shown: which places it shows, or would show if nothing were missing there, (G,) bool. In a view of one side what
            lies around them must be shown, too: at the edge all points lie on one side of a place.
        whole: whether it shows the part from all sides.
        openings: where it has no points.
    """

    points: NDArray[np.float64]
    around: Tensor
    shown: Tensor
    whole: bool
    openings: Openings


@dataclass(frozen=True)
class Places:
    """Where the features of a part are taken.

    Attributes:
        positions: on the good surface in the frame, (G, 3) float32.
        normals: of either sign, (G, 3) float32.
        part: the good surface, which tells what a scan shows.
        cell: edge of the grid that thins every scan to one density.
        settings: numbers of points.
        seed: of the thinning.
    """

    positions: Tensor
    normals: Tensor
    part: PartPlaces
    cell: float
    settings: FeatureSettings
    seed: int

    @classmethod
    def spread(
        cls, clouds: Sequence[NDArray[np.float64]], part: PartPlaces, settings: FeatureSettings, *, seed: int
    ) -> Places:
        """Choose places on the good surface of a part.

        Args:
            clouds: training scans in the frame, (N, 3) float64 each.
            part: the good surface.
            settings: how many places, and how dense scans are.
            seed: of the thinning.
        """
        surface = part.points
        positions = surface[farthest(surface, settings.places)]
        cell = density_cell(clouds, settings.points, seed=seed)
        return cls(positions, tensor_normals(positions, surface), part, cell, settings, seed)

    def view(self, points: NDArray[np.float64]) -> View:
        """What one scan in the frame, (N, 3) float64, shows of the places; the order of its points does not matter."""
        thinned = Thinned.of(points, self.cell, self.settings.points, seed=self.seed)
        kept = thinned.points + thinned.centroid
        cloud = torch.from_numpy(kept).float()
        coverage = Coverage.of(cloud, self.part)
        lost = coverage.missing
        shown, whole = (~coverage.empty | lost)[self._on_surface], coverage.unseen_share == 0
        squared, nearest = coverage.scan.knn(self.positions[None], min(NEAREST, len(cloud)))
        return View(
            points=kept,
            around=indexed_mean(cloud, nearest[0]),
            shown=shown if whole else shown[self._nearest_places[:, : self._edge]].all(dim=1),
            whole=whole,
            openings=Openings(thinned.ordered, coverage, lost[self._on_surface], squared[0].sqrt()),
        )

    def features(self, view: View, extractor: Extractor) -> Tensor:
        """Features of a scan, (G, C) float32; the last ones are those of `Openings.at`."""
        features = extractor(view.points, self.positions, self.normals).float()
        if not self.settings.openings:
            return features
        return torch.cat([features, view.openings.at(self.positions, whole=view.whole)], dim=1)

    def describe(self, points: NDArray[np.float64], extractor: Extractor) -> FeatureMaps:
        """The feature map of one scan in the frame, (N, 3) float64."""
        view = self.view(points)
        features = self.features(view, extractor)
        return FeatureMaps(features[None], view.around[None], self.positions, view.shown[None])

    @property
    def around(self) -> Tensor:
        """The `RIM` places nearest to each, itself among them, (G, at most RIM) int64."""
        return self._nearest_places[:, :RIM]

    @property
    def _edge(self) -> int:
        return max(1, round(EDGE * len(self.positions)))

    @cached_property
    def _nearest_places(self) -> Tensor:
        """The places nearest to each of these, nearest first, (G, k) int64."""
        count = min(max(self._edge, RIM), len(self.positions))
        return ops.knn(self.positions[None], self.positions[None], count)[1][0]

    @cached_property
    def _on_surface(self) -> Tensor:
        """The place of the surface nearest to each of these, (G,) int64."""
        return self.part.search.nearest(self.positions[None])[1][0]

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores."""
        return {"positions": self.positions, "normals": self.normals}

    @classmethod
    def restore(
        cls, tensors: dict[str, Tensor], part: PartPlaces, cell: float, settings: FeatureSettings, *, seed: int
    ) -> Places:
        """The inverse of `tensors`.

        Raises:
            KeyError, Unusable: they are no places.
        """
        positions = stored.tensor(tensors, "positions", None, 3)
        return cls(positions, stored.tensor(tensors, "normals", len(positions), 3), part, cell, settings, seed)
