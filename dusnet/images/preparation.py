"""From image files to what a network sees: resized, cropped around the middle, and normalised as ImageNet's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.config import ImageSettings
from dusnet.errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def read_image(path: Path, settings: ImageSettings) -> NDArray[np.uint8]:
    """An image file as the network's crop of it, (S, S, 3).

    Raises:
        BadInput: the file is no image that can be read.
    """
    from PIL import Image

    return np.asarray(_cropped(_opened(path, "RGB"), settings, Image.Resampling.BILINEAR), dtype=np.uint8)


def read_mask(path: Path, settings: ImageSettings) -> NDArray[np.bool_]:
    """The same crop of a mask, True on the defect, (S, S).

    Raises:
        BadInput: the file is no image that can be read.
    """
    from PIL import Image

    return np.asarray(_cropped(_opened(path, "L"), settings, Image.Resampling.NEAREST)) > 0


def normalised(image: NDArray[np.uint8]) -> Tensor:
    """(S, S, 3) -> (3, S, S) float32."""
    values = torch.from_numpy(image.astype(np.float32) / 255.0)
    return ((values - torch.tensor(MEAN)) / torch.tensor(STD)).permute(2, 0, 1)


def _opened(path: Path, mode: str) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            return file.convert(mode)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise BadInput(f"{path} is no image that can be read ({error}); replace it or leave it out.") from error


def _cropped(image: Image, settings: ImageSettings, how: int) -> Image:
    """The middle of an image whose shorter side is made `resize` long."""
    from PIL.Image import Resampling

    ratio = settings.resize / min(image.size)
    size = (max(settings.resize, round(image.width * ratio)), max(settings.resize, round(image.height * ratio)))
    resized = image.resize(size, Resampling(how))
    left, top = (size[0] - settings.crop) // 2, (size[1] - settings.crop) // 2
    return resized.crop((left, top, left + settings.crop, top + settings.crop))
