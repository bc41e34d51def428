"""The header of a PLY file: its byte order, and which elements follow with which properties."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dusnet.errors import BadInput
from dusnet.io.numbers import count_of

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "bool": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "int64": "i8", "uint64": "u8",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_WHOLE_TYPES = {name: code for name, code in _TYPES.items() if code[0] != "f"}
_HEADER_LIMIT = 1 << 20
_END = re.compile(rb"[\r\n][ \t]*end_header")


class Property(NamedTuple):
    """A column of an element; types as NumPy writes them, such as "f4"."""

    name: str
    type: str
    count_type: str | None  # of a list, else None


@dataclass
class Element:
    """What a header announces: so many rows of these properties."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    @property
    def has_lists(self) -> bool:
        """Whether rows may differ in length."""
        return any(p.count_type for p in self.properties)


def parse_header(path: Path, data: bytes) -> tuple[str | None, list[Element], int]:
    """Read the header.

    Args:
        path: the file, for messages.
        data: its content.

    Returns:
        the byte order (None: ascii), the elements, and where the data starts.

    Raises:
        BadInput: it is no PLY header, or a damaged one.
    """
    if data[:3] != b"ply":
        raise BadInput(
            f"{path} does not start like a PLY file; it is damaged or has the wrong ending, export it again."
        )
    match = _END.search(data, 0, _HEADER_LIMIT)
    end = match.end() - len(b"end_header") if match is not None else 0
    line_end = b"\n" if b"\n" in data[:end] else b"\r"
    start = data.find(line_end, end) + 1
    if match is None or start == 0:
        raise BadInput(f"{path} ends within its header; it is truncated, export it again.")
    order: str | None = None
    seen_format = False
    elements: dict[str, Element] = {}
    element: Element | None = None
    for line in data[:end].decode("latin-1").split(line_end.decode())[1:]:
        words = line.split()
        try:
            match words:
                case ["format", name, *_]:
                    order = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}[name]
                    seen_format = True
                case ["element", name, count]:
                    if name in elements:
                        raise ValueError(name)
                    element = elements[name] = Element(name, count_of(count))
                case ["property", "list", count_type, item_type, name] if element is not None:
                    element.properties.append(Property(name, _TYPES[item_type], _WHOLE_TYPES[count_type]))
                case ["property", type_name, name] if element is not None:
                    element.properties.append(Property(name, _TYPES[type_name], None))
                case [] | ["comment" | "obj_info", *_]:
                    pass
                case _:
                    raise ValueError
        except (KeyError, ValueError) as error:
            raise BadInput(f"{path} has a PLY header line that cannot be read ({line.strip()[:60]!r}).") from error
    if not seen_format:
        raise BadInput(f"{path} has a PLY header without a format line; it is damaged, export it again.")
    return order, list(elements.values()), start
