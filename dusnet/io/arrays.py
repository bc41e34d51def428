"""NPY and NPZ: arrays of points, read without ever unpickling."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.columns import RawCloud, color_bytes

# What NumPy's reader raises for headers and bodies that are not its own.
_DAMAGE = (ValueError, EOFError, OSError, MemoryError, SyntaxError, TypeError, OverflowError, tokenize.TokenError)
_POINT_KEYS = ("points", "xyz", "pos", "vertices")


def read_npy(path: Path, data: bytes) -> RawCloud:
    """Points from an (N, 3) or wider array; columns after the third are ignored.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        BadInput: it is damaged, holds Python objects, or has another shape.
    """
    return _cloud(path, _array(path, data))


def read_npz(path: Path, data: bytes) -> RawCloud:
    """Points from the array called points, xyz, pos or vertices (else the only one), with `normals` and `colors`.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        BadInput: it is damaged, holds Python objects, or no array that can be points.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            arrays = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError) as error:
        raise BadInput(f"{path} is not a readable NPZ archive; it is damaged, export it again.") from error
    key = next((key for key in _POINT_KEYS if key in arrays), next(iter(arrays), "") if len(arrays) == 1 else None)
    if key is None or key not in arrays:
        raise BadInput(f"{path} has no array called 'points' (found: {', '.join(arrays) or 'nothing'}); name it so.")
    cloud = _cloud(path, _array(path, arrays[key]))
    for name in ("normals", "colors"):
        if name not in arrays:
            continue
        values = _array(path, arrays[name])
        if values.shape != cloud.points.shape:
            raise BadInput(f"{path} has {name} of shape {values.shape} for points of shape {cloud.points.shape}.")
        if name == "normals":
            cloud.normals = values.astype(np.float64)
        else:
            cloud.colors = color_bytes(values)
    return cloud


def _array(path: Path, data: bytes) -> NDArray[Any]:
    try:
        stream = io.BytesIO(data)
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except _DAMAGE as error:
        raise BadInput(f"{path} is not a plain NumPy array of numbers; it is damaged, save it again.") from error
    if array.dtype.kind not in "fiu":
        raise BadInput(f"{path} holds {array.dtype} instead of numbers; save the points as a float array.")
    return array


def _cloud(path: Path, array: NDArray[Any]) -> RawCloud:
    if array.ndim != 2 or array.shape[1] < 3:
        raise BadInput(f"{path} holds an array of shape {array.shape}, but points must be (N, 3); reshape it.")
    extra = array.shape[1] - 3
    notes = [f"{extra} columns after the first three were ignored"] if extra else []
    return RawCloud(points=array[:, :3].astype(np.float64), notes=notes)
