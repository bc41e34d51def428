"""What CRAS, PBAS and CRR share on scans: places and features of a part, networks for one part or for many."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.cloud import Frame, PointCloud
from dusnet.detectors.descriptors import FPFH_SIZE
from dusnet.detectors.feature_space.center_maps import map_similarity
from dusnet.detectors.feature_space.extractors import Descriptors, Deviations, Heights
from dusnet.detectors.feature_space.feature_maps import FeatureMaps, Scaling
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.openings import CHANNELS as OPENINGS
from dusnet.detectors.feature_space.patch_embeddings import PatchEmbeddings
from dusnet.detectors.feature_space.place_scores import at_points
from dusnet.detectors.feature_space.places import Extractor, Places
from dusnet.detectors.feature_space.settings import FeatureSettings
from dusnet.detectors.model_file import MissingPart
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.detectors.settings import Settings
from dusnet.geometry.visibility import visible
from dusnet.io import file_mark, stored
from dusnet.io.tensors import under
from dusnet.nn.finite import require_finite
from dusnet.progress import Progress
from dusnet.registration.good_surface import GoodSurface
from dusnet.registration.warp import TangentPlanes
from dusnet.synthesis.good_scans import normal_variation, simulated_scan
from dusnet.training.loop import Run, fingerprint


class FeatureSpace(RegisteredDetector):
    """A detector that learns a boundary in the space of local features.

    The networks learn from the feature maps of one part or, through `train_together`, of many. The places and the
    centre map of a part belong to its detector alone.

    Args:
        settings: what it computes.
        seed: makes training and scoring repeatable.
        device: where the networks learn, `cpu`, `cuda` or `cuda:N`; scans are scored on the CPU.
        extractor: describes scans in place of what `features.extractor` says.

    Attributes:
        method: what the networks are and how they learn.

    Raises:
        BadConfig: the device is absent.
    """

    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.FOR_ALL | {
        *(f"features.{key}" for key in FeatureSettings.model_fields if key != "scale"),
        "warp.degree",
        "warp.cutoff",
        "warp.ridge",
        "training.precision",
        "training.checkpoint_every",
    }
    scores_are_lengths: ClassVar[bool] = False
    method: ClassVar[type[FeatureMethod]]

    def __init__(
        self, settings: Settings, *, seed: int = 0, device: str = "cpu", extractor: Extractor | None = None
    ) -> None:
        super().__init__(settings, seed=seed, device=device)
        self._given_extractor = extractor
        self._embeddings: PatchEmbeddings | None = None
        self._extractor: Extractor
        self._places: Places
        self._good_surface: GoodSurface | None = None
        self._scaling: Scaling
        self._learned: FeatureMethod
        self._part_state: dict[str, Tensor]

    @classmethod
    def weights_digest(cls, settings: Settings) -> str | None:
        """A hash of the file that features come from."""
        chosen = settings.features
        return file_mark(chosen.down_net) if chosen.extractor == "down_net" and chosen.down_net is not None else None

    def describe_training(self, clouds: list[NDArray[np.float64]], *, progress: Progress) -> FeatureMaps:
        """Choose the places of the part, and describe its training scans and simulated good scans.

        Args:
            clouds: training scans in the frame, (N, 3) each.
            progress: where to report.
        """
        chosen = self.settings.features
        self._good_surface = None
        if chosen.warp:
            tensors = [torch.from_numpy(cloud).float() for cloud in clouds]
            self._good_surface = GoodSurface.learn(tensors, self.settings.warp, seed=self.seed, tolerance=False)
        self._extractor = self._chosen_extractor()
        self._places = Places.spread(clouds, self.class_frame.places, chosen, seed=self.seed)
        rng = np.random.default_rng(self.seed)
        variation = normal_variation(clouds)
        described: list[FeatureMaps] = []
        sides = _evenly(chosen.views, chosen.replicas * len(clouds))
        with progress.task("Describing training scans", len(clouds) * (1 + chosen.replicas)) as task:
            for cloud in clouds:
                simulated = [simulated_scan(PointCloud(cloud), variation, rng).points for _ in range(chosen.replicas)]
                for points in (cloud, *(_one_side(points, rng) if next(sides) else points for points in simulated)):
                    described += self._training_maps(points, rng)
                    task.advance()
        return type(described[0]).joined(described)

    def _training_maps(self, points: NDArray[np.float64], rng: np.random.Generator) -> list[FeatureMaps]:
        """The maps that are learned from a good scan in the frame, (N, 3)."""
        del rng
        return [self._places.describe(self._without_variation(points), self._extractor)]

    def _without_variation(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """A scan in the frame without its smooth variation, where that is taken out, (N, 3) -> (N, 3)."""
        if self._good_surface is None:
            return points
        return self._good_surface.compare(torch.from_numpy(points).float()).shaped.double().numpy()

    def train_together(
        self,
        parts: Sequence[FeatureSpace],
        maps: Sequence[FeatureMaps],
        *,
        progress: Progress,
        workdir: Path | None,
        resume: bool,
    ) -> None:
        """Train one set of networks on the maps of all parts, and give it to each of them.

        Args:
            parts: detectors of this kind and of these settings, this one among them.
            maps: what `describe_training` of each of them returned.
            progress: where to report.
            workdir: folder for checkpoints and logs, or None.
            resume: continue from the checkpoints in `workdir`.
        """
        trained_on = [[*one.features.shape, float(one.features.double().sum())] for one in maps]
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
        method = self.method(self.settings, maps[0].features.shape[-1], seed=self.seed)
        scalings = [Scaling.of(one, method.spread, residuals=method.uses_residuals) for one in maps]
        scaled = [one.scaled(scaling) for one, scaling in zip(maps, scalings, strict=True)]
        part_states = method.learn(scaled, run)
        method.networks.cpu().eval()
        for part, own, scaling, part_state in zip(parts, maps, scalings, part_states, strict=True):
            part._scaling, part._learned = scaling, method
            part._part_state = {**part_state, "around": own.mean(own.around)}

    def fits(self, placed: PlacedScan) -> bool:
        """Whether most of a scan in the frame of this part lies on it."""
        return self.class_frame.aligner.fits(placed.alignment, Frame.of(placed.points).scale)

    def likeness(self, placed: PlacedScan) -> float:
        """How similar a scan in the frame of this part is to the part, -1 to 1 (CRAS Eq. 2).

        The maps that are compared say where the scan lies at every place. The features need not tell parts apart:
        heights over the part's own surface are nearly zero, and zero has no direction.
        """
        view = self._places.view(placed.points)
        return map_similarity(view.around, self._part_state["around"], view.shown)

    def _chosen_extractor(self) -> Extractor:
        if self._given_extractor is not None:
            return self._given_extractor
        chosen = self.settings.features
        if chosen.down_net is not None and chosen.extractor == "down_net":
            if self._embeddings is None:
                self._embeddings = PatchEmbeddings.of_file(chosen.down_net)
            return self._embeddings
        if chosen.extractor == "deviations":
            good = self._good_surface
            return Deviations(chosen, TangentPlanes(self.class_frame.places.points) if good is None else good.planes)
        return Heights(chosen) if chosen.extractor == "heights" else Descriptors(chosen)

    def _channels(self) -> int | None:
        """Channels of a feature; None with an extractor of the caller's own."""
        if self._given_extractor is not None:
            return None
        chosen = self.settings.features
        made = {
            "deviations": 2 * len(chosen.heights),
            "heights": len(chosen.heights),
            "fpfh": FPFH_SIZE * len(chosen.neighbors),
            "down_net": 0 if self._embeddings is None else self._embeddings.channels,
        }
        return made[chosen.extractor] + OPENINGS * chosen.openings

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        maps = self.describe_training(clouds, progress=progress)
        self.train_together([self], [maps], progress=progress, workdir=workdir, resume=resume)

    def _judge(self, scan: PlacedScan) -> FrameScores:
        start = time.perf_counter()
        places = self._places
        view = places.view(self._without_variation(scan.points))
        features = self._scaling(places.features(view, self._extractor))
        known = time.perf_counter()
        with torch.inference_mode():
            values = self._learned.values(features, places.positions, self._part_state)
        require_finite(f"This {self.name} model", values.numpy())
        smoothing = self.settings.features.smoothing
        scores = at_points(values, places.positions, places.around, view, scan.search, smoothing=smoothing)
        timings = {"features": known - start, "scoring": time.perf_counter() - known}
        return FrameScores(scores.numpy(), float(scores.max()), scan.distances.numpy(), None, timings=timings)

    def own_tensors(self) -> dict[str, Tensor]:
        """The tensors of this part alone."""
        places = {f"places.{name}": value for name, value in self._places.tensors().items()}
        scaling = {"scaling.mean": self._scaling.mean, "scaling.spread": self._scaling.spread}
        good = (
            {}
            if self._good_surface is None
            else {f"good.{name}": value for name, value in self._good_surface.tensors().items()}
        )
        return places | scaling | good | {f"kept.{name}": value for name, value in self._part_state.items()}

    def shared_tensors(self) -> dict[str, Tensor]:
        """The tensors that all parts share."""
        made = {} if self._embeddings is None else self._embeddings.tensors()
        embeddings = {f"embeddings.{name}": value for name, value in made.items()}
        return embeddings | {f"networks.{name}": value for name, value in self._learned.networks.state_dict().items()}

    def _tensors(self) -> dict[str, Tensor]:
        return self.own_tensors() | self.shared_tensors()

    def _metadata(self) -> dict[str, Any]:
        embeddings = None if self._embeddings is None else self._embeddings.metadata()
        return {
            "cell": self._places.cell,
            "own_extractor": self._given_extractor is None,
            "embeddings": embeddings,
            "good": None if self._good_surface is None else self._good_surface.metadata(),
        }

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        if not metadata["own_extractor"] and self._given_extractor is None:
            raise MissingPart("its extractor, which is no part of the file; give it to load_model(extractor=...)")
        if metadata["embeddings"] is not None:
            self._embeddings = PatchEmbeddings.restore(metadata["embeddings"], under("embeddings", tensors))
        if metadata["good"] is not None:
            good = under("good", tensors)
            self._good_surface = GoodSurface.restore(metadata["good"], good, self.settings.warp, seed=self.seed)
        self._extractor = self._chosen_extractor()
        cell, features = stored.length(metadata["cell"], "cell"), self.settings.features
        places = under("places", tensors)
        self._places = Places.restore(places, self.class_frame.places, cell, features, seed=self.seed)
        # Copies lie in memory as they did after training; sums over what a file holds can round otherwise.
        self._part_state = {name: value.clone() for name, value in under("kept", tensors).items()}
        scaling = Scaling.restore(under("scaling", tensors), len(self._places.positions), self._channels())
        self._learned = self.method.restored(
            self.settings, scaling.mean.shape[-1], under("networks", tensors), seed=self.seed
        )
        self._scaling = replace(scaling, target=self._learned.spread)
        self._learned.require_part_state(self._part_state, scaling.mean.shape[-1])
        stored.tensor(self._part_state, "around", len(self._places.positions), 3)


def _evenly(share: float, count: int) -> Iterator[bool]:
    """`count` flags, of which a share is true, as evenly spread as possible."""
    return (int((number + 1) * share) > int(number * share) for number in range(count))


def _one_side(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """What is visible of a scan from some direction, (N, 3) -> (n, 3)."""
    direction = rng.normal(size=3)
    return points[visible(points, direction / np.linalg.norm(direction))]
