"""Folders of images that are laid out as MVTec AD: `CLASS/train/good`, `CLASS/test/KIND`, `CLASS/ground_truth/KIND`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dusnet.data import Dataset
from dusnet.data.sample import GOOD, Sample
from dusnet.detectors.feature_space.settings import ImageSettings
from dusnet.errors import BadInput
from dusnet.images.preparation import read_image, read_mask
from dusnet.io import natural_key
from dusnet.io.marks import FileKind, kind_of

LAYOUT = "mvtec_ad"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Picture:
    """What a network sees of an image.

    Attributes:
        path: the file.
        class_name: the class that it belongs to.
        pixels: the crop, (S, S, 3).
        labels: which pixels are defective, row by row, (S * S,), or None where there is no mask.
    """

    path: Path
    class_name: str
    pixels: NDArray[np.uint8]
    labels: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.pixels) * len(self.pixels)

    @property
    def name(self) -> str:
        """The file as messages show it."""
        return str(self.path)


@dataclass(frozen=True)
class ImageSample(Sample):
    """An image of a dataset; `ground_truth` is an image of the same size that is not black where the defect is.

    Attributes:
        settings: which part of an image is looked at.
    """

    settings: ImageSettings = field(default_factory=ImageSettings)

    def load(self) -> Picture:  # type: ignore[override]
        """Read the image and its mask; good ones have no defective pixel.

        Raises:
            BadInput: a file is no image that can be read.
        """
        pixels = read_image(self.path, self.settings)
        labels = np.zeros(pixels.shape[:2], dtype=bool) if not self.anomalous else None
        if self.ground_truth is not None:
            labels = read_mask(self.ground_truth, self.settings)
        return Picture(self.path, self.class_name, pixels, None if labels is None else labels.ravel())


def open_images(root: Path, settings: ImageSettings | None = None) -> Dataset:
    """The classes of a folder; no image is read. Its samples are `ImageSample`.

    Args:
        root: the folder.
        settings: which part of the images is looked at when a sample is loaded; None is the published protocol.

    Raises:
        BadInput: it has no class.
    """
    if not root.is_dir():
        raise BadInput(f"{root} is no folder; give one that has CLASS/train/good with images.")
    folders = {one.name: one for one in sorted(root.iterdir()) if (one / "train" / GOOD).is_dir()}
    folders = {name: folder for name, folder in folders.items() if not name.startswith(".")}
    if not folders:
        raise BadInput(f"{root} has no class: no folder in it has train/good; lay it out as MVTec AD.")
    own = ImageSettings() if settings is None else settings
    return Dataset(root.resolve().name, root, LAYOUT, folders, partial(_train, own), partial(_test, own))


def _train(settings: ImageSettings, name: str, folder: Path) -> list[Sample]:
    good = folder / "train" / GOOD
    found: list[Sample] = [ImageSample(path, name, "train", GOOD, settings=settings) for path in _images(good)]
    if not found:
        raise BadInput(f"{good} has no image ({', '.join(SUFFIXES)}); put good ones there.")
    return found


def _test(settings: ImageSettings, name: str, folder: Path) -> list[Sample]:
    tests, masks = folder / "test", folder / "ground_truth"
    kinds = [one.name for one in (tests.iterdir() if tests.is_dir() else ()) if one.is_dir()]
    found: list[Sample] = [
        ImageSample(path, name, "test", kind, None if kind == GOOD else _mask(masks / kind, path), settings)
        for kind in sorted(kinds, key=lambda kind: (kind != GOOD, kind))
        if not kind.startswith(".")
        for path in _images(tests / kind)
    ]
    if not found:
        raise BadInput(f"{tests} has no image; put test images into {GOOD}/ and a folder for every defect.")
    return found


def _mask(folder: Path, image: Path) -> Path | None:
    named = [folder / f"{image.stem}{end}{suffix}" for end in ("_mask", "") for suffix in SUFFIXES]
    return next((mask for mask in named if mask.is_file()), None)


def _images(folder: Path) -> list[Path]:
    named = [one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES and not one.name.startswith(".")]
    found = [one for one in named if one.is_file() and kind_of(one) is not FileKind.PICTURE]  # no pictures of scores
    return sorted(found, key=natural_key)
