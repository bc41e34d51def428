"""Patch embeddings of a trained Down-Net as local features."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.config import GroupingSettings, validated
from dusnet.config.section import WIDEST
from dusnet.detectors.model_file import StoredModel, restoring
from dusnet.detectors.settings import Settings
from dusnet.errors import BadModel
from dusnet.io import stored
from dusnet.io.tensors import read_tensors, under
from dusnet.nn.blocks import MiniPointNet
from dusnet.nn.grouping import neighbor_index

READ = ("down_net", "grouping")
"""Sections of the settings in a file that decide on the patch encoder; the others may be those of any version."""


class PatchEmbeddings:
    """What the patch encoder of a Down-Net (Eq. 2) makes of the points around each place; it learns nothing more.

    The extractor of `features.extractor: down_net`.

    Args:
        widths: of the patch encoder.
        grouping: K and stride of its patches.
        tensors: its weights, and `patch_radius`.
    """

    def __init__(self, widths: tuple[int, int, int], grouping: GroupingSettings, tensors: dict[str, Tensor]) -> None:
        self._widths, self._grouping, self._tensors = widths, grouping, tensors
        state, build = under("encoder", tensors), partial(MiniPointNet, widths)
        stored.require_network(build, state, "patch encoder")
        stored.length(float(tensors["patch_radius"]), "radius of a patch")
        self._encoder = build()
        self._encoder.load_state_dict(state)
        self._encoder.eval()

    @classmethod
    def of_file(cls, path: Path) -> PatchEmbeddings:
        """Those of a model of `dusnet_paper`, or of pre-trained weights.

        Raises:
            BadModel: the file is missing, damaged, or holds no Down-Net of the paper's kind.
        """
        tensors, metadata = read_tensors(path)
        network = under("learned.down", tensors)
        if "patch_radius" not in network or "settings" not in metadata:
            raise BadModel(
                f"{path} holds no Down-Net with patches; give a model that was trained with --config paper, or weights "
                "of dusnet pretrain."
            )
        encoder = {f"encoder.{name}": value for name, value in under("patch_encoder", network).items()}
        with restoring(StoredModel(path, metadata, tensors), "patch encoder"):
            given = stored.mapping(metadata["settings"], "settings")
            settings = validated(Settings, {name: given[name] for name in READ}, str(path))
            weights = {"patch_radius": network["patch_radius"], **encoder}
            return cls(settings.down_net.patch_widths, settings.grouping, weights)

    @torch.inference_mode()
    def __call__(self, points: NDArray[np.float64], places: Tensor, normals: Tensor) -> Tensor:
        """See `dusnet.detectors.feature_space.places.Extractor`."""
        del normals
        cloud = torch.from_numpy(points).float()
        around = cloud[neighbor_index(places, cloud, self._grouping)]
        patches = torch.cat([places.unsqueeze(1), around], dim=1) - places.unsqueeze(1)
        embedded: Tensor = self._encoder(patches / self._tensors["patch_radius"])
        return embedded

    @property
    def channels(self) -> int:
        """Of an embedding."""
        return self._widths[-1]

    def tensors(self) -> dict[str, Tensor]:
        """What a model file stores."""
        return self._tensors

    def metadata(self) -> dict[str, Any]:
        """What it stores besides, as JSON."""
        return {"widths": list(self._widths), "grouping": self._grouping.model_dump(mode="json")}

    @classmethod
    def restore(cls, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> PatchEmbeddings:
        """The inverse of `tensors` and `metadata`."""
        first, second, third = (stored.whole(one, "width", 1, WIDEST) for one in metadata["widths"])
        return cls((first, second, third), GroupingSettings.model_validate(metadata["grouping"]), tensors)
