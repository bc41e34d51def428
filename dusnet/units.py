"""Units of length."""

from __future__ import annotations

from dusnet.errors import BadConfig

METRES = {"um": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0, "in": 0.0254, "ft": 0.3048}
"""Units of length by name."""
UNIT_WORDS = {
    "um": "micrometres",
    "mm": "millimetres",
    "cm": "centimetres",
    "m": "metres",
    "in": "inches",
    "ft": "feet",
}
"""What they are called in a sentence."""


def require_unit(name: str) -> str:
    """`name` when it is a key of `METRES`.

    Raises:
        BadConfig: it is not.
    """
    if name not in METRES:
        raise BadConfig(f"{name!r} is not a unit of length; use one of {', '.join(METRES)}.")
    return name


def squared(unit: str | None) -> str:
    """The unit of areas: `mm²`; empty where the unit is not known."""
    return f"{unit}²" if unit else ""
