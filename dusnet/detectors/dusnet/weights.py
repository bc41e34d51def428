"""The weights of the guided networks: a file that the package brings, or one of your own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import Tensor, nn

from dusnet.config import shown
from dusnet.detectors.dusnet.down_net import GuidedDownNet
from dusnet.detectors.settings import Settings
from dusnet.errors import BadModel
from dusnet.io import file_mark, stored
from dusnet.io.tensors import read_tensors, under
from dusnet.nn.up_net import UpNet

FORMAT = "dusnet-guided-weights"
MADE_FOR = {
    "guide": ("neighbors", "stride", "places", "patch_width", "width", "layers", "heads", "fourier_octaves"),
    "up_net": ("gamma", "neighbors", "widths", "head"),
}
"""Settings that weights are good for only with the value that they were made with."""

_MISFIT = (
    "The weights of the guided networks lack a part or have another shape; use the guide and up_net settings that they "
    "were made with."
)


def networks_of(weights: dict[str, Tensor], settings: Settings, device: torch.device) -> tuple[GuidedDownNet, UpNet]:
    """Down-Net and Up-Net with some weights, ready to judge.

    Args:
        weights: of both networks, `down.*` and `up.*`.
        settings: their shapes.
        device: where they run.

    Raises:
        BadModel: the weights have other shapes.
    """
    builds: dict[str, Callable[[], nn.Module]] = {
        "down": partial(GuidedDownNet, settings.guide),
        "up": partial(UpNet, settings.up_net, spacing=1.0),
    }
    try:
        for prefix, build in builds.items():
            stored.require_network(build, under(prefix, weights), f"{prefix} network")
        down, up = GuidedDownNet(settings.guide), UpNet(settings.up_net, spacing=1.0)
        for prefix, network in (("down", down), ("up", up)):
            network.load_state_dict(under(prefix, weights))
    except (KeyError, stored.Unusable, RuntimeError) as error:
        raise BadModel(_MISFIT) from error
    return down.to(device).eval(), up.to(device).eval()


def weights_mark(settings: Settings) -> str:
    """A hash of the weights file, whether or not it can be used."""
    with _weights_file(settings) as path:
        return file_mark(path)


def read_weights(settings: Settings) -> dict[str, Tensor]:
    """The weights that the settings name.

    Raises:
        BadModel: there is no such file, or it holds weights for other settings.
    """
    with _weights_file(settings) as path:
        return _read(path, settings)


def _weights_file(settings: Settings) -> AbstractContextManager[Path]:
    """The weights that the settings name, or those that the package brings."""
    named = settings.guide.weights
    return as_file(files("dusnet") / "weights" / "guided.safetensors") if named is None else nullcontext(named)


def _read(path: Path, settings: Settings) -> dict[str, Tensor]:
    if not path.is_file():
        raise BadModel(f"There is no weights file {path}; give one that tools/train_guided.py wrote.")
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise BadModel(f"{path} holds no guided networks; give a file that tools/train_guided.py wrote.")
    course = metadata.get("course")
    made = course.get("settings") if isinstance(course, dict) else None
    for section, keys in MADE_FOR.items():
        wanted = getattr(settings, section).model_dump(mode="json")
        values = made.get(section) if isinstance(made, dict) else None
        if not isinstance(values, dict) or any(key not in values for key in keys):
            raise BadModel(f"{path} does not say which settings its networks were made with; train them again.")
        for key in keys:
            if values[key] != wanted[key]:
                raise BadModel(
                    f"The weights in {path} were made with {section}.{key} {shown(values[key])}, not {wanted[key]}; "
                    "use that value, or weights of your own."
                )
    return tensors
