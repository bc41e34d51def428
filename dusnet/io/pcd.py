"""PCD: ascii, binary and binary_compressed, organized or not, with padding fields and packed colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.columns import Column, RawCloud, check_names, cloud_from_columns, cut_note, too_long
from dusnet.io.numbers import count_of, parse_numbers

_TYPES = {
    **{("F", str(size)): f"f{size}" for size in (2, 4, 8)},
    **{(kind, str(size)): f"{kind.lower()}{size}" for kind in "UI" for size in (1, 2, 4, 8)},
}
_PADDING = b"\0\r\n "  # what writers may put behind the data
_HEADER_LIMIT = 1 << 16
_COUNT_LIMIT = 1 << 16


class _Header(NamedTuple):
    fields: list[str]
    types: list[str]  # as NumPy writes them, such as "f4"
    counts: list[int]
    points: int
    encoding: str
    start: int  # where the data begins


def read_pcd(path: Path, data: bytes) -> RawCloud:
    """Read every field that has one value per point; the viewpoint is not applied, as in other readers.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        BadInput: the header is damaged, or what follows does not match it.
    """
    header = _parse_header(path, data)
    check_names(path, header.fields)
    if header.points == 0:
        raise BadInput(f"{path} holds no points; export the scan again or leave the file out.")
    body = data[header.start :]
    if header.encoding == "ascii":
        blocks = _ascii(path, header, body, lines_above=data[: header.start].count(b"\n"))
    else:
        blocks = (_binary if header.encoding == "binary" else _compressed)(path, header, body)
    columns: dict[str, Column] = {}
    for name, count, block in zip(header.fields, header.counts, blocks, strict=True):
        if count != 1 or name == "_":
            continue
        if name.lower() in ("rgb", "rgba"):
            columns.update(_unpack_color(block))
        else:
            columns[name] = block
    cloud = cloud_from_columns(path, columns)
    if header.encoding == "ascii":
        cloud.notes += cut_note(data)
    return cloud


def _parse_header(path: Path, data: bytes) -> _Header:
    entries: dict[str, list[str]] = {}
    position = 0
    while "DATA" not in entries:
        end = data.find(b"\n", position, _HEADER_LIMIT)
        line = data[position : end if end >= 0 else position].decode("latin-1").split("#")[0].split()
        if end < 0 or (line and not line[0].isalpha()):
            raise BadInput(f"{path} has no PCD header; it is truncated or not a PCD file, export it again.")
        if line:
            entries[line[0].upper()] = line[1:]
        position = end + 1
    try:
        fields = entries["FIELDS"]
        types = [_TYPES[kind, size] for kind, size in zip(entries["TYPE"], entries["SIZE"], strict=True)]
        counts = [count_of(count) for count in entries.get("COUNT", ["1"] * len(fields))]
        grid = count_of(entries["WIDTH"][0]) * count_of(entries["HEIGHT"][0])
        points = count_of(entries["POINTS"][0]) if "POINTS" in entries else grid
        encoding = entries["DATA"][0].lower()
        if not len(fields) == len(types) == len(counts) > 0:
            raise ValueError("fields")
        if not 1 <= min(counts) <= max(counts) <= _COUNT_LIMIT:
            raise ValueError("counts")
    except (KeyError, ValueError, IndexError) as error:
        raise BadInput(f"{path} has a PCD header that is incomplete or damaged; export it again.") from error
    if points != grid:
        raise BadInput(
            f"{path} announces {points} points but a grid of {grid}; its header is damaged, export it again."
        )
    if encoding not in ("ascii", "binary", "binary_compressed"):
        raise BadInput(f"{path} has the unknown PCD encoding {encoding[:40]!r}; export it as binary.")
    return _Header(fields, types, counts, points, encoding, position)


def _truncated(path: Path, header: _Header) -> BadInput:
    return BadInput(
        f"{path} ends before the {header.points} points that its header announces; it is truncated, export it again."
    )


def _ascii(path: Path, header: _Header, body: bytes, lines_above: int) -> list[Column]:
    numbers = parse_numbers(path, body.replace(b",", b" "), lines_above)
    width = sum(header.counts)
    if len(numbers) < header.points * width:
        raise _truncated(path, header)
    if len(numbers) > header.points * width:
        raise too_long(path)
    rows = numbers.reshape(header.points, width)
    blocks: list[Column] = []
    place = 0
    for name, kind, count in zip(header.fields, header.types, header.counts, strict=True):
        block = rows[:, place] if count == 1 else rows[:, place : place + count]
        # Coordinates keep the digits of the text; a packed colour needs its declared type for its bits.
        packed = name.lower() in ("rgb", "rgba")
        blocks.append(_cast(block, kind) if packed else block)
        place += count
    return blocks


def _sizes(header: _Header) -> list[int]:
    """Bytes of each field in all points together."""
    return [int(kind[1:]) * count * header.points for kind, count in zip(header.types, header.counts, strict=True)]


def _binary(path: Path, header: _Header, body: bytes) -> list[Column]:
    size = sum(_sizes(header))
    if len(body) < size:
        raise _truncated(path, header)
    spec = zip(header.types, header.counts, strict=True)
    dtype = np.dtype([(f"{i}", "<" + kind, (count,)) for i, (kind, count) in enumerate(spec)])
    if body[size:].strip(_PADDING):
        raise too_long(path)
    rows = np.frombuffer(body, dtype, header.points)
    return [rows[f"{i}"][:, 0] if count == 1 else rows[f"{i}"] for i, count in enumerate(header.counts)]


def _compressed(path: Path, header: _Header, body: bytes) -> list[Column]:
    if len(body) < 8:
        raise _truncated(path, header)
    packed, unpacked = (int(value) for value in np.frombuffer(body, "<u4", 2))
    sizes = _sizes(header)
    if unpacked != sum(sizes):
        raise BadInput(f"{path} does not unpack to the size that its header announces; it is damaged, export it again.")
    if len(body) < 8 + packed:
        raise _truncated(path, header)
    if body[8 + packed :].strip(_PADDING):
        raise too_long(path)
    content = lzf_decompress(path, body[8 : 8 + packed], unpacked)
    blocks: list[Column] = []
    start = 0
    for kind, count, size in zip(header.types, header.counts, sizes, strict=True):
        block = np.frombuffer(content, "<" + kind, header.points * count, start)
        blocks.append(block if count == 1 else block.reshape(header.points, count))
        start += size
    return blocks


def lzf_decompress(path: Path, packed: bytes, size: int) -> bytes:
    """Undo the LZF compression of PCD's `binary_compressed`.

    Args:
        path: the file, for messages.
        packed: the compressed bytes.
        size: how many bytes must come out.

    Raises:
        BadInput: the compressed bytes are damaged.
    """
    out = bytearray()
    position, end = 0, len(packed)
    try:
        while position < end:
            control = packed[position]
            position += 1
            if control < 32:
                out += packed[position : position + control + 1]
                position += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += packed[position]
                position += 1
            distance = ((control & 31) << 8) + packed[position] + 1
            position += 1
            length += 2
            start = len(out) - distance
            if start < 0 or len(out) > size:
                raise IndexError
            if length <= distance:
                out += out[start : start + length]
            else:
                pattern = out[start:]
                out += (pattern * (length // distance + 1))[:length]
    except IndexError:
        out.clear()
    if len(out) != size:
        raise BadInput(f"{path} holds compressed data that cannot be unpacked; it is damaged, export it again.")
    return bytes(out)


def _cast(values: Column, kind: str) -> Column:
    """Numbers in another type; what it cannot hold becomes 0."""
    limits = np.finfo(kind) if kind[0] == "f" else np.iinfo(kind)
    low, high = float(limits.min), float(limits.max)
    if kind[0] != "f" and int(high) > limits.max:  # 64 bits are more than a double holds
        high = math.nextafter(high, 0.0)
    held = np.isfinite(values) & (values >= low) & (values <= high)
    return np.where(held, values, 0).astype(kind)


def _unpack_color(packed: Column) -> dict[str, Column]:
    """Red, green and blue from the bits of one number per point, whatever type carries them."""
    if packed.dtype.itemsize != 4:
        packed = _cast(packed, "u4")
    bits: NDArray[np.uint32] = np.ascontiguousarray(packed).view(np.uint32)
    return {name: ((bits >> shift) & 255).astype(np.uint8) for name, shift in (("red", 16), ("green", 8), ("blue", 0))}


def write_pcd(path: Path, columns: Mapping[str, Column]) -> None:
    """Write a binary PCD file.

    Args:
        path: the file to write (not atomic by itself).
        columns: one (N,) array per field: floats or integers of 1 to 8 bytes.
    """
    count = len(next(iter(columns.values())))
    dtypes = [column.dtype for column in columns.values()]
    header = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join(columns),
        "SIZE " + " ".join(str(dtype.itemsize) for dtype in dtypes),
        "TYPE " + " ".join(dtype.kind.upper() for dtype in dtypes),
        "COUNT " + " ".join("1" for _ in dtypes),
        f"WIDTH {count}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {count}",
        "DATA binary\n",
    ]
    rows = np.empty(
        count, np.dtype([(name, dtype.newbyteorder("<")) for name, dtype in zip(columns, dtypes, strict=True)])
    )
    for name, column in columns.items():
        rows[name] = column
    with path.open("wb") as stream:
        stream.write("\n".join(header).encode("ascii"))
        stream.write(rows.tobytes())
