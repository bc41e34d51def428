"""DUS-Net: Noise-Gen, Down-Net and Up-Net trained on the good scans of one class (ACM MM 2025, arXiv 2507.03903)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet import geometry, ops, scoring
from dusnet.config import Settings
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.errors import BadConfig, BadModel
from dusnet.nn.down_net import DownNet
from dusnet.nn.grouping import Support
from dusnet.nn.noise_gen import NoiseGen
from dusnet.nn.up_net import UpNet
from dusnet.progress import Progress
from dusnet.reconstruction import Centers, Reconstructor
from dusnet.scoring import Tolerance
from dusnet.tensor_file import read_tensors
from dusnet.training.loop import Run, fingerprint, train_stage
from dusnet.training.stages import DownStage, GroupSource, UpStage

THINNINGS = 4


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
        supports, cell = self._supports(clouds)
        self._measured = {
            "cell": cell,
            "patch_radius": float(np.mean([support.patch_radius for support in supports])),
            "wall": min(geometry.wall_thickness(support.points, support.normals) for support in supports),
            "spacing": self._center_spacing(supports),
        }
        self._build()
        self._load_initial_weights()
        source = GroupSource(supports, self.settings.grouping, self.settings.training)
        training, loss = self.settings.training, self.settings.loss
        run = Run(
            device=str(self.device),
            precision=training.precision,
            seed=self.seed,
            fingerprint=fingerprint(
                self.settings.model_dump(mode="json"), self.seed, [[len(c), float(c.sum())] for c in clouds]
            ),
            workdir=workdir,
            resume=resume,
            checkpoint_every=training.checkpoint_every,
            progress=progress,
        )
        train_stage(DownStage(self._down, source, self._noise, training.down, loss), training.down, run)
        train_stage(UpStage(self._up, self._down, source, self._noise, training.up, loss), training.up, run)
        self._make_reconstructor()
        if self.settings.scoring.tolerance:
            self._learn_tolerance(clouds, progress)

    def _supports(self, clouds: list[NDArray[np.float64]]) -> tuple[list[Support], float]:
        rng = np.random.default_rng(self.seed)
        wanted = self.settings.training.points
        cell = float(np.median([geometry.cell_for(cloud, wanted, rng) for cloud in clouds]))
        supports = []
        for cloud in clouds:
            for _ in range(THINNINGS):
                kept = torch.from_numpy(cloud[geometry.thin(cloud, cell, rng)]).float()
                supports.append(Support.of(kept, self.settings.grouping))
        return supports, cell

    def _center_spacing(self, supports: list[Support]) -> float:
        spacings = []
        for support in supports:
            count = min(self.settings.grouping.groups, len(support.points))
            index = ops.farthest_point_sample(support.points.unsqueeze(0), count)[0]
            spacings.append(geometry.neighbor_spacing(support.points[index]))
        return float(np.mean(spacings))

    def _build(self) -> None:
        measured = self._measured
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self._down = DownNet(self.settings.down_net, patch_radius=measured["patch_radius"])
            self._up = UpNet(self.settings.up_net, spacing=measured["spacing"])
        self._noise = NoiseGen(
            self.settings.noise, patch_radius=measured["patch_radius"], coherent_limit=measured["wall"] / 2
        )

    def _load_initial_weights(self) -> None:
        path = self.settings.training.init
        if path is None:
            return
        tensors, _ = read_tensors(path)
        for prefix, network in (("learned.down.", self._down), ("learned.up.", self._up)):
            weights = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
            own = network.state_dict()
            weights |= {name: own[name] for name, _ in network.named_buffers() if name in own}
            try:
                network.load_state_dict(weights)
            except RuntimeError as error:
                raise BadModel(
                    f"{path} holds no networks of this shape; "
                    "use the down_net and up_net settings that it was trained with."
                ) from error

    def _make_reconstructor(self) -> None:
        self._reconstructor = Reconstructor(
            self._down,
            self._up,
            self._noise,
            cell=self._measured["cell"],
            settings=self.settings,
            device=self.device,
            seed=self.seed,
        )

    def _learn_tolerance(self, clouds: list[NDArray[np.float64]], progress: Progress) -> None:
        places, distances = [], []
        with progress.task("Measuring the tolerance", len(clouds)) as task:
            for cloud in clouds:
                centers = self._reconstructor.centers(torch.from_numpy(cloud).float())
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
        if self._tolerance is not None:
            scores = self._tolerance.normalise(scores, self._to_points(cloud, centers, centers.predicted))
        _, neighbors = ops.knn(cloud.unsqueeze(0), cloud.unsqueeze(0), min(self.settings.scoring.smoothing, len(cloud)))
        scores = scoring.smooth(scores, neighbors[0])
        object_score = scoring.pool(scores, self.settings.scoring)
        timings = {"down_net": down - start, "up_net": up - down, "scoring": time.perf_counter() - up}
        return FrameScores(scores.numpy(), object_score, distances.numpy(), dense.double().numpy(), timings)

    def _distances(self, cloud: Tensor, centers: Centers, dense: Tensor) -> Tensor:
        chosen = self.settings.scoring
        if chosen.distance == "displacement":
            return self._to_points(cloud, centers, centers.points - centers.predicted).norm(dim=1)
        surface = dense if chosen.surface == "up" else centers.predicted
        if chosen.distance == "plane":
            return scoring.plane_distance(cloud, surface)
        distances = scoring.nearest_distance(cloud, surface)
        return scoring.softmax_weight(cloud, surface, distances) if chosen.weighting else distances

    @staticmethod
    def _to_points(cloud: Tensor, centers: Centers, values: Tensor) -> Tensor:
        """Values of the centres at all input points: their own where a point is a centre, interpolated elsewhere."""
        if len(centers.index) == len(cloud):
            return values
        weights, index = ops.three_nn(cloud.unsqueeze(0), centers.points.unsqueeze(0))
        return ops.three_interpolate(values.unsqueeze(0), index, weights)[0]

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"down.{name}": value for name, value in self._down.state_dict().items()}
        tensors |= {f"up.{name}": value for name, value in self._up.state_dict().items()}
        if self._tolerance is not None:
            tensors |= {"tolerance.places": self._tolerance.places, "tolerance.values": self._tolerance.values}
        return tensors

    def _metadata(self) -> dict[str, Any]:
        return {"measured": self._measured, "level": None if self._tolerance is None else self._tolerance.level}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._measured = metadata["measured"]
        self._build()
        for prefix, network in (("down.", self._down), ("up.", self._up)):
            network.load_state_dict(
                {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
            )
        self._make_reconstructor()
        if metadata["level"] is not None:
            self._tolerance = Tolerance(tensors["tolerance.places"], tensors["tolerance.values"], metadata["level"])
