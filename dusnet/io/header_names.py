"""Which columns of a table are x, y and z, told by the names in its header line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from dusnet.errors import BadInput
from dusnet.io.numbers import shown

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PLAIN_LETTERS = str.maketrans({"µ": "u", "μ": "u", "ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_UNITS = {
    "um": "um", "micron": "um", "microns": "um", "micrometer": "um", "micrometre": "um",
    "mm": "mm", "millimeter": "mm", "millimetre": "mm", "millimeters": "mm", "millimetres": "mm",
    "cm": "cm", "centimeter": "cm", "centimetre": "cm", "m": "m", "meter": "m", "metre": "m", "meters": "m",
    "metres": "m", "in": "in", "inch": "in", "inches": "in", "ft": "ft", "foot": "ft", "feet": "ft",
}  # fmt: skip
# Words that say no more than that the column is a coordinate of a point.
_POINT_WORDS = frozenset({
    "point", "points", "pos", "position", "positions", "coord", "coords", "coordinate", "coordinates", "xyz", "vertex",
    "vertices",
})  # fmt: skip
_FILLERS = _POINT_WORDS | {
    "p", "pt", "pts", "pnt", "co", "koord", "koordinate", "koordinaten", "loc", "location", "cloud", "scan", "part",
    "object", "center", "centre", "world", "global", "local", "abs", "absolute", "utm", "utme", "utmn", "tvd", "tvdss",
    "msl", "cart", "cartesian", "axis", "value", "val", "data", "measured", "actual", "ellipsoidal", "orthometric",
    "geom", "geometry", "wcs", "mcs", "vert", "raw",
}  # fmt: skip
_EAST = frozenset(("easting", "eastings", "east", "rechtswert"))
_NORTH = frozenset(("northing", "northings", "north", "hochwert"))
_HEIGHT = frozenset(("height", "heights", "elevation", "elev", "altitude", "alt", "hoehe", "up"))
_MAP_WORDS = frozenset(("lat", "latitude", "lon", "long", "longitude", "depth"))
_LONGEST_NAME = 80
_PARAVIEW = {"points:0": "x", "points:1": "y", "points:2": "z"}


class Axes(NamedTuple):
    """The columns that are x, y and z.

    Attributes:
        places: their indices.
        plain: whether they are called just x, y and z (units aside).
    """

    places: tuple[int, int, int]
    plain: bool


class _Name(NamedTuple):
    role: str  # "x", "y", "z", "east", "north", "height", "e", "n", "h", or ""
    number: tuple[frozenset[str], int] | None  # of "Points_0" and its like: the words before the number, the number
    unit: str


def find_axes(path: Path, names: list[str]) -> Axes | None:
    """The columns of x, y and z, wherever they are, or None where the names do not tell.

    `x`, `y` and `z` alone are preferred; then a letter with words that add nothing to it ("X-position", "x coord",
    "X_mm", "PosX", "X_UTME"), numbered points ("Points_0"), and easting, northing and height.

    Args:
        path: the file, for messages.
        names: of all columns in their order.

    Raises:
        BadInput: the names can be understood in more than one way, or the three columns have different units.
    """
    places = _plain(names)
    plain = places is not None
    if places is None:
        read = [_read(name) for name in names]
        families = [found for found in (_lettered(read), _mapped(read), *_numbered(read)) if found]
        if len(families) > 1 or any(len(column) > 1 for found in families for column in found):
            raise BadInput(
                f"{path} has more than one set of columns that can be x, y and z ({shown(names)}); "
                "call the right ones x, y and z in the header line."
            )
        places = tuple(column[0] for column in families[0]) if families else None
    if places is None:
        return None
    units = [_read(names[place]).unit for place in places]
    if len({unit for unit in units if unit}) > 1:
        raise BadInput(
            f"{path} has x, y and z in different units ({shown(units)}); bring them to one unit and export it again."
        )
    first, second, third = places
    return Axes((first, second, third), plain)


def names_something(names: list[str]) -> bool:
    """Whether words are rather the names of columns than a sentence, although they do not tell which are x, y and z.

    Args:
        names: words of a comment line, as many as there are columns.
    """
    lower = {without_unit(name).lower() for name in names if len(name) <= _LONGEST_NAME}
    for name in lower:
        for place, letter in enumerate(name):
            if letter == "x" and all(name[:place] + other + name[place + 1 :] in lower for other in "yz"):
                return True
    return sum(bool(_read(name).role) or name.lower() in _MAP_WORDS for name in names) > 1


def without_unit(name: str) -> str:
    """A name without the unit in brackets behind it: "x [mm]" is x."""
    return _cut_unit(name)[0]


def _plain(names: list[str]) -> tuple[int, ...] | None:
    bare = [without_unit(name).lower() for name in names]
    bare = [_PARAVIEW.get(name, name) for name in bare]
    if not {"x", "y", "z"} <= set(bare):
        return None
    return tuple(bare.index(axis) for axis in "xyz")


def _lettered(names: list[_Name]) -> list[list[int]] | None:
    """Candidates for x, y and z by their letters, the third by "height" where there is no z."""
    found = [_having(names, role) for role in ("x", "y", "z")]
    found[2] = found[2] or _having(names, "height")
    return found if all(found) else None


def _mapped(names: list[_Name]) -> list[list[int]] | None:
    """Candidates for x, y and z by the words of maps or their first letters."""
    for roles in (("east", "north", "height"), ("e", "n", "h")):
        found = [_having(names, role) for role in roles]
        found[2] = found[2] or _having(names, "z")
        if all(found):
            return found
    return None


def _numbered(names: list[_Name]) -> list[list[list[int]]]:
    """Columns such as Points_0, Points_1 and Points_2, or 1 to 3."""
    groups: dict[frozenset[str], dict[int, list[int]]] = {}
    for place, name in enumerate(names):
        if name.number is not None:
            words, number = name.number
            groups.setdefault(words, {}).setdefault(number, []).append(place)
    wanted = ([0, 1, 2], [1, 2, 3])
    return [[group[number] for number in sorted(group)] for group in groups.values() if sorted(group) in wanted]


def _having(names: list[_Name], role: str) -> list[int]:
    return [place for place, name in enumerate(names) if name.role == role]


def _cut_unit(name: str) -> tuple[str, str]:
    """What stands before a last pair of brackets and in it; nothing where there is none."""
    text = name.strip()
    for opening, closing in ("[]", "()"):
        base, bracket, unit = text[:-1].rpartition(opening)
        if text.endswith(closing) and bracket and closing not in unit:
            return base.rstrip(), unit
    return text, ""


def _read(name: str) -> _Name:
    base, bracket = _cut_unit(name.translate(_PLAIN_LETTERS))
    words = [word.lower() for word in _WORD.findall(base)]
    unit = _UNITS.get(bracket.strip().lower(), "")
    if "".join(words) != "".join(c for c in base.lower() if c.isalnum()):
        return _Name("", None, unit)  # letters of other scripts
    if words in (["e"], ["n"], ["h"]):
        return _Name(words[0], None, unit)
    roles, rest = _roles(words)
    units = [word for word in rest if word in _UNITS]
    unit = unit or (_UNITS[units[-1]] if units else "")
    rest = [word for word in rest if word not in _UNITS]
    if len(roles) == 1 and all(word in _FILLERS for word in rest):
        return _Name(roles[0], None, unit)
    known = frozenset(rest[:-1])
    if not roles and known and known <= _POINT_WORDS and rest[-1] in ("0", "1", "2", "3"):
        return _Name("", (known, int(rest[-1])), unit)
    return _Name("", None, unit)


def _roles(words: list[str]) -> tuple[list[str], list[str]]:
    """What the words of a name say of its role, and the words that say nothing of it."""
    roles, rest = [], []
    for word in words:
        if word in ("x", "y", "z"):
            roles.append(word)
        elif word in _EAST | _NORTH | _HEIGHT:
            roles.append("east" if word in _EAST else "north" if word in _NORTH else "height")
        elif word not in _FILLERS and word[:1] in ("x", "y", "z") and _adds_nothing(word[1:]):
            roles.append(word[0])
            rest.append(word[1:])
        elif word not in _FILLERS and word[-1:] in ("x", "y", "z") and _adds_nothing(word[:-1]):
            roles.append(word[-1])
            rest.append(word[:-1])
        else:
            rest.append(word)
    return roles, rest


def _adds_nothing(word: str) -> bool:
    """Whether a part of a word may be written together with the letter of an axis; "px" may be a pixel."""
    return len(word) > 1 and (word in _FILLERS or word in _UNITS)
