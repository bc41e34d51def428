"""PLY: ascii and binary of both byte orders, any properties and elements; vertices and faces are kept."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dusnet.errors import BadInput
from dusnet.io.columns import Column, RawCloud, check_names, cloud_from_columns, cut_note, fan_triangles, too_long
from dusnet.io.numbers import parse_numbers, shown
from dusnet.io.ply_header import Element, parse_header


class _Lists(NamedTuple):
    counts: NDArray[np.int64]  # (rows,)
    values: NDArray[Any]  # all rows behind one another


class _Table(NamedTuple):
    columns: dict[str, Column]
    lists: dict[str, _Lists]


@dataclass(frozen=True)
class _Numbers:
    """All numbers of an ascii body; as a list only when some element must be walked, and once for all of them."""

    array: NDArray[np.float64]

    @cached_property
    def flat(self) -> list[float]:
        return self.array.tolist()


def read_ply(path: Path, data: bytes) -> RawCloud:
    """Read the vertices, and the faces of a mesh as triangles.

    Args:
        path: the file, for messages.
        data: its content.

    Raises:
        BadInput: the header is damaged, or what follows does not match it.
    """
    order, elements, start = parse_header(path, data)
    names = [element.name for element in elements]
    if "vertex" not in names:
        raise BadInput(f"{path} has no vertices in its header; it is not a point cloud, export it as one.")
    check_names(path, [p.name for element in elements if element.name == "vertex" for p in element.properties])
    if order is None:
        numbers = _Numbers(parse_numbers(path, data[start:], lines_above=data[:start].count(b"\n")))
        tables = _read_ascii(path, elements, numbers)
    else:
        tables = _read_binary(path, elements, data, start, order)
    cloud = cloud_from_columns(path, tables["vertex"].columns)
    if order is None:
        cloud.notes += cut_note(data)
    if "face" in tables:
        cloud.faces = _triangles(path, tables["face"], len(cloud.points))
    elif "tristrips" in names:
        cloud.notes.append("triangle strips were ignored and the vertices taken as points")
    return cloud


def _truncated(path: Path, element: Element) -> BadInput:
    return BadInput(
        f"{path} ends before the {element.count} rows of '{shown([element.name])}' that its header announces; "
        "it is truncated, export it again."
    )


def _read_binary(path: Path, elements: list[Element], data: bytes, start: int, order: str) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    for element in elements:
        if not element.properties:  # rows of nothing, however many
            tables[element.name] = _Table({}, {})
            continue
        reader = _binary_lists if element.has_lists else _binary_rows
        tables[element.name], start = reader(path, element, data, start, order)
    if data[start:].strip(b"\r\n\0 "):
        raise too_long(path)
    return tables


def _binary_rows(path: Path, element: Element, data: bytes, start: int, order: str) -> tuple[_Table, int]:
    dtype = np.dtype([(f"{i}", order + p.type) for i, p in enumerate(element.properties)])
    end = start + element.count * dtype.itemsize
    if end > len(data):
        raise _truncated(path, element)
    rows = np.frombuffer(data, dtype, element.count, start)
    return _Table({p.name: rows[f"{i}"] for i, p in enumerate(element.properties)}, {}), end


def _binary_lists(path: Path, element: Element, data: bytes, start: int, order: str) -> tuple[_Table, int]:
    """Rows with lists: in one go when every row has the lengths of the first, else row by row."""
    if element.count == 0:
        return _walked(element, [[] for _ in element.properties], [[] for _ in element.properties]), start
    lengths: dict[int, int] = {}
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = []
    try:
        position = start
        for i, prop in enumerate(element.properties):
            item = int(prop.type[1])
            if prop.count_type:
                lengths[i] = int(np.frombuffer(data, order + prop.count_type, 1, position)[0])
                if not 0 <= lengths[i] <= len(data):
                    raise ValueError
                fields += [(f"n{i}", order + prop.count_type), (f"{i}", order + prop.type, (lengths[i],))]
                position += int(prop.count_type[1]) + lengths[i] * item
            else:
                fields.append((f"{i}", order + prop.type))
                position += item
    except ValueError as error:
        raise _truncated(path, element) from error
    end = start + element.count * (position - start)
    if end <= len(data):
        rows = np.frombuffer(data, np.dtype(fields), element.count, start)
        if all((rows[f"n{i}"] == length).all() for i, length in lengths.items()):
            columns = {p.name: rows[f"{i}"] for i, p in enumerate(element.properties) if i not in lengths}
            lists = {
                element.properties[i].name: _Lists(np.full(element.count, length, np.int64), rows[f"{i}"].ravel())
                for i, length in lengths.items()
            }
            return _Table(columns, lists), end
    return _binary_walk(path, element, data, start, order)


def _binary_walk(path: Path, element: Element, data: bytes, start: int, order: str) -> tuple[_Table, int]:
    codes = dict(zip(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"], "bBhHiIqQfd", strict=True))
    singles = [struct.Struct(order + codes[p.count_type or p.type]) for p in element.properties]
    items = [(order, codes[p.type], int(p.type[1])) for p in element.properties]
    collected: list[list[float]] = [[] for _ in element.properties]
    counts: list[list[int]] = [[] for _ in element.properties]
    position = start
    try:
        for _ in range(element.count):
            for i, prop in enumerate(element.properties):
                (value,) = singles[i].unpack_from(data, position)
                position += singles[i].size
                if not prop.count_type:
                    collected[i].append(value)
                    continue
                mark, code, size = items[i]
                length = int(value)
                if not 0 <= length <= (len(data) - position) // size:
                    raise _truncated(path, element)
                collected[i].extend(struct.unpack_from(f"{mark}{length}{code}", data, position))
                counts[i].append(length)
                position += length * size
    except struct.error as error:
        raise _truncated(path, element) from error
    return _walked(element, collected, counts), position


def _walked(element: Element, collected: list[list[float]], counts: list[list[int]]) -> _Table:
    columns = {p.name: np.array(c) for p, c in zip(element.properties, collected, strict=True) if not p.count_type}
    lists = {
        p.name: _Lists(np.array(n, np.int64), np.array(c))
        for p, c, n in zip(element.properties, collected, counts, strict=True)
        if p.count_type
    }
    return _Table(columns, lists)


def _read_ascii(path: Path, elements: list[Element], numbers: _Numbers) -> dict[str, _Table]:
    tables: dict[str, _Table] = {}
    start = 0
    for element in elements:
        tables[element.name], start = _ascii_element(path, element, numbers, start)
    if start != len(numbers.array):
        raise too_long(path)
    return tables


def _ascii_element(path: Path, element: Element, everything: _Numbers, start: int) -> tuple[_Table, int]:
    """Rows in one go when every row has the list lengths of the first, else row by row."""
    if not element.properties:
        return _Table({}, {}), start
    numbers = everything.array
    width = 0
    heads: dict[int, tuple[int, int]] = {}
    places: dict[int, int] = {}
    for i, prop in enumerate(element.properties):
        places[i] = width
        width += 1
        if prop.count_type and element.count:
            if start + width > len(numbers):
                raise _truncated(path, element)
            length = _list_length(path, element, numbers[start + width - 1], len(numbers))
            heads[i] = (width - 1, length)
            width += length
    end = start + element.count * width
    if end <= len(numbers):
        rows = numbers[start:end].reshape(element.count, width)
        if all((rows[:, place] == length).all() for place, length in heads.values()):
            columns = {
                p.name: rows[:, places[i]] if p.type.startswith("f") else _integers(path, p.name, rows[:, places[i]])
                for i, p in enumerate(element.properties)
                if not p.count_type
            }
            lists = {
                element.properties[i].name: _Lists(
                    np.full(element.count, length, np.int64),
                    rows[:, place + 1 : place + 1 + length].ravel(),
                )
                for i, (place, length) in heads.items()
            }
            return _Table(columns, lists), end
    if not heads:
        raise _truncated(path, element)
    return _ascii_walk(path, element, everything.flat, start)


def _ascii_walk(path: Path, element: Element, flat: list[float], start: int) -> tuple[_Table, int]:
    collected: list[list[float]] = [[] for _ in element.properties]
    counts: list[list[int]] = [[] for _ in element.properties]
    position = start
    for _ in range(element.count):
        for i, prop in enumerate(element.properties):
            if position >= len(flat):
                raise _truncated(path, element)
            if not prop.count_type:
                collected[i].append(flat[position])
                position += 1
                continue
            length = _list_length(path, element, flat[position], len(flat))
            position += 1
            if position + length > len(flat):
                raise _truncated(path, element)
            collected[i].extend(flat[position : position + length])
            counts[i].append(length)
            position += length
    return _walked(element, collected, counts), position


def _list_length(path: Path, element: Element, value: float, limit: int) -> int:
    if not (0 <= value <= limit and value == int(value)):
        raise BadInput(
            f"{path} has a row of '{shown([element.name])}' with an impossible list length ({value:g}); "
            "it is damaged, export it again."
        )
    return int(value)


def _integers(path: Path, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers as int64; as they are where int64 cannot hold them."""
    if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise BadInput(f"{path} has fractions in '{shown([name])}', which its header says is whole; export it again.")
    return values.astype(np.int64) if np.abs(values).max(initial=0.0) < 2.0**63 else values


