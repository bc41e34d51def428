"""Rigid motions that a user gives: as a JSON file or as an array, checked before anything is moved by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dusnet.errors import BadInput
from dusnet.io.files import read_bytes
from dusnet.io.strict_json import parse_json

RIGID = 1e-6
"""How far each entry of a matrix may be from that of a rigid motion: six decimals are enough."""
LARGEST = 1e12
"""No place of a part has larger coordinates, in any unit."""
_FORM = "give four rows of four numbers: a rotation, the shift in the fourth column, and 0, 0, 0, 1 in the last row"


def read_motion(path: Path) -> NDArray[np.float64]:
    """The rigid motion in a JSON file, (4, 4) float64.

    Args:
        path: a list of four rows of four numbers, or an object whose key `matrix` holds one; other keys do not count.

    Raises:
        BadInput: the file cannot be read, or holds no rigid motion.
    """
    data = read_bytes(path)
    try:
        content = parse_json(data.decode("utf-8-sig"))
    except ValueError as error:
        raise BadInput(f"{path} is no valid JSON; {_FORM}.") from error
    if isinstance(content, dict):
        if "matrix" not in content:
            raise BadInput(f"{path} has no key matrix; {_FORM}.")
        content = content["matrix"]
    return rigid_motion(content, str(path))


def rigid_motion(values: ArrayLike | Any, name: str) -> NDArray[np.float64]:
    """A rigid motion, exact where it was given with six decimals, (4, 4) float64.

    Args:
        values: four rows of four numbers; it moves a column (x, y, z, 1).
        name: what to call it in a message.

    Raises:
        BadInput: it has another shape, is not finite, or an entry is more than `RIGID` from that of a rigid motion.
    """
    try:
        matrix = np.array(values)
    except ValueError:  # rows of different lengths
        matrix = np.empty(0)
    if matrix.shape != (4, 4) or matrix.dtype.kind not in "iuf":
        raise BadInput(f"{name} holds no 4 x 4 matrix of numbers; {_FORM}.")
    matrix = matrix.astype(np.float64)
    if not (np.abs(matrix) <= LARGEST).all():
        raise BadInput(f"{name} holds NaN, infinite or numbers beyond {LARGEST:g}; {_FORM}.")
    if np.abs(matrix[3] - [0.0, 0.0, 0.0, 1.0]).max() > RIGID:
        raise BadInput(f"{name} has a last row other than 0, 0, 0, 1; {_FORM}.")
    left, stretch, right = np.linalg.svd(matrix[:3, :3])
    nearest = left @ right
    if np.abs(matrix[:3, :3] - nearest).max() > RIGID:
        raise BadInput(
            f"{name} is no rigid motion: it stretches lengths by {stretch[2]:.6g} to {stretch[0]:.6g}; give a rotation "
            f"that is exact to {RIGID:g} and a shift, and no change of unit."
        )
    if np.linalg.det(nearest) < 0.0:
        raise BadInput(f"{name} is a mirror and no rigid motion; turn one axis of it around.")
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = nearest, matrix[:3, 3]
    return motion
