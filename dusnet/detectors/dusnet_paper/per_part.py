"""The paper's way: both networks are trained on the good scans of one part and keep it in their weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import scoring
from dusnet.config import Settings
from dusnet.detectors.dusnet_paper.networks import Networks
from dusnet.detectors.dusnet_paper.reconstruction import Centers, Reconstructor
from dusnet.detectors.registered import FrameScores
from dusnet.errors import BadConfig
from dusnet.geometry import coverage
from dusnet.geometry.part_places import PartPlaces
from dusnet.geometry.spacing import interpolate
from dusnet.progress import Progress
from dusnet.registration.good_surface import tolerance_of
from dusnet.registration.warp import TangentPlanes
from dusnet.scoring import Tolerance
from dusnet.training.loop import Run, fingerprint


class PerPart:
    """Down-Net and Up-Net of one part, and scores by its reconstruction (Eq. 15-17).

    Args:
        networks: trained.
        settings: everything.
        device: where the networks run.
        seed: of the scoring.
        tolerance: what the training clouds show, or None.
    """

    def __init__(
        self,
        networks: Networks,
        settings: Settings,
        *,
        device: torch.device,
        seed: int,
        tolerance: Tolerance | None = None,
    ) -> None:
        self._networks, self._settings, self._tolerance = networks, settings, tolerance
        self._reconstructor = Reconstructor(networks, settings, device=device, seed=seed)

    @classmethod
    def learn(
        cls,
        clouds: list[NDArray[Any]],
        settings: Settings,
        *,
        device: torch.device,
        seed: int,
        progress: Progress,
        workdir: Path | None,
        resume: bool,
    ) -> PerPart:
        """Train on clouds in the frame, (N, 3) each."""
        trained_on = [[len(cloud), float(cloud.sum())] for cloud in clouds]
        run = Run(
            device=str(device),
            precision=settings.training.precision,
            seed=seed,
            fingerprint=fingerprint(settings.model_dump(mode="json"), seed, trained_on),
            workdir=workdir,
            resume=resume,
            checkpoint_every=settings.training.checkpoint_every,
            progress=progress,
        )
        made = cls(Networks.fit(clouds, settings, run), settings, device=device, seed=seed)
        if settings.scoring.tolerance:
            made._tolerance = made._learn_tolerance(clouds, progress)
        return made

    @classmethod
    def check(cls, settings: Settings) -> None:
        """Refuse settings that contradict each other.

        Raises:
            BadConfig: with the two settings.
        """
        if settings.scoring.distance == "displacement" and not settings.grouping.dense:
            raise BadConfig("scoring.distance displacement needs grouping.dense true; set one of the two.")
        if settings.scoring.tolerance and settings.scoring.distance != "displacement":
            raise BadConfig("scoring.tolerance needs scoring.distance displacement; set one of the two.")

    def _learn_tolerance(self, clouds: list[NDArray[Any]], progress: Progress) -> Tolerance:
        places, distances = [], []
        with progress.task("Measuring the tolerance", len(clouds)) as task:
            for cloud in clouds:
                centers = self._reconstructor.centers(torch.from_numpy(cloud).float())
                places.append(centers.predicted)
                distances.append((centers.points - centers.predicted).norm(dim=1))
                task.advance()
        return Tolerance.of(torch.cat(places), torch.cat(distances))

    def judge(self, cloud: Tensor, places: PartPlaces) -> FrameScores:
        """Score a scan in the frame, (N, 3) float32, of a part with these places."""
        start = time.perf_counter()
        chosen = self._settings.scoring
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
        scores = scoring.smooth_over(cloud, scores, chosen.smoothing)
        if chosen.gap:
            scores = scores + chosen.gap * coverage.gap(cloud, places)
        object_score = scoring.pool(scores, chosen)
        timings = {"down_net": down - start, "up_net": up - down, "scoring": time.perf_counter() - up}
        rebuilt = dense.double().numpy()
        return FrameScores(scores.numpy(), object_score, distances.numpy(), rebuilt, timings=timings)

    def _distances(self, cloud: Tensor, centers: Centers, dense: Tensor) -> Tensor:
        chosen = self._settings.scoring
        if chosen.distance == "displacement":
            return to_points(cloud, centers, centers.points - centers.predicted).norm(dim=1)
        surface = self._nearby(centers, dense)
        if chosen.distance == "plane":
            return TangentPlanes(surface).signed_distance(cloud)[0].abs()
        return scoring.nearest_distance(cloud, surface)

    def _nearby(self, centers: Centers, dense: Tensor) -> Tensor:
        """The reconstruction that distances are measured to, (M, 3)."""
        return dense if self._settings.scoring.surface == "up" else centers.predicted

    def tensors(self) -> dict[str, Tensor]:
        """What was learned, as tensors."""
        tensors = self._networks.tensors()
        if self._tolerance is not None:
            tensors |= {"tolerance.places": self._tolerance.places, "tolerance.values": self._tolerance.values}
        return tensors

    def metadata(self) -> dict[str, Any]:
        """What was learned, as JSON."""
        level = None if self._tolerance is None else self._tolerance.level
        return {"measured": self._networks.metadata(), "level": level}

    @classmethod
    def restore(
        cls,
        metadata: dict[str, Any],
        tensors: dict[str, Tensor],
        settings: Settings,
        *,
        device: torch.device,
        seed: int,
    ) -> PerPart:
        """The inverse of `tensors` and `metadata`."""
        networks = Networks.restore(settings, metadata["measured"], tensors)
        tolerance = tolerance_of(tensors, metadata["level"])
        return cls(networks, settings, device=device, seed=seed, tolerance=tolerance)


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
