"""A dataset of small images that is laid out as MVTec AD, and a random tiny network to look at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

SIDE = 40
CROP = 32
TINY = (
    "images.resize=40",
    "images.crop=32",
    "images.sigma=1.0",
    "cras.places=64",
    "cras.hidden=32",
    "cras.batch=8",
    "pbas.places=64",
    "pbas.hidden=128",
    "pbas.batch=8",
    "crr.places=64",
    "crr.width=32",
    "crr.heads=2",
    "crr.layers=1",
    "crr.batch=4",
)


class TinyBackbone(nn.Module):
    """Random filters on two levels: 8 x 8 places with 8 channels, 4 x 4 with 12."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Tanh())
            self.second = nn.Sequential(nn.Conv2d(8, 12, 2, stride=2), nn.Tanh())

    def forward(self, images: Tensor) -> list[Tensor]:
        first = self.first(images)
        return [first, self.second(first)]


def picture(rng: np.random.Generator, *, upright: bool) -> NDArray[np.uint8]:
    """Stripes with a little noise, (SIDE, SIDE, 3)."""
    line = 128 + 60 * np.sin(np.arange(SIDE) / 3.0)
    stripes = np.tile(line, (SIDE, 1)) if upright else np.tile(line[:, None], (1, SIDE))
    noisy = stripes[..., None] + rng.normal(0, 3, (SIDE, SIDE, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def write_dataset(root: Path, *, classes: tuple[str, ...] = ("grid", "wood"), train: int = 12, test: int = 4) -> Path:
    """Write one; the defects are bright squares of 10 pixels with a mask each."""
    rng = np.random.default_rng(5)
    for number, name in enumerate(classes):
        for folder, count in (("train/good", train), ("test/good", test), ("test/hole", test)):
            (root / name / folder).mkdir(parents=True)
            for index in range(count):
                image = picture(rng, upright=number == 0)
                if folder == "test/hole":
                    left, top = rng.integers(6, SIDE - 16, size=2)
                    image[top : top + 10, left : left + 10] = (250, 20, 20)
                    mask = np.zeros((SIDE, SIDE), np.uint8)
                    mask[top : top + 10, left : left + 10] = 255
                    truth = root / name / "ground_truth" / "hole"
                    truth.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(mask).save(truth / f"{index:03}_mask.png")
                Image.fromarray(image).save(root / name / folder / f"{index:03}.png")
    return root
