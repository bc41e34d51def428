"""A method in feature space on images: one model for one class of images, or for many."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import Self

from dusnet.detectors.feature_space.center_maps import map_similarity
from dusnet.detectors.feature_space.cras.detector import CRASMethod
from dusnet.detectors.feature_space.crr.detector import CRRMethod
from dusnet.detectors.feature_space.feature_maps import DamagedMaps, FeatureMaps, Scaling
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.pbas.detector import PBASMethod
from dusnet.detectors.model_file import IMAGES, read_model, restoring, settings_of, write_model
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput, BadModel
from dusnet.images.backbone import Backbone, patch_features, wide_resnet50
from dusnet.images.dataset import ImageSample, Picture
from dusnet.images.preparation import normalised, read_image
from dusnet.images.pseudo_defects import pseudo_defect
from dusnet.io.stored import Unusable, entries, tensor, text, whole
from dusnet.io.tensors import under
from dusnet.nn.finite import require_finite
from dusnet.progress import Progress, Silent
from dusnet.training.devices import require_device
from dusnet.training.loop import Run, fingerprint

METHODS: dict[str, type[FeatureMethod]] = {one.name: one for one in (CRASMethod, PBASMethod, CRRMethod)}
HALF = 0.5
"""Share of the pixels of a place that a defect covers where the place is wrong."""


Image = Path | ImageSample | Picture | NDArray[np.uint8]
"""A file, a sample of a dataset, or what was read of one; an array is the crop itself, (S, S, 3)."""


@dataclass(frozen=True)
class ImageScores:
    """Scores of one image.

    Attributes:
        pixels: anomaly score of every pixel of the crop, (S, S) float32; higher is more anomalous.
        object_score: the highest of them.
        part: the class that it was taken for.
        likeness: similarity to every class that the model knows, -1 to 1, by name.
        threshold: there is none.
    """

    pixels: NDArray[np.float32]
    object_score: float
    part: str
    likeness: dict[str, float]
    threshold: None = None

    @property
    def point_scores(self) -> NDArray[np.float32]:
        """The scores of the pixels row by row, (S * S,)."""
        return self.pixels.ravel()


@dataclass(frozen=True)
class _Learned:
    """What is of one class alone.

    Attributes:
        scaling: of its features.
        kept: its centre map, and what the method needs besides.
    """

    scaling: Scaling
    kept: dict[str, Tensor]


class ImageDetector:
    """CRAS, PBAS or CRR on the feature maps of a frozen image network.

    Args:
        method: a key of `METHODS`.
        settings: what it computes; `images` is the published protocol.
        backbone: makes the feature maps; None is WideResNet50 of torchvision.
        seed: makes training and scoring repeatable.
        device: where it computes, `cpu`, `cuda` or `cuda:N`; trained networks score on the CPU.

    Raises:
        BadConfig: there is no such method, or the device is absent.
        MissingDependency: torchvision is not installed and no backbone is given.
    """

    def __init__(
        self,
        method: str,
        settings: Settings,
        *,
        backbone: Backbone | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if method not in METHODS:
            raise BadConfig(f"There is no image form of {method!r}; choose one of {', '.join(METHODS)}.")
        self._kind = METHODS[method]
        self.settings, self.seed, self.device = settings, seed, require_device(device)
        self.backbone = wide_resnet50(settings.images.weights) if backbone is None else backbone
        if isinstance(self.backbone, nn.Module):
            self.backbone.to(self.device).eval()
        self._method: FeatureMethod
        self._positions: Tensor
        self._parts: dict[str, _Learned] = {}

    @property
    def name(self) -> str:
        """Of the method."""
        return self._kind.name

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the classes that it knows."""
        return tuple(self._parts)

    @property
    def computes(self) -> tuple[Settings, int]:
        """Settings and seed, without where the weights of the backbone lie, which is of this machine alone."""
        images = self.settings.images.model_copy(update={"weights": None})
        return self.settings.model_copy(update={"images": images}), self.seed

    def fit(
        self,
        parts: Mapping[str, Sequence[Image]],
        *,
        progress: Progress | None = None,
        workdir: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Learn from good images of one class or of many.

        Args:
            parts: images of every class by its name.
            progress: where to report, None for nowhere.
            workdir: folder for checkpoints and logs, or None to keep nothing.
            resume: continue from the checkpoints in `workdir`.

        Raises:
            BadConfig: there are many classes and the method learns one at a time.
            BadInput: an image cannot be used, or there is none.
        """
        if len(parts) > 1 and not self._kind.for_many:
            raise BadConfig(f"{self.name} learns one class at a time; train a model per class.")
        if not all(parts.values()) or not parts:
            raise BadInput("There is nothing to learn from; give good images of at least one class.")
        progress = progress or Silent()
        with tempfile.TemporaryDirectory(prefix="dusnet-features-") as room:
            features = [
                self._features(name, images, Path(room) / str(number), progress)
                for number, (name, images) in enumerate(parts.items())
            ]
            sums = [[*one.features.shape, *(float(map_.double().sum()) for map_ in one.features)] for one in features]
            run = Run(
                device=str(self.device),
                precision=self.settings.training.precision,
                seed=self.seed,
                fingerprint=fingerprint(IMAGES + self.name, self.settings.model_dump(mode="json"), self.seed, sums),
                workdir=workdir,
                resume=resume,
                checkpoint_every=self.settings.training.checkpoint_every,
                progress=progress,
            )
            method = self._kind(self.settings, features[0].features.shape[-1], seed=self.seed)
            scalings = [_scaled(one, method) for one in features]
            learned = method.learn(features, run)
            method.networks.cpu().eval()
            self._method, self._positions = method, features[0].positions
            self._parts = {
                name: _Learned(scaling, {**own, "center": one.mean(one.normal)})
                for name, scaling, own, one in zip(parts, scalings, learned, features, strict=True)
            }

    def score(self, image: Image) -> ImageScores:
        """Score one image.

        Raises:
            BadInput: the file is no image that can be read.
            BadModel: a score is not finite.
        """
        features, shape = self._described(normalised(self._crop(image))[None])
        seen = torch.ones(features.shape[1], dtype=torch.bool)
        maps = {name: one.scaling(features[0]) for name, one in self._parts.items()}
        likeness = {name: map_similarity(maps[name], one.kept["center"], seen) for name, one in self._parts.items()}
        best = max(likeness, key=likeness.__getitem__)
        with torch.inference_mode():
            values = self._method.values(maps[best], self._positions, self._parts[best].kept)
        require_finite(f"This {self.name} model", values.numpy())
        pixels = self._smoothed(values.view(1, 1, *shape))
        return ImageScores(pixels, float(pixels.max()), best, likeness)

    def save(self, path: Path) -> None:
        """Write one `.safetensors` file, atomically; the backbone is not in it."""
        tensors = {f"networks.{name}": value for name, value in self._method.networks.state_dict().items()}
        tensors |= {"positions": self._positions, "probe": self._probe()}
        for number, one in enumerate(self._parts.values()):
            scaling = {"scaling.mean": one.scaling.mean, "scaling.spread": one.scaling.spread}
            own = scaling | {f"kept.{name}": value for name, value in one.kept.items()}
            tensors |= {f"parts.{number}.{name}": value for name, value in own.items()}
        settings, seed = self.computes
        metadata = {
            "settings": settings.model_dump(mode="json"),
            "seed": seed,
            "classes": list(self._parts),
        }
        write_model(path, IMAGES + self.name, tensors, metadata)

    @classmethod
    def load(cls, path: Path, *, backbone: Backbone | None = None, device: str = "cpu") -> Self:
        """The detector that `save` wrote.

        Args:
            path: the file.
            backbone: that of the training; None is WideResNet50 with the weights that torchvision downloads.
            device: where it computes.

        Raises:
            BadModel: the file is missing, damaged, of scans and not of images, or of another backbone.
        """
        stored = read_model(path)
        metadata, kind = stored.metadata, stored.metadata["detector"]
        if not kind.startswith(IMAGES):
            raise BadModel(f"{path} is a model for scans, not for images; give a model that `dusnet images` wrote.")
        if kind.removeprefix(IMAGES) not in METHODS:
            raise BadModel(f"{path} holds a model of the unknown detector {kind[:40]!r}; update dusnet or train again.")
        with restoring(stored, f"{kind} model"):
            settings = settings_of(stored)
            seed = whole(metadata["seed"], "seed")
            detector = cls(kind.removeprefix(IMAGES), settings, backbone=backbone, seed=seed, device=device)
            channels = len(tensor(stored.tensors, "probe", None))
            method = detector._kind.restored(settings, channels, under("networks", stored.tensors), seed=seed)
            detector._method, detector._positions = method, tensor(stored.tensors, "positions", None, 3)
            places = len(detector._positions)
            for number, name in enumerate(entries(metadata["classes"], "list of classes")):
                own = under(f"parts.{number}", stored.tensors)
                scaling = Scaling.restore(under("scaling", own), places, channels)
                kept = under("kept", own)
                method.require_part_state(kept, channels)
                tensor(kept, "center", places, channels)
                target = method.spread if method.scales_image_features else 1.0
                detector._parts[text(name, "name of a class")] = _Learned(replace(scaling, target=target), kept)
            if not detector._parts:
                raise Unusable("it knows no class")
            probe, now = stored.tensors["probe"], detector._probe()
        if probe.shape != now.shape or not torch.allclose(probe, now, rtol=1e-2, atol=1e-3):
            raise BadModel(f"{path} was trained with another backbone; give that one.")
        return detector

    def _crop(self, image: Image) -> NDArray[np.uint8]:
        if isinstance(image, Picture):
            return image.pixels
        if isinstance(image, np.ndarray):
            return image
        return read_image(image if isinstance(image, Path) else image.path, self.settings.images)

    def _features(self, name: str, good: Sequence[Image], room: Path, progress: Progress) -> FeatureMaps:
        """The feature maps of good images, and of damaged ones where the method learns from these."""
        rng = np.random.default_rng(self.seed)
        copies = self.settings.crr.damaged if self._kind.uses_damaged else 0
        images = [self._crop(image) for image in good]
        features, clean, wrong = None, None, []
        count = len(images) * (1 + copies)
        positions = torch.empty(0)
        with progress.task(f"Describing {name}", count) as task:
            for row, (image, mask, source) in enumerate(_with_damaged_copies(images, copies, rng)):
                described, shape = self._described(normalised(image)[None])
                if features is None:
                    features = _room_for((count, *described.shape[1:]), room.with_suffix(".features"))
                    clean = _room_for((count, *described.shape[1:]), room.with_suffix(".clean")) if copies else None
                    positions = _grid(shape)
                features[row] = described[0]
                if clean is not None:
                    # Damaged copies follow the good image that they were made of.
                    clean[row] = described[0] if source == row else features[source]
                covered = functional.interpolate(torch.from_numpy(mask).float()[None, None], shape, mode="area")
                wrong.append(covered.flatten() >= HALF)
                task.advance()
        assert features is not None
        seen = torch.ones(features.shape[:2], dtype=torch.bool)
        found = FeatureMaps(features, features[..., :0], positions, seen)
        return found if clean is None else DamagedMaps(**vars(found), clean=clean, wrong=torch.stack(wrong))

    @torch.inference_mode()
    def _described(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Features of some images, (B, 3, S, S) -> (B, G, C), and rows and columns of their places."""
        made = self.backbone(images.to(self.device))
        if isinstance(made, Tensor) or not made or any(one.ndim != 4 or len(one) != len(images) for one in made):
            raise BadConfig("The backbone must return a list of maps (B, C, h, w), one per level, the finest first.")
        levels = [level.float().cpu() for level in made]
        rows, columns = levels[0].shape[-2:]
        return patch_features(levels, self.settings.images.neighborhood).clone(), (rows, columns)

    def _smoothed(self, values: Tensor) -> NDArray[np.float32]:
        """Values of places as values of pixels, (1, 1, h, w) -> (S, S)."""
        from scipy.ndimage import gaussian_filter

        size = self.settings.images.crop
        pixels = functional.interpolate(values, (size, size), mode="bilinear", align_corners=False)[0, 0].numpy()
        return gaussian_filter(pixels, self.settings.images.sigma).astype(np.float32)

    def _probe(self) -> Tensor:
        """Features of a fixed image, by which a model file identifies its backbone, (C,)."""
        size = self.settings.images.crop
        image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
        described, _ = self._described(image)
        return described.mean(dim=(0, 1))


def _with_damaged_copies(
    images: Sequence[NDArray[np.uint8]], copies: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_], int]]:
    """Every image, and damaged copies of it: the picture, where it is damaged, and the number of the good one."""
    number = 0
    for image in images:
        good = number
        yield image, np.zeros(image.shape[:2], dtype=bool), good
        for _ in range(copies):
            number += 1
            yield *pseudo_defect(image, images[int(rng.integers(len(images)))], rng), good
        number += 1


