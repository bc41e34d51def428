"""One model for many parts: it finds the part that a scan shows, and scores the scan as that part."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import Self

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.detectors.feature_space.detector import FeatureSpace
from dusnet.detectors.feature_space.places import Extractor
from dusnet.detectors.model_file import StoredModel, provenance_of, restoring, settings_of, write_model
from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput
from dusnet.geometry.clean_scan import CleanScan
from dusnet.io.stored import Unusable, entries, text, whole
from dusnet.io.tensors import under
from dusnet.progress import Progress, Silent
from dusnet.registration.shape_distribution import ShapeDistribution, ShapeViews
from dusnet.training.devices import require_device

RIVAL = 4.0
"""A part is tried when the scan differs from it at most so many times as much as from the likeliest one."""


class ManyParts:
    """Detectors of several parts that share their networks.

    A scan is registered to the few parts whose distances between points are distributed most like its own. Of the parts
    that it lies on, the one whose centre map is most similar to its features scores it (CRAS Eq. 2). The time of a scan
    therefore does not grow with the number of parts; only a scan that lies on none of the few is registered to all.

    Args:
        kind: of the detectors.
        settings: what it computes.
        seed: makes training and scoring repeatable.
        device: `cpu`, `cuda` or `cuda:N`.
        extractor: see `FeatureSpace`.

    Attributes:
        parts: the detector of every part by name, once fitted.
        shape_views: how scans of every part can look.
        settings_sections: the sections of the settings that decide what it computes besides those of its kind.

    Raises:
        BadConfig: this kind cannot learn many parts, or the device is absent.
    """

    settings_sections: ClassVar[frozenset[str]] = frozenset({"parts"})

    def __init__(
        self,
        kind: type[FeatureSpace],
        settings: Settings,
        *,
        seed: int = 0,
        device: str = "cpu",
        extractor: Extractor | None = None,
    ) -> None:
        if not kind.method.for_many:
            raise BadConfig(
                f"{kind.name} learns one part at a time; train a model per part, or choose another detector."
            )
        self._kind, self._extractor = kind, extractor
        self.settings, self.seed, self.device = settings, seed, require_device(device)
        self.parts: dict[str, FeatureSpace] = {}
        self.shape_views: dict[str, ShapeViews] = {}
        self.provenance: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Of the method."""
        return self._kind.name

    def fit(
        self,
        parts: Mapping[str, Sequence[PointCloud]],
        *,
        progress: Progress | None = None,
        workdir: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Learn from defect-free clouds of several parts.

        Args:
            parts: the clouds of every part by its name, all in one unit.
            progress: where to report, None for nowhere.
            workdir: folder for checkpoints and logs, or None to keep nothing.
            resume: continue from the checkpoints in `workdir`.

        Raises:
            BadInput: there is no part, or a cloud cannot be used.
        """
        if not parts:
            raise BadInput("There is no part to learn; give defect-free scans of at least one.")
        progress = progress or Silent()
        made = {name: self._new_part() for name in parts}
        maps = []
        for name, clouds in parts.items():
            progress.log(f"{name}: {len(clouds)} scans")
            in_frame = made[name].locate(clouds, progress=progress)
            maps.append(made[name].describe_training(in_frame, progress=progress))
        detectors = list(made.values())
        detectors[0].train_together(detectors, maps, progress=progress, workdir=workdir, resume=resume)
        self.parts, self.provenance = made, {}
        self.shape_views = {name: ShapeViews.of(part.class_frame.reference) for name, part in made.items()}

    def score(self, cloud: PointCloud, *, explain: bool = True, progress: Progress | None = None) -> Scores:
        """Score one scan of any of the parts; see `Scorer.score`.

        `Scores.part` is the part that it was taken for, `Scores.likeness` the similarity to each that was compared.
        """
        del progress
        start = time.perf_counter()
        clean = CleanScan.of(cloud)
        cloud = clean.cloud
        placed: dict[str, PlacedScan] = {}
        fitting: list[str] = []
        for names in self.candidates(cloud):
            placed |= {name: self.parts[name].place(cloud) for name in names}
            fitting = [name for name, one in placed.items() if self.parts[name].fits(one)]
            if fitting:
                break
        # The map of a misaligned scan covers the few places that it happens to show: those can be very similar.
        likeness = {name: self.parts[name].likeness(placed[name]) for name in fitting or placed}
        best = max(likeness, key=likeness.__getitem__)
        known = time.perf_counter()
        scores = self.parts[best].score_placed(placed[best], explain=explain)
        timings = scores.timings | {"part": known - start, "total": time.perf_counter() - start}
        return replace(scores, part=best, likeness=likeness, timings=timings).for_scan(clean)

    def candidates(self, cloud: PointCloud) -> tuple[list[str], list[str]]:
        """The few parts that a scan may show, likeliest first, and all others.

        A part is the likelier the less the distances between its points and those between the points of the scan differ
        in their distribution.
        """
        if not self.parts:
            raise RuntimeError(f"this {self.name} has not been fitted; call fit() or load a model first")
        scan = ShapeDistribution.of(cloud.points)
        difference = {name: one.difference(scan) for name, one in self.shape_views.items()}
        ordered = sorted(difference, key=difference.__getitem__)
        alike = [name for name in ordered if difference[name] <= RIVAL * difference[ordered[0]]]
        few = min(len(alike), self.settings.parts.candidates)
        return ordered[:few], ordered[few:]

    def add_provenance(self, facts: Mapping[str, Any]) -> None:
        """Add to what the model file says of where the model comes from; anything JSON can hold."""
        self.provenance |= facts

    @property
    def detectors(self) -> tuple[FeatureSpace, ...]:
        """The detector of every part that it knows."""
        return tuple(self.parts.values())

    def detector_for(self, scores: Scores) -> FeatureSpace:
        """The detector of the part that a scan was taken for."""
        if scores.part is None:
            raise ValueError("these scores do not say which part they are of")
        return self.parts[scores.part]

    def save(self, path: Path) -> None:
        """Write one `.safetensors` file, atomically."""
        shared = next(iter(self.parts.values())).shared_tensors()
        tensors, parts = {f"shared.{name}": value for name, value in shared.items()}, []
        for number, (name, part) in enumerate(self.parts.items()):
            frame = {f"class_frame.{key}": value for key, value in part.class_frame.tensors().items()}
            own = {f"learned.{key}": value for key, value in part.own_tensors().items()}
            looks = {f"looks.{key}": value for key, value in self.shape_views[name].tensors().items()}
            tensors |= {f"parts.{number}.{key}": value for key, value in (frame | own | looks).items()}
            parts.append({"name": name, **part.metadata()})
        metadata = {
            "settings": self.settings.model_dump(mode="json"),
            "seed": self.seed,
            "parts": parts,
            "provenance": self.provenance,
        }
        write_model(path, self.name, tensors, metadata)

    @classmethod
    def from_stored(
        cls,
        kind: type[FeatureSpace],
        stored: StoredModel,
        *,
        device: str = "cpu",
        extractor: Extractor | None = None,
    ) -> Self:
        """The model that `save` wrote.

        Raises:
            BadModel: something that it needs is not in the file.
        """
        metadata = stored.metadata
        with restoring(stored, f"{kind.name} model"):
            settings = settings_of(stored)
            seed = whole(metadata["seed"], "seed")
            model = cls(kind, settings, seed=seed, device=device, extractor=extractor)
            shared = {f"learned.{name}": value for name, value in under("shared", stored.tensors).items()}
            parts = entries(metadata["parts"], "list of parts")
            names = [text(entry["name"], "name of a part") for entry in parts]
            if not names or len(set(names)) < len(names):
                raise Unusable("it names no part, or one of them twice")
            for number, (name, entry) in enumerate(zip(names, parts, strict=True)):
                part = model._new_part()
                own = under(f"parts.{number}", stored.tensors)
                part.restore(entry, own | shared)
                model.parts[name] = part
                model.shape_views[name] = ShapeViews.restore(under("looks", own))
            model.provenance = provenance_of(metadata["provenance"])
        return model

    def _new_part(self) -> FeatureSpace:
        return self._kind(self.settings, seed=self.seed, device=str(self.device), extractor=self._extractor)
