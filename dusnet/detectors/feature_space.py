"""What the methods in feature space share: places and features of a part, networks that one part or many learn with."""

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
from torch import Tensor, nn
from typing_extensions import Self

from dusnet import geometry, scoring
from dusnet.cloud import PointCloud
from dusnet.config import Settings, settings_from
from dusnet.data.synthetic.good_scans import normal_variation, simulated_scan
from dusnet.detectors.features import Descriptors, Extractor, Heights, LocalFeatures, Places, Scaling
from dusnet.detectors.model_file import MissingPart, StoredModel, restoring, under
from dusnet.detectors.patch_embeddings import PatchEmbeddings, file_mark
from dusnet.detectors.registered import Brought, FrameScores, RegisteredDetector
from dusnet.nn.center_maps import map_similarity
from dusnet.progress import Progress
from dusnet.training.loop import Run, fingerprint

LEAST_SHOWN = 3
"""Places that a value between places takes; a scan that shows fewer is judged by all of them."""


@dataclass(frozen=True)
class Described(Brought):
    """A scan in the frame of a class, with its features.

    Attributes:
        features: of this one scan.
        describing: seconds that they took.
    """

    features: LocalFeatures
    describing: float

    @property
    def preparing(self) -> float:
        """Seconds from the scan to all of this."""
        return self.seconds + self.describing


