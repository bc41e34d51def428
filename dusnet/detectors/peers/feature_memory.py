"""What the peers with a memory of local features share: thinning, memory, and point scores from feature distances."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from dusnet.cloud import PointCloud
from dusnet.detectors import scoring
from dusnet.detectors.base import Scores
from dusnet.detectors.descriptors import FPFH_SIZE, Thinned, density_cell, farthest, fpfh, local_mean
from dusnet.detectors.peers.memory_bank import MemoryBank
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.detectors.settings import Settings
from dusnet.geometry.spacing import interpolate
from dusnet.geometry.visibility import Eye, directions
from dusnet.io import stored
from dusnet.io.tensors import under
from dusnet.progress import Progress

RADIUS_CELLS = 4
"""Edges of a thinning cell that a radius spans at least: in a sparse scan a smaller ball holds no neighbour at all."""

RADIUS_NEIGHBORS = 100
"""Nearest points within the radius that FPFH looks at, at most: Open3D's usual number."""

VIEWS = 4
"""Views of a training scan where `memory.views` is auto: as many as the record of nihal4/ad3d simulates."""


@dataclass(frozen=True)
class Description:
    """Local features of a scan.

    Attributes:
        scan: the thinned scan.
        places: where the features belong, relative to the centroid of `scan`, (M, 3) float32.
        features: (M, C) float32.
        smoothing_places: where smoothing averages feature distances, (K, 3) float32; None: at all thinned points.
    """

    scan: Thinned
    places: Tensor
    features: Tensor
    smoothing_places: Tensor | None = None

    @property
    def in_frame(self) -> Tensor:
        """The places in the frame, (M, 3) float32."""
        return self.scan.in_frame(self.places)


@dataclass(frozen=True)
class Compared:
    """A scan beside the memory.

    Attributes:
        described: its features.
        bank: what they were compared with.
        distances: to the nearest memory of each, (M,) float64.
        nearest: which memories these are, (M,) int64.
        scores: of all points of the scan, (N,).
    """

    described: Description
    bank: MemoryBank
    distances: Tensor
    nearest: Tensor
    scores: Tensor


