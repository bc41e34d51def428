"""Clouds for PyTorch3D and back. PyTorch3D is optional: it is imported when one of the functions is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.errors import MissingDependency

INSTALL = "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md"


def to_pytorch3d(clouds: Sequence[PointCloud], *, device: str | torch.device = "cpu") -> Any:
    """A `pytorch3d.structures.Pointclouds` of some clouds, in their own unit and pose.

    PyTorch3D computes in float32: of coordinates in a national grid subtract an origin first.

    Args:
        clouds: at least one. Normals are handed over when all have them, and so are colours, as features from 0 to 1.
        device: where the tensors go.

    Raises:
        MissingDependency: PyTorch3D is not installed.
        ValueError: there is no cloud.
    """
    structures = _structures()
    if not clouds:
        raise ValueError("to_pytorch3d needs at least one cloud, got none.")
    return structures.Pointclouds(
        points=_tensors([cloud.points for cloud in clouds], device),
        normals=_tensors([cloud.normals for cloud in clouds], device),
        features=_tensors([None if cloud.colors is None else cloud.colors / 255.0 for cloud in clouds], device),
    )


def from_pytorch3d(pointclouds: Any) -> list[PointCloud]:
    """The clouds of a `pytorch3d.structures.Pointclouds`.

    Args:
        pointclouds: features of three channels from 0 to 1 are taken for colours, others are left behind.
    """
    points = pointclouds.points_list()
    normals = pointclouds.normals_list() or [None] * len(points)
    features = pointclouds.features_list() or [None] * len(points)
    return [
        PointCloud(_array(xyz), None if normal is None else _array(normal), _colors(feature))
        for xyz, normal, feature in zip(points, normals, features, strict=True)
    ]


def _structures() -> Any:
    try:
        from pytorch3d import structures
    except ImportError as error:
        raise MissingDependency(f"PyTorch3D is not installed; see {INSTALL}.") from error
    return structures


def _tensors(values: Sequence[NDArray[Any] | None], device: str | torch.device) -> list[torch.Tensor] | None:
    if any(value is None for value in values):
        return None
    return [torch.as_tensor(value, dtype=torch.float32, device=device) for value in values]


def _array(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()


def _colors(features: torch.Tensor | None) -> NDArray[np.uint8] | None:
    if features is None or features.shape[1] != 3 or not bool(((features >= 0) & (features <= 1)).all()):
        return None
    return np.round(255.0 * _array(features)).astype(np.uint8)
