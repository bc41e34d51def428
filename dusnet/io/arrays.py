"""NPY and NPZ: arrays of points, read without ever unpickling."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.columns import RawCloud, color_bytes
from dusnet.io.numbers import shown

_VERSIONS = ((1, 0), (2, 0), (3, 0))
_POINT_KEYS = ("points", "xyz", "pos", "vertices")
# An array may be this much larger than the whole file; points of a scan hardly compress to a tenth.
_LARGEST_RATIO = 64
_ALWAYS_ALLOWED = 1 << 24  # bytes: small arrays of one value, such as made-up normals, compress a thousandfold
_PIECE = 1 << 12  # compressed bytes at a time, since not every decompressor can be told to stop


def read_npy(path: Path, data: bytes) -> RawCloud:
    """Points from an (N, 3) or wider array; columns after the third are ignored.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        BadInput: it is damaged, holds Python objects, has another shape, or something behind the array.
    """
    return _cloud(path, _array(path, data))


def read_npz(path: Path, data: bytes) -> RawCloud:
    """Points from the array called points, xyz, pos or vertices (else the only one), with `normals` and `colors`.

    Other arrays are not unpacked.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        BadInput: it is damaged, holds Python objects, or no array that can be points, or a needed array is larger than
            the file can hold.
    """
    arrays = _unpacked(path, data)
    points = next((key for key in _POINT_KEYS if key in arrays), next(iter(arrays)))
    cloud = _cloud(path, _array(path, arrays[points]))
    for name in ("normals", "colors"):
        if name not in arrays or name == points:
            continue
        values = _array(path, arrays[name])
        if values.shape != cloud.points.shape:
            raise BadInput(f"{path} has {name} of shape {values.shape} for points of shape {cloud.points.shape}.")
        if name == "normals":
            with np.errstate(over="ignore"):
                cloud.normals = values.astype(np.float64)
        else:
            cloud.colors = color_bytes(values)
    return cloud


def _unpacked(path: Path, data: bytes) -> dict[str, bytes]:
    """The entries of the points, the normals and the colours."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            first = next(iter(entries)) if len(entries) == 1 else None
            points = next((key for key in _POINT_KEYS if key in entries), first)
            if points is None:
                found = shown(list(entries)) or "nothing"
                raise BadInput(f"{path} has no array called 'points' (found: {found}); name it so.")
            wanted = dict.fromkeys((points, "normals", "colors"))
            return {key: _entry(path, archive, entries[key], data) for key in wanted if key in entries}
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # the decompressors have errors of their own, LZMA's among them
        raise BadInput(f"{path} is not a readable NPZ archive; it is damaged, export it again.") from error


def _entry(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, data: bytes) -> bytes:
    """One unpacked entry; never more of it than its announced size."""
    needed = max(entry.file_size, _dictionary(entry, data) if entry.compress_type == zipfile.ZIP_LZMA else 0)
    if needed > _ALWAYS_ALLOWED + _LARGEST_RATIO * len(data):
        raise BadInput(
            f"{path} is a small file whose array {shown([entry.filename])} needs {needed} bytes to unpack; "
            "it is damaged, or not a scan."
        )
    with archive.open(entry) as stream:
        content = b"".join(iter(lambda: stream.read(_PIECE), b""))
    if len(content) != entry.file_size:
        raise ValueError("size")
    return content


def _dictionary(entry: zipfile.ZipInfo, data: bytes) -> int:
    """Memory that LZMA takes before it unpacks the first byte, as the beginning of the entry says."""
    name, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
    (size,) = struct.unpack_from("<I", data, entry.header_offset + 30 + name + extra + 5)
    return int(size)


def _array(path: Path, data: bytes) -> NDArray[Any]:
    """The array in the bytes of an NPY file. Its header is compared with their number before memory is taken."""
    try:
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        if version not in _VERSIONS:
            raise ValueError("version")
        # Versions 2 and 3 differ in how they write names of columns, which arrays of plain numbers have not.
        read_header = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        size = math.prod(shape) * dtype.itemsize
        start = stream.tell()
        # In an array without a single number a length may be anything, even more than an array can have.
        if dtype.hasobject or not 0 <= min(shape, default=0) <= max(shape, default=0) <= len(data):
            raise ValueError("objects or lengths")
    except Exception as error:  # whatever NumPy meets in a header that is not its own
        raise BadInput(f"{path} is not a plain NumPy array of numbers; it is damaged, save it again.") from error
    if dtype.kind not in "fiu":
        raise BadInput(f"{path} holds {shown([str(dtype)])} instead of numbers; save the points as a float array.")
    if size > len(data) - start:
        raise BadInput(f"{path} ends before its array is complete; it is truncated, save it again.")
    if size < len(data) - start:
        raise BadInput(f"{path} holds more data than the header of its array announces; save it again.")
    values = np.frombuffer(data, dtype, math.prod(shape), start)
    return values.reshape(shape, order="F" if fortran else "C")


def _cloud(path: Path, array: NDArray[Any]) -> RawCloud:
    if array.ndim != 2 or array.shape[1] < 3:
        raise BadInput(
            f"{path} holds an array of shape {shown([str(array.shape)])}, but points must be (N, 3); reshape it."
        )
    extra = array.shape[1] - 3
    notes = [f"{extra} columns after the first three were ignored"] if extra else []
    with np.errstate(over="ignore"):  # wider floats become infinite, as they do in text
        return RawCloud(points=array[:, :3].astype(np.float64), notes=notes)
