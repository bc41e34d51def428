"""The part that the peers in feature space share: thinning, memory, and the way from distances to point scores."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops
from dusnet.cloud import PointCloud
from dusnet.detectors import scoring
from dusnet.detectors.base import Scores
from dusnet.detectors.descriptors import FPFH_SIZE, Thinned, density_cell, farthest, fpfh, local_mean
from dusnet.detectors.peers.memory_bank import MemoryBank
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.detectors.settings import Settings
from dusnet.geometry.spacing import interpolate
from dusnet.io import stored
from dusnet.progress import Progress

# Edges of a thinning cell that a radius spans at least: in a sparse scan a smaller ball holds no neighbour at all.
RADIUS_CELLS = 4


@dataclass(frozen=True)
class Description:
    """Local features of a scan.

    Attributes:
        cloud: the thinned scan.
        places: where the features belong, relative to the centroid of `cloud`, (M, 3) float32.
        features: (M, C) float32.
    """

    cloud: Thinned
    places: Tensor
    features: Tensor

    @property
    def in_frame(self) -> Tensor:
        """The places in the frame, (M, 3) float32."""
        return (self.places.double() + torch.from_numpy(self.cloud.centroid)).float()


class FeatureMemory(RegisteredDetector):
    """A detector whose point score is the distance of a local feature to the nearest one of the training scans.

    Args:
        settings: what it computes, mostly `settings.memory`.
        seed: of thinning and coreset.
        device: must exist; the computation is on the CPU.

    Raises:
        BadConfig: the device is absent.
    """

    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {"memory"}
    scores_are_lengths: ClassVar[bool] = False
    registered: ClassVar[bool] = True
    coreset: ClassVar[float]

    def __init__(self, settings: Settings, *, seed: int = 0, device: str = "cpu") -> None:
        if not self.registered:
            still = settings.registration.model_copy(update={"method": "none"})
            settings = settings.model_copy(update={"registration": still})
        super().__init__(settings, seed=seed, device=device)

    def score(self, cloud: PointCloud, *, explain: bool = True, progress: Progress | None = None) -> Scores:
        """Score one scan; see `Detector.score`.

        A detector without registration says so in `alignment` (method "none", the identity, and how far the scan lies
        from the training scans) and gives no `distances` and no `unseen`, which mean nothing for a scan in any pose.
        """
        scores = super().score(cloud, explain=explain, progress=progress)
        return scores if self.registered else replace(scores, distances=None, unseen=None)

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        del workdir, resume
        memory = self.settings.memory
        self._cell = density_cell(clouds, memory.points, seed=self.seed)
        features, places = [], []
        with progress.task("Describing training scans", len(clouds)) as task:
            for cloud in clouds:
                described = self._describe(self._thin(cloud))
                features.append(described.features)
                places.append(described.in_frame)
                task.advance()
        self._bank = MemoryBank.of(
            torch.cat(features),
            torch.cat(places),
            share=self.coreset if memory.coreset is None else memory.coreset,
            most=memory.entries,
            projection=memory.projection,
            seed=self.seed,
        )

    def _judge(self, points: NDArray[np.float64]) -> FrameScores:
        start = time.perf_counter()
        described = self._describe(self._thin(points))
        features = time.perf_counter()
        distances, nearest = self._look_up(described)
        scores = self._spread(described, distances.float()).clamp_min(0)
        object_score = self._pool(described, distances, nearest, scores)
        # Where a registered scan lies is known, so how far it is from good parts can be said in the unit of the scan.
        to_good = (
            scoring.nearest_distance(torch.from_numpy(points).float(), self.class_frame.surface()).numpy()
            if self.registered
            else np.zeros(len(points), np.float32)
        )
        timings = {"features": features - start, "scoring": time.perf_counter() - features}
        return FrameScores(scores.numpy(), object_score, to_good, None, timings=timings)

    def _thin(self, points: NDArray[np.float64]) -> Thinned:
        return Thinned.of(points, self._cell, self.settings.memory.points, seed=self.seed)

    def _ball_fpfh(self, cloud: Thinned) -> Tensor:
        """FPFH of all thinned points within `memory.radius`."""
        memory = self.settings.memory
        return self._fpfh(cloud, (memory.radius_neighbors,), max(memory.radius, RADIUS_CELLS * self._cell))

    def _fpfh(self, cloud: Thinned, neighbors: tuple[int, ...], radius: float | None = None) -> Tensor:
        # The origin of the frame lies still whatever part of the object a scan shows; without registration only the
        # scan itself is known.
        return fpfh(
            cloud.points,
            neighbors=neighbors,
            radius=radius,
            normal_neighbors=self.settings.memory.normal_neighbors,
            away_from=-cloud.centroid if self.registered else None,
        )

    @property
    def _channels(self) -> int:
        """Of a feature."""
        return FPFH_SIZE

    @abstractmethod
    def _describe(self, cloud: Thinned) -> Description:
        """The features of a thinned scan."""

    @abstractmethod
    def _pool(self, described: Description, distances: Tensor, nearest: Tensor, scores: Tensor) -> float:
        """Object score of feature distances (M,), the memories that they are to (M,), and point scores (N,)."""

    def _look_up(self, described: Description) -> tuple[Tensor, Tensor]:
        """Distance of every feature to the memory that it is compared with, (M,) float64 and (M,) int64."""
        return self._bank.nearest(described.features)

    def _spread(self, described: Description, distances: Tensor) -> Tensor:
        """Point scores (N,) of the feature distances of all thinned points (n,): their mean over nearest points."""
        points = described.places
        count = min(self.settings.memory.smoothing, len(points))
        _, index = ops.knn(points.unsqueeze(0), points.unsqueeze(0), count)
        return described.cloud.to_all(scoring.smooth(distances, index[0]))

    def _tensors(self) -> dict[str, Tensor]:
        return self._bank.tensors()

    def _metadata(self) -> dict[str, Any]:
        return {"cell": self._cell}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._cell = stored.length(metadata["cell"], "cell")
        self._bank = MemoryBank.restore(tensors, self._channels)


class CenterMemory(FeatureMemory):
    """Features of farthest points, each the mean of its surroundings, as in Simple3D (arXiv 2507.07435)."""

    def _described_centers(self, cloud: Thinned, neighbors: tuple[int, ...]) -> Description:
        features = self._fpfh(cloud, neighbors)
        points = cloud.tensor
        centers = points[farthest(points, self.settings.memory.centers)]
        return Description(cloud, centers, local_mean(features, points, centers, self.settings.memory.local_mean))

    def _spread(self, described: Description, distances: Tensor) -> Tensor:
        """Centres -> thinned points -> fewer centres, each the mean of its surroundings -> all points."""
        memory, points = self.settings.memory, described.cloud.tensor
        values = interpolate(distances, described.places, points)
        if memory.smoothing == 1:
            return described.cloud.to_all(values)
        centers = points[farthest(points, memory.smoothing_centers)]
        means = local_mean(values.unsqueeze(1), points, centers, memory.smoothing)[:, 0]
        return interpolate(means, centers, described.cloud.everything)