def _scaled(found: FeatureMaps, method: FeatureMethod) -> Scaling:
    """Bring the features to one spread where the method wants it, in place: they may be larger than memory."""
    if not method.scales_image_features:
        return Scaling.none(found.features.shape[-1])
    scaling = Scaling.of_channels(found, method.spread)
    for maps in (found.features, *([found.clean] if isinstance(found, DamagedMaps) else [])):
        for one in maps:
            one.copy_(scaling(one))
    return scaling


def _room_for(shape: tuple[int, ...], path: Path) -> Tensor:
    """A float32 tensor in a file: maps of thousands of images are larger than memory."""
    size = 4 * math.prod(shape)
    try:
        with path.open("wb") as file:
            # A file with holes would end the process as soon as one of them found no room.
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise BadInput(
            f"There is no room for {size / 1e9:.1f} GB of features in {path.parent.parent}; let TMPDIR name a folder "
            "that has, or take fewer images."
        ) from error
    return torch.from_numpy(np.memmap(path, dtype=np.float32, mode="r+", shape=shape))


def _grid(shape: tuple[int, int]) -> Tensor:
    """Places of a grid in a square from -1 to 1, row by row, (G, 3) with z = 0."""
    rows, columns = ((2 * torch.arange(count) + 1) / count - 1 for count in shape)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), torch.zeros(x.numel())], dim=1)