class FeatureMemory(RegisteredDetector):
    """A detector whose point score is the distance of a local feature to the nearest one of the training scans.

    By itself: FPFH within `memory.radius` at every thinned point, and the largest feature distance as object score
    where `scoring.pooling` names no rule.

    Args:
        settings: what it computes, mostly `settings.memory`.
        seed: of thinning and coreset.
        device: must exist; the computation is on the CPU.

    Attributes:
        registered: whether scans are aligned to the class; without it `settings.registration.method` is "none".
        coreset: share of the training features that the paper remembers.

    Raises:
        BadConfig: the device is absent.
    """

    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.POOLED | {
        *(f"memory.{key}" for key in ("points", "coreset", "projection", "entries", "views", "smoothing"))
    }
    scores_are_lengths: ClassVar[bool] = False
    registered: ClassVar[bool] = True
    coreset: ClassVar[float] = 0.1

    def __init__(self, settings: Settings, *, seed: int = 0, device: str = "cpu") -> None:
        if not self.registered:
            unregistered = settings.registration.model_copy(update={"method": "none"})
            settings = settings.model_copy(update={"registration": unregistered})
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
        whole, seen = [], []
        generator = np.random.default_rng(self.seed)
        with progress.task("Describing training scans", len(clouds)) as task:
            for cloud in clouds:
                thinned = self._thin(cloud)
                whole.append(self._describe(thinned))
                seen += [self._describe(thinned.seen_from(side)) for side in self._sides(cloud, generator)]
                task.advance()
        self._bank = self._remember(whole)
        self._views = self._remember(seen) if seen else None

    def _sides(self, cloud: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
        """From where a training scan is seen in its simulated views, unit vectors, (V, 3)."""
        views = self.settings.memory.views
        if views is None or (views == "auto" and Eye.all_of(cloud)[0].one_sided):
            return np.empty((0, 3))
        # Each scan is seen from other sides than the one before.
        turned = Rotation.random(rng=generator).apply(directions(VIEWS if views == "auto" else views))
        return np.asarray(turned, dtype=np.float64)

    def _remember(self, described: Sequence[Description]) -> MemoryBank:
        memory = self.settings.memory
        return MemoryBank.of(
            torch.cat([one.features for one in described]),
            torch.cat([one.in_frame for one in described]),
            share=self.coreset if memory.coreset is None else memory.coreset,
            most=memory.entries,
            projection=memory.projection,
            seed=self.seed,
        )

    def _judge(self, scan: PlacedScan) -> FrameScores:
        start = time.perf_counter()
        described = self._describe(self._thin(scan.points))
        features = time.perf_counter()
        bank = self._bank_for(scan)
        distances, nearest = self._nearest_memory(described, bank)
        scores = self._point_scores(described, distances.float()).clamp_min(0)
        object_score = self._object_score(Compared(described, bank, distances, nearest, scores))
        # Without registration the distance from the good surface means nothing, and `score` leaves it out.
        to_surface = scan.distances if self.registered else torch.zeros_like(scores)
        timings = {"features": features - start, "scoring": time.perf_counter() - features}
        return FrameScores(scores.numpy(), object_score, to_surface.numpy(), None, timings=timings)

    def _thin(self, points: NDArray[np.float64]) -> Thinned:
        return Thinned.of(points, self._cell, self.settings.memory.points, seed=self.seed)

    def _fpfh(self, scan: Thinned, neighbors: Sequence[int], radius: float | None = None) -> Tensor:
        # Normals point away from the origin of the frame, which does not depend on what a scan shows. Without
        # registration only the centroid of the scan is known.
        return fpfh(
            scan.points,
            neighbors=neighbors,
            radius=radius,
            away_from=-scan.centroid if self.registered else None,
        )

    @property
    def _channels(self) -> int:
        """Of a feature."""
        return FPFH_SIZE

    def _describe(self, scan: Thinned) -> Description:
        """The features of a thinned scan."""
        memory = self.settings.memory
        radius = max(memory.radius, RADIUS_CELLS * self._cell)
        return Description(scan, scan.tensor, self._fpfh(scan, (RADIUS_NEIGHBORS,), radius))

    def _bank_for(self, scan: PlacedScan) -> MemoryBank:
        """What a scan is compared with: where `memory.views` is auto, views only for a scan of one side."""
        if self._views is None:
            return self._bank
        if self.settings.memory.views == "auto":
            # Without registration the part that a scan leaves out is not known.
            partial = scan.coverage.unseen_share > 0 if self.registered else Eye.all_of(scan.points)[0].one_sided
            if not partial:
                return self._bank
        return self._bank.and_also(self._views)

    def _nearest_memory(self, described: Description, bank: MemoryBank) -> tuple[Tensor, Tensor]:
        """Distance of every feature to its memory, (M,) float64, and the number of that memory, (M,) int64."""
        return bank.nearest(described.features)

    def _point_scores(self, described: Description, distances: Tensor) -> Tensor:
        """Point scores (N,) of the feature distances of all thinned points (n,): their mean over nearest points."""
        scan = described.scan
        return scan.to_all(scoring.smooth_over(scan.index, distances, self.settings.memory.smoothing))

    def _object_score(self, found: Compared) -> float:
        """Object score, by the rule that the settings name or by that of the method."""
        chosen = self.settings.scoring
        return self._own_object_score(found) if chosen.pooling is None else scoring.pool(found.scores, chosen)

    def _own_object_score(self, found: Compared) -> float:
        """Object score by the rule of the method."""
        return float(found.distances.max())

    def _tensors(self) -> dict[str, Tensor]:
        views = {} if self._views is None else self._views.tensors()
        return self._bank.tensors() | {f"views.{name}": value for name, value in views.items()}

    def _metadata(self) -> dict[str, Any]:
        return {"cell": self._cell}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._cell = stored.length(metadata["cell"], "cell")
        self._bank = MemoryBank.restore(tensors, self._channels)
        views = under("views", tensors)
        self._views = MemoryBank.restore(views, self._channels) if views else None


class CenterMemory(FeatureMemory):
    """FPFH of farthest points, each the mean of its surroundings, as in Simple3D (arXiv 2507.07435)."""

    settings_sections: ClassVar[frozenset[str]] = FeatureMemory.settings_sections | {
        "memory.centers",
        "memory.local_mean",
        "memory.smoothing_centers",
    }

    @property
    @abstractmethod
    def _neighbors(self) -> tuple[int, ...]:
        """Numbers of nearest points that span the supports of FPFH."""

    @property
    def _channels(self) -> int:
        return FPFH_SIZE * len(self._neighbors)

    def _describe(self, scan: Thinned) -> Description:
        memory = self.settings.memory
        features = self._fpfh(scan, self._neighbors)
        # The first points of a longer farthest point sampling are those of a shorter one.
        spread = scan.tensor[farthest(scan.tensor, max(memory.centers, memory.smoothing_centers))]
        centers, fewer = spread[: memory.centers], spread[: memory.smoothing_centers]
        return Description(scan, centers, local_mean(features, scan.index, centers, memory.local_mean), fewer)

    def _point_scores(self, described: Description, distances: Tensor) -> Tensor:
        """Centres -> thinned points -> fewer centres, each the mean of its surroundings -> all points."""
        scan, smoothing, fewer = described.scan, self.settings.memory.smoothing, described.smoothing_places
        values = interpolate(distances, described.places, scan.tensor)
        if smoothing == 1 or fewer is None:
            return scan.to_all(values)
        means = local_mean(values.unsqueeze(1), scan.index, fewer, smoothing)[:, 0]
        return interpolate(means, fewer, scan.all_points)

    def _own_object_score(self, found: Compared) -> float:
        return float(found.scores.max())
