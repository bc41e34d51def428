"""From image files to what a network sees: resized, cropped around the middle, and normalised as ImageNet's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.detectors.feature_space.settings import ImageSettings
from dusnet.errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_SIXTEEN_BITS = 65535


def read_image(path: Path, settings: ImageSettings) -> NDArray[np.uint8]:
    """An image file as the network's crop of it, (S, S, 3).

    Raises:
        BadInput: the file is no image that can be read.
    """
    from PIL import Image

    return np.asarray(_cropped(_opened(path, _colors), settings, Image.Resampling.BILINEAR), dtype=np.uint8)


def read_mask(path: Path, settings: ImageSettings) -> NDArray[np.bool_]:
    """The same crop of a mask, True where it is not black, (S, S).

    Raises:
        BadInput: the file is no image that can be read.
    """
    from PIL import Image

    return np.asarray(_cropped(_opened(path, _anything), settings, Image.Resampling.NEAREST)) > 0


def require_image(path: Path, *, like: Path | None = None) -> None:
    """Refuse a file that is no whole image, without decoding it.

    Args:
        path: the file.
        like: an image that must be of the same size.

    Raises:
        BadInput: it is none, or of another size.
    """
    from PIL import Image

    with _readable(path), Image.open(path) as file:
        size = file.size
        file.verify()
    if like is not None:
        with _readable(like), Image.open(like) as other:
            wanted = other.size
        if size != wanted:
            raise BadInput(
                f"{path} has {size[0]} x {size[1]} pixels but {like} has {wanted[0]} x {wanted[1]}; a mask must be of "
                "the size of its image."
            )


def normalised(image: NDArray[np.uint8]) -> Tensor:
    """(S, S, 3) -> (3, S, S) float32."""
    values = torch.from_numpy(image.astype(np.float32) / 255.0)
    return ((values - torch.tensor(MEAN)) / torch.tensor(STD)).permute(2, 0, 1)


def _opened(path: Path, convert: Callable[[Image], Image]) -> Image:
    from PIL import Image

    with _readable(path), Image.open(path) as file:
        return convert(file)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise BadInput(f"{path} is no image that can be read ({error}); replace it or leave it out.") from error


def _colors(image: Image) -> Image:
    """Eight bits for each of three colours; Pillow itself would cut off what sixteen bits hold beyond 255."""
    from PIL import Image as images

    if image.mode == "F":
        raise ValueError("floating-point pixels have no range")
    if not image.mode.startswith("I"):
        return image.convert("RGB")
    values = np.asarray(image).astype(np.float64)
    if values.min() < 0 or values.max() > _SIXTEEN_BITS:
        raise ValueError("pixels beyond 16 bits")
    return images.fromarray(np.rint(values / _SIXTEEN_BITS * 255).astype(np.uint8)).convert("RGB")


def _anything(image: Image) -> Image:
    """White where any channel but opacity is not black."""
    from PIL import Image as images

    plain = image.convert("RGB") if image.mode in ("P", "PA", "RGBA", "LA", "CMYK") else image
    values = np.asarray(plain) != 0
    marked = values.any(axis=-1) if values.ndim == 3 else values
    return images.fromarray(np.where(marked, 255, 0).astype(np.uint8))


def _cropped(image: Image, settings: ImageSettings, how: int) -> Image:
    """The middle of an image whose shorter side is made `resize` long."""
    from PIL.Image import Resampling

    ratio = settings.resize / min(image.size)
    size = (max(settings.resize, round(image.width * ratio)), max(settings.resize, round(image.height * ratio)))
    resized = image.resize(size, Resampling(how))
    left, top = (size[0] - settings.crop) // 2, (size[1] - settings.crop) // 2
    return resized.crop((left, top, left + settings.crop, top + settings.crop))
