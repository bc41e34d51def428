"""The frozen network that turns images into feature maps: any callable, or WideResNet50 of torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from dusnet.errors import BadModel, MissingDependency


class Backbone(Protocol):
    """Anything that makes feature maps of images; it learns nothing here."""

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        """Feature maps of several levels.

        Args:
            images: (B, 3, S, S) float32, normalised as ImageNet's.

        Returns:
            (B, C_i, h_i, w_i) for every level, the finest first. The same input must give the same maps.
        """


class ResidualLevels(nn.Module):
    """Levels 2 and 3 of a residual network as torchvision builds it.

    Args:
        network: with the parts `conv1`, `bn1`, `relu`, `maxpool` and `layer1` to `layer3`.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool, network.layer1)
        self.second, self.third = network.layer2, network.layer3

    def forward(self, images: Tensor) -> list[Tensor]:
        """See `Backbone`."""
        second = self.second(self.stem(images))
        return [second, self.third(second)]


def wide_resnet50(weights: Path | None = None) -> ResidualLevels:
    """WideResNet50-2, levels 2 and 3, as the papers use it.

    Args:
        weights: a file of its weights by torchvision's names, `.safetensors` or what `torch.save` wrote (read without
            running code); None for those of ImageNet, which torchvision downloads once.

    Raises:
        MissingDependency: torchvision is not installed, or was built for another torch.
        BadModel: the weights cannot be had, or are of another network.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingDependency(
            "The image form needs torchvision; install it with `pip install dusnet[image]`, or give a backbone of your "
            "own in Python."
        ) from error
    except RuntimeError as error:  # its operators are not found in this torch
        raise MissingDependency(
            f"The installed torchvision does not fit torch {torch.__version__} ({str(error).splitlines()[0]}); install "
            "the two together, or give a backbone of your own in Python."
        ) from error
    if weights is None:
        try:
            return ResidualLevels(models.wide_resnet50_2(weights="IMAGENET1K_V1"))
        except OSError as error:
            raise BadModel(
                f"The weights of WideResNet50 cannot be downloaded ({error}); give a file with "
                "--set images.weights=FILE."
            ) from error
    network = models.wide_resnet50_2(weights=None)
    try:
        network.load_state_dict(_stored(weights))
    except RuntimeError as error:
        raise BadModel(f"{weights} holds no weights of WideResNet50; give those of torchvision.") from error
    return ResidualLevels(network)


def patch_features(levels: Sequence[Tensor], neighborhood: int) -> Tensor:
    """One feature per place of the finest level: every level averaged over p x p places, resized, and concatenated.

    Args:
        levels: (B, C_i, h_i, w_i), the finest first.
        neighborhood: p, odd.

    Returns:
        (B, h_0 * w_0, sum of C_i), row by row.
    """
    size = levels[0].shape[-2:]
    around = [
        functional.avg_pool2d(level, neighborhood, stride=1, padding=neighborhood // 2, count_include_pad=False)
        for level in levels
    ]
    resized = [
        level if level.shape[-2:] == size else functional.interpolate(level, size, mode="bilinear", align_corners=False)
        for level in around
    ]
    return torch.cat(resized, dim=1).flatten(2).transpose(1, 2)


def _stored(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise BadModel(f"There is no weights file {path}; give those of torchvision's WideResNet50.")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, ValueError) as error:
            raise BadModel(f"{path} is damaged or no file of weights; copy it again.") from error
    import pickle

    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise BadModel(f"{path} is damaged, or holds more than weights and is not read; copy it again.") from error
    if not isinstance(stored, dict):
        raise BadModel(f"{path} holds no weights by name; give those of torchvision's WideResNet50.")
    return stored
