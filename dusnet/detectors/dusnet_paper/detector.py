"""DUS-Net as printed: Noise-Gen, Down-Net and Up-Net that are trained on the good scans of one part.

ACM MM 2025, arXiv 2507.03903. The networks keep the part in their weights; `docs/method.md` says what is ours.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.detectors import scoring
from dusnet.detectors.dusnet_paper.networks import Networks
from dusnet.detectors.dusnet_paper.reconstruction import Centers, Reconstructor
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig
from dusnet.geometry.spacing import interpolate
from dusnet.progress import Progress
from dusnet.registration.good_surface import tolerance_of
from dusnet.registration.tolerance import ToleranceField
from dusnet.registration.warp import TangentPlanes
from dusnet.training.loop import Run


class DUSNetPaper(RegisteredDetector):
    """The paper's two networks of one part, and scores by its reconstruction (Eq. 15-17).

    Raises:
        BadConfig: as `RegisteredDetector`, or settings contradict each other.
    """

    name: ClassVar[str] = "dusnet_paper"
    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.SMOOTHED | {
        "grouping",
        "noise",
        "down_net",
        "up_net",
        "loss",
        "training",
        "scoring.surface",
        "scoring.distance",
        "scoring.tolerance",
        "scoring.gap",
        "scoring.weighting",
        "scoring.max_centers",
        "scoring.draws",
    }

    def __init__(self, settings: Settings, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(settings, seed=seed, device=device)
        if settings.scoring.distance == "displacement" and not settings.grouping.dense:
            raise BadConfig("scoring.distance displacement needs grouping.dense true; set one of the two.")
        if settings.scoring.tolerance and settings.scoring.distance != "displacement":
            raise BadConfig("scoring.tolerance needs scoring.distance displacement; set one of the two.")
        self._networks: Networks
        self._reconstructor: Reconstructor
        self._tolerance: ToleranceField | None = None

    def _learn(self, clouds: list[NDArray[Any]], *, progress: Progress, workdir: Path | None, resume: bool) -> None:
        settings = self.settings
        run = Run.of(
            settings.training,
            settings.model_dump(mode="json"),
            self.seed,
            [[len(cloud), float(cloud.sum())] for cloud in clouds],
            device=self.device,
            seed=self.seed,
            workdir=workdir,
            resume=resume,
            progress=progress,
        )
        self._take(Networks.fit(clouds, settings, run))
        self._tolerance = self._learn_tolerance(clouds, progress) if settings.scoring.tolerance else None

    def _take(self, networks: Networks) -> None:
        self._networks = networks
        self._reconstructor = Reconstructor(networks, self.settings, device=self.device, seed=self.seed)

    def _learn_tolerance(self, clouds: list[NDArray[Any]], progress: Progress) -> ToleranceField:
        places, distances = [], []
        with progress.task("Measuring the tolerance", len(clouds)) as task:
            for cloud in clouds:
                centers = self._reconstructor.centers(torch.from_numpy(cloud).float())
                places.append(centers.predicted)
                distances.append((centers.points - centers.predicted).norm(dim=1))
                task.advance()
        return ToleranceField.of(torch.cat(places), torch.cat(distances))

    def _judge(self, scan: PlacedScan) -> FrameScores:
        start = time.perf_counter()
        cloud, chosen = scan.cloud, self.settings.scoring
        centers = self._reconstructor.centers(cloud)
        down = time.perf_counter()
        dense = self._reconstructor.dense(centers.predicted)
        up = time.perf_counter()
        distances = self._distances(cloud, centers, dense)
        scores = distances
        if chosen.weighting:
            scores = scoring.softmax_weight(cloud, self._nearby(centers, dense), distances)
        if self._tolerance is not None:
            scores = self._tolerance.normalise(scores, to_points(cloud, centers, centers.predicted))
        scores = scan.smoothed(scores, chosen.smoothing)
        if chosen.gap:
            scores = scores + chosen.gap * scan.coverage.gap
        object_score = scoring.pool(scores, chosen)
        timings = {"down_net": down - start, "up_net": up - down, "scoring": time.perf_counter() - up}
        rebuilt = dense.double().numpy()
        return FrameScores(scores.numpy(), object_score, distances.numpy(), rebuilt, timings=timings)

    def _distances(self, cloud: Tensor, centers: Centers, dense: Tensor) -> Tensor:
        chosen = self.settings.scoring
        if chosen.distance == "displacement":
            return to_points(cloud, centers, centers.points - centers.predicted).norm(dim=1)
        surface = self._nearby(centers, dense)
        if chosen.distance == "plane":
            return TangentPlanes(surface).signed_distance(cloud)[0].abs()
        return scoring.nearest_distance(cloud, surface)

    def _nearby(self, centers: Centers, dense: Tensor) -> Tensor:
        """The reconstruction that distances are measured to, (M, 3)."""
        return dense if self.settings.scoring.surface == "up" else centers.predicted

    def _tensors(self) -> dict[str, Tensor]:
        tensors = self._networks.tensors()
        if self._tolerance is not None:
            tensors |= {"tolerance.places": self._tolerance.places, "tolerance.values": self._tolerance.values}
        return tensors

    def _metadata(self) -> dict[str, Any]:
        level = None if self._tolerance is None else self._tolerance.level
        return {"measured": self._networks.metadata(), "level": level}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._take(Networks.restore(self.settings, metadata["measured"], tensors))
        self._tolerance = tolerance_of(tensors, metadata["level"])


def to_points(cloud: Tensor, centers: Centers, values: Tensor) -> Tensor:
    """Values of the centres at all input points: their own where a point is a centre, interpolated elsewhere.

    Args:
        cloud: all points, (N, 3).
        centers: which of them are centres.
        values: of the centres, (M, C).

    Returns:
        (N, C).
    """
    if len(centers.index) == len(cloud):
        return values
    return interpolate(values, centers.points, cloud)