class FeatureSpace(RegisteredDetector):
    """A detector that learns a boundary in the space of local features.

    The networks know no part: they learn from the feature maps of one part or, through `train_together`, of many. What
    is of one part alone, its places and its centre, stays with its detector.

    Args:
        settings: what it computes.
        seed: makes training and scoring repeatable.
        device: where the networks learn, `cpu`, `cuda` or `cuda:N`; scans are scored on the CPU.
        extractor: describes scans in place of what `features.extractor` says.

    Attributes:
        for_many: whether its networks can learn many parts together.

    Raises:
        BadConfig: the device is absent.
    """

    reads: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {"features"}
    scores_are_lengths: ClassVar[bool] = False
    for_many: ClassVar[bool] = True

    def __init__(
        self, settings: Settings, *, seed: int = 0, device: str = "cpu", extractor: Extractor | None = None
    ) -> None:
        super().__init__(settings, seed=seed, device=device)
        self._given = extractor
        self._embeddings: PatchEmbeddings | None = None
        self._places: Places
        self._scaling: Scaling
        self._networks: nn.Module
        self._kept: dict[str, Tensor]

    @classmethod
    def brought(cls, settings: Settings) -> str | None:
        """A hash of the file that features come from."""
        chosen = settings.features
        return file_mark(chosen.down_net) if chosen.extractor == "down_net" and chosen.down_net is not None else None

    @classmethod
    def from_stored(cls, stored: StoredModel, *, device: str = "cpu", extractor: Extractor | None = None) -> Self:
        """The detector that `save` wrote; see `load_model`."""
        metadata = stored.metadata
        with restoring(stored, f"{cls.name} model"):
            settings = settings_from(metadata["settings"], str(stored.path))
            detector = cls(settings, seed=metadata["seed"], device=device, extractor=extractor)
            detector.restore(metadata, stored.tensors)
        return detector

    def study(self, clouds: list[NDArray[np.float64]], *, progress: Progress) -> LocalFeatures:
        """Choose the places of the part, and describe its training scans and other good scans like them.

        Args:
            clouds: training scans in the frame, (N, 3) each.
            progress: where to report.
        """
        chosen = self.settings.features
        self._places = Places.spread(clouds, self.class_frame.surface(), chosen, seed=self.seed)
        rng = np.random.default_rng(self.seed)
        variation = normal_variation(clouds)
        described: list[LocalFeatures] = []
        with progress.task("Describing training scans", len(clouds) * (1 + chosen.replicas)) as task:
            for cloud in clouds:
                like = [simulated_scan(PointCloud(cloud), variation, rng).points for _ in range(chosen.replicas)]
                for points in (cloud, *like):
                    described += self._lessons(points, rng)
                    task.advance()
        return type(described[0]).joined(described)

    def _lessons(self, points: NDArray[np.float64], rng: np.random.Generator) -> list[LocalFeatures]:
        """What is learned from a good scan in the frame, (N, 3)."""
        del rng
        return [self._describe(points)]

    def _describe(self, points: NDArray[np.float64]) -> LocalFeatures:
        return self._places.describe(points, self._extractor)

    def train_together(
        self,
        parts: Sequence[FeatureSpace],
        lessons: Sequence[LocalFeatures],
        *,
        progress: Progress,
        workdir: Path | None,
        resume: bool,
    ) -> None:
        """Train one set of networks on the lessons of all parts, and give it to each of them.

        Args:
            parts: detectors of this kind and of these settings, this one among them; each has studied its part.
            lessons: what each of them answered.
            progress: where to report.
            workdir: folder for checkpoints and logs, or None.
            resume: continue from the checkpoints in `workdir`.
        """
        trained_on = [[*lesson.features.shape, float(lesson.features.double().sum())] for lesson in lessons]
        run = Run(
            device=str(self.device),
            precision=self.settings.training.precision,
            seed=self.seed,
            fingerprint=fingerprint(self.name, self.settings.model_dump(mode="json"), self.seed, trained_on),
            workdir=workdir,
            resume=resume,
            checkpoint_every=self.settings.training.checkpoint_every,
            progress=progress,
        )
        scalings = [Scaling.of(lesson, self._spread_of_features) for lesson in lessons]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            networks = self._build(lessons[0].features.shape[-1])
        scaled = [lesson.scaled(scaling) for lesson, scaling in zip(lessons, scalings, strict=True)]
        kept = self._train(networks, scaled, run)
        networks.cpu().eval()
        for part, lesson, scaling, own in zip(parts, lessons, scalings, kept, strict=True):
            part._scaling, part._networks = scaling, networks
            part._kept = {**own, "around": lesson.mean(lesson.around)}

    def bring(self, cloud: PointCloud) -> Described:
        """A scan in the frame, with its features."""
        brought = super().bring(cloud)
        start = time.perf_counter()
        features = self._describe(brought.points)
        return Described(**vars(brought), features=features, describing=time.perf_counter() - start)

    def likeness(self, brought: Described) -> float:
        """How like its part a scan is that was brought into its frame, -1 to 1 (CRAS Eq. 2).

        The maps that are compared say where the scan lies at every place. Those that anomalies are found in need not
        tell parts apart: heights over the part's own surface are nearly zero, and zero has no direction.
        """
        return map_similarity(brought.features.around[0], self._kept["around"], brought.features.seen[0])

    @property
    def _extractor(self) -> Extractor:
        if self._given is not None:
            return self._given
        chosen = self.settings.features
        if chosen.down_net is not None and chosen.extractor == "down_net":
            if self._embeddings is None:
                self._embeddings = PatchEmbeddings.of_file(chosen.down_net)
            return self._embeddings
        return Heights(chosen) if chosen.extractor == "heights" else Descriptors(chosen)

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        lessons = self.study(clouds, progress=progress)
        self.train_together([self], [lessons], progress=progress, workdir=workdir, resume=resume)

    def _judge(self, points: NDArray[np.float64]) -> FrameScores:
        return self._judged(points, self._describe(points))

    def _judge_brought(self, brought: Brought) -> FrameScores:
        assert isinstance(brought, Described)
        judged = self._judged(brought.points, brought.features)
        return replace(judged, timings={"features": brought.describing, **judged.timings})

    def _judged(self, points: NDArray[np.float64], described: LocalFeatures) -> FrameScores:
        start = time.perf_counter()
        with torch.inference_mode():
            values = self._values(self._scaling(described.features[0]))
        cloud = torch.from_numpy(points).float()
        scores = self._spread(values, described.seen[0], cloud)
        to_good = scoring.nearest_distance(cloud, self.class_frame.surface())
        timings = {"scoring": time.perf_counter() - start}
        return FrameScores(scores.numpy(), float(scores.max()), to_good.numpy(), None, timings=timings)

    def _spread(self, values: Tensor, seen: Tensor, cloud: Tensor) -> Tensor:
        """Values of places at all points of a scan, smoothed over their neighbours, (G,), (G,), (N, 3) -> (N,)."""
        if int(seen.sum()) < LEAST_SHOWN:
            seen = torch.ones_like(seen)
        between = geometry.interpolate(values[seen], self._places.positions[seen], cloud)
        return scoring.smooth_over(cloud, between, self.settings.features.smoothing)

    @property
    def _spread_of_features(self) -> float:
        """What the spread of normal features about their centre is brought to."""
        return self.settings.features.scale

    @abstractmethod
    def _build(self, size: int) -> nn.Module:
        """New networks for features of so many channels."""

    @abstractmethod
    def _train(self, networks: nn.Module, lessons: Sequence[LocalFeatures], run: Run) -> list[dict[str, Tensor]]:
        """Train networks in place on the scaled features of all parts.

        Returns:
            What `_values` needs of each part.
        """

    @abstractmethod
    def _values(self, features: Tensor) -> Tensor:
        """How anomalous the scaled features of a scan are, (G, C) -> (G,), 0 upwards."""

    def own_tensors(self) -> dict[str, Tensor]:
        """What is of this part alone."""
        places = {f"places.{name}": value for name, value in self._places.tensors().items()}
        scaling = {"scaling.mean": self._scaling.mean, "scaling.spread": self._scaling.spread}
        return places | scaling | {f"kept.{name}": value for name, value in self._kept.items()}

    def shared_tensors(self) -> dict[str, Tensor]:
        """What all parts share."""
        made = {} if self._embeddings is None else self._embeddings.tensors()
        embeddings = {f"embeddings.{name}": value for name, value in made.items()}
        return embeddings | {f"networks.{name}": value for name, value in self._networks.state_dict().items()}

    def _tensors(self) -> dict[str, Tensor]:
        return self.own_tensors() | self.shared_tensors()

    def _metadata(self) -> dict[str, Any]:
        embeddings = None if self._embeddings is None else self._embeddings.metadata()
        return {"cell": self._places.cell, "own_extractor": self._given is None, "embeddings": embeddings}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        if not metadata["own_extractor"] and self._given is None:
            raise MissingPart("its extractor, which is no part of the file; give it to load_model(extractor=...)")
        if metadata["embeddings"] is not None:
            self._embeddings = PatchEmbeddings.restore(metadata["embeddings"], under("embeddings", tensors))
        self._places = Places.restore(
            under("places", tensors),
            self.class_frame.surface(),
            float(metadata["cell"]),
            self.settings.features,
            seed=self.seed,
        )
        self._kept = under("kept", tensors)
        self._scaling = Scaling(tensors["scaling.mean"], tensors["scaling.spread"], self._spread_of_features)
        self._networks = self._build(len(self._scaling.mean))
        self._networks.load_state_dict(under("networks", tensors))
        self._networks.eval()