def _triangles(path: Path, face: _Table, vertices: int) -> NDArray[np.int64]:
    """Faces as triangles, (F, 3) int64; polygons become fans."""
    lists = next((face.lists[name] for name in ("vertex_indices", "vertex_index") if name in face.lists), None)
    if lists is None:
        lists = next(iter(face.lists.values()), None)
    if lists is None or not len(lists.counts):
        return np.empty((0, 3), np.int64)
    corners = lists.values
    if corners.dtype.kind == "f":
        corners = _integers(path, "face", corners)
    return fan_triangles(path, lists.counts, corners, vertices)


def write_ply(path: Path, columns: Mapping[str, Column], comments: tuple[str, ...] = ()) -> None:
    """Write one binary little endian `vertex` element.

    Args:
        path: the file to write (not atomic by itself).
        columns: one (N,) array per property: float32, float64, uint8 or int32.
        comments: lines for the header.
    """
    names = {"f4": "float", "f8": "double", "u1": "uchar", "i4": "int"}
    count = len(next(iter(columns.values())))
    kinds = {name: column.dtype.str[1:] for name, column in columns.items()}
    header = chain(
        ("ply", "format binary_little_endian 1.0"),
        (f"comment {line}" for line in comments),
        (f"element vertex {count}",),
        (f"property {names[kind]} {name}" for name, kind in kinds.items()),
        ("end_header", ""),
    )
    rows = np.empty(count, np.dtype([(name, "<" + kind) for name, kind in kinds.items()]))
    for name, column in columns.items():
        rows[name] = column
    with path.open("wb") as stream:
        stream.write("\n".join(header).encode("ascii"))
        stream.write(rows.tobytes())
