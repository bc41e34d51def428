"""Argument checks that the public ops share; each raises a one-sentence ValueError with what was expected and got."""

from __future__ import annotations

import torch
from torch import Tensor

from dusnet.ops import native


def _values_visible(tensor: Tensor) -> bool:
    """Whether looking at values is free: on the CPU and not while a compiler traces."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def cloud(name: str, points: Tensor) -> Tensor:
    """A batch of clouds ready for the ops: (B, N, 3), half precision made float32.

    Args:
        name: what the caller calls it.
        points: (B, N, 3), any strides.
    """
    if points.dim() != 3 or points.shape[2] != 3:
        raise ValueError(f"{name} must be (B, N, 3), got {tuple(points.shape)}; add the batch dimension with [None].")
    if points.shape[1] < 1:
        raise ValueError(f"{name} must hold at least one point per cloud, got {tuple(points.shape)}.")
    points = floating(name, points)
    if _values_visible(points) and not bool(torch.isfinite(points.detach().sum())):
        bad = int((~torch.isfinite(points.detach()).all(dim=-1)).sum())
        if bad:
            raise ValueError(f"{name} must hold finite coordinates, got {bad} points with NaN or infinity.")
    return points


def floating(name: str, values: Tensor) -> Tensor:
    """`values` as float32 or float64; half precision is widened, anything else is refused."""
    if values.dtype in (torch.float16, torch.bfloat16):
        return values.float()
    if values.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be a floating-point tensor, got {values.dtype}; convert it with .float().")
    if values.is_cuda and values.dtype == torch.float64 and native.BACKEND == "cuda":
        raise ValueError(f"{name} must be float32 on CUDA, got {values.dtype}; convert it with .float().")
    return values


def pair(first_name: str, first: Tensor, second_name: str, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches of clouds that belong together: same B, same device, brought to the wider of the two dtypes."""
    first, second = cloud(first_name, first), cloud(second_name, second)
    if first.shape[0] != second.shape[0]:
        raise ValueError(
            f"{first_name} and {second_name} must hold the same number of clouds, "
            f"got {first.shape[0]} and {second.shape[0]}."
        )
    if first.device != second.device:
        raise ValueError(
            f"{first_name} and {second_name} must be on one device, got {first.device} and {second.device}."
        )
    dtype = torch.promote_types(first.dtype, second.dtype)
    return first.to(dtype), second.to(dtype)


def lengths(name: str, values: Tensor | None, points: Tensor) -> Tensor | None:
    """Numbers of points of ragged clouds: (B,) integers from 1 to N, on the device of the points, or None."""
    if values is None:
        return None
    batch, count = points.shape[:2]
    if values.shape != (batch,) or values.dtype.is_floating_point or values.dtype == torch.bool:
        raise ValueError(f"{name} must be ({batch},) integers, got {tuple(values.shape)} {values.dtype}.")
    if _values_visible(values):
        low, high = int(values.min()), int(values.max())
        if low < 1 or high > count:
            raise ValueError(f"{name} must lie between 1 and {count}, got {low} to {high}.")
    return values.to(device=points.device, dtype=torch.int64)


def between(name: str, value: int, low: int, high: int, what: str) -> None:
    """An integer argument with both ends allowed; `what` says where the upper end comes from."""
    if not low <= value <= high:
        raise ValueError(f"{name} must lie between {low} and {high} ({what}), got {value}.")


def positive(name: str, value: float) -> None:
    """A finite number above zero."""
    if not 0.0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number, got {value}.")


def index(name: str, values: Tensor, size: int) -> None:
    """Row numbers below `size`; -1 is the padding that every op allows."""
    if values.dtype != torch.int64:
        raise ValueError(f"{name} must be int64, got {values.dtype}; convert it with .long().")
    if values.numel() and _values_visible(values):
        low, high = int(values.min()), int(values.max())
        if low < -1 or high >= size:
            raise ValueError(f"{name} must lie between -1 (padding) and {size - 1}, got {low} to {high}.")
