"""DUS-Net: Noise-Gen, Down-Net and Up-Net trained on the good scans of one class (ACM MM 2025, arXiv 2507.03903)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import ops, scoring
from dusnet.config import Settings
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.errors import BadConfig
from dusnet.progress import Progress
from dusnet.reconstruction import Centers, Reconstructor
from dusnet.scoring import Tolerance
from dusnet.training.loop import Run, fingerprint
from dusnet.training.networks import Networks


class DUSNet(RegisteredDetector):
    """The two-stage reconstruction network as a detector; see `docs/method.md`."""

    name: ClassVar[str] = "dusnet"

    def __init__(self, settings: Settings, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(settings, seed=seed, device=device)
        if settings.scoring.distance == "displacement" and not settings.grouping.dense:
            raise BadConfig("scoring.distance displacement needs grouping.dense true; set one of the two.")
        if settings.scoring.tolerance and settings.scoring.distance != "displacement":
            raise BadConfig("scoring.tolerance needs scoring.distance displacement; set one of the two.")
        self._tolerance: Tolerance | None = None

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        trained_on = [[len(cloud), float(cloud.sum())] for cloud in clouds]
        self._networks = Networks.fit(
            clouds,
            self.settings,
            Run(
                device=str(self.device),
                precision=self.settings.training.precision,
                seed=self.seed,
                fingerprint=fingerprint(self.settings.model_dump(mode="json"), self.seed, trained_on),
                workdir=workdir,
                resume=resume,
                checkpoint_every=self.settings.training.checkpoint_every,
                progress=progress,
            ),
        )
        self._reconstructor = Reconstructor(self._networks, self.settings, device=self.device, seed=self.seed)
        if self.settings.scoring.tolerance:
            self._learn_tolerance(clouds, progress)

    def _learn_tolerance(self, clouds: list[NDArray[np.float64]], progress: Progress) -> None:
        places, distances = [], []
        with progress.task("Measuring the tolerance", len(clouds)) as task:
            for cloud, others in zip(clouds, self._networks.left_out, strict=True):
                centers = self._reconstructor.centers(torch.from_numpy(cloud).float(), others)
                places.append(centers.predicted)
                distances.append((centers.points - centers.predicted).norm(dim=1))
                task.advance()
        self._tolerance = Tolerance.of(torch.cat(places), torch.cat(distances))

    def _judge(self, points: NDArray[np.float64]) -> FrameScores:
        start = time.perf_counter()
        cloud = torch.from_numpy(points).float()
        centers = self._reconstructor.centers(cloud)
        down = time.perf_counter()
        dense = self._reconstructor.dense(centers.predicted)
        up = time.perf_counter()
        distances = self._distances(cloud, centers, dense)
        scores = distances
        if self.settings.scoring.weighting:
            scores = scoring.softmax_weight(cloud, self._nearby(centers, dense), distances)
        if self._tolerance is not None:
            scores = self._tolerance.normalise(scores, self._to_points(cloud, centers, centers.predicted))
        _, neighbors = ops.knn(cloud.unsqueeze(0), cloud.unsqueeze(0), min(self.settings.scoring.smoothing, len(cloud)))
        scores = scoring.smooth(scores, neighbors[0])
        if self.settings.scoring.gap:
            scores = scores + self.settings.scoring.gap * scoring.gap(cloud, self.class_frame.surface())
        object_score = scoring.pool(scores, self.settings.scoring)
        timings = {"down_net": down - start, "up_net": up - down, "scoring": time.perf_counter() - up}
        return FrameScores(scores.numpy(), object_score, distances.numpy(), dense.double().numpy(), timings)

    def _distances(self, cloud: Tensor, centers: Centers, dense: Tensor) -> Tensor:
        chosen = self.settings.scoring
        if chosen.distance == "displacement":
            return self._to_points(cloud, centers, centers.points - centers.predicted).norm(dim=1)
        surface = self._nearby(centers, dense)
        if chosen.distance == "plane":
            return scoring.plane_distance(cloud, surface)
        return scoring.nearest_distance(cloud, surface)

    def _nearby(self, centers: Centers, dense: Tensor) -> Tensor:
        """The reconstruction that distances are measured to, (M, 3)."""
        return dense if self.settings.scoring.surface == "up" else centers.predicted

    @staticmethod
    def _to_points(cloud: Tensor, centers: Centers, values: Tensor) -> Tensor:
        """Values of the centres at all input points: their own where a point is a centre, interpolated elsewhere."""
        if len(centers.index) == len(cloud):
            return values
        weights, index = ops.three_nn(cloud.unsqueeze(0), centers.points.unsqueeze(0))
        return ops.three_interpolate(values.unsqueeze(0), index, weights)[0]

    def _tensors(self) -> dict[str, Tensor]:
        tensors = self._networks.tensors()
        if self._tolerance is not None:
            tensors |= {"tolerance.places": self._tolerance.places, "tolerance.values": self._tolerance.values}
        return tensors

    def _metadata(self) -> dict[str, Any]:
        level = None if self._tolerance is None else self._tolerance.level
        return {"measured": self._networks.metadata(), "level": level}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._networks = Networks.restore(self.settings, metadata["measured"], tensors)
        self._reconstructor = Reconstructor(self._networks, self.settings, device=self.device, seed=self.seed)
        if metadata["level"] is not None:
            self._tolerance = Tolerance(tensors["tolerance.places"], tensors["tolerance.values"], metadata["level"])
