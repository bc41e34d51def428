"""What all sections of the settings are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def require_multiple(width: int, heads: int) -> None:
    """Refuse a width that its attention heads do not divide."""
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")


def require_ranges(*ranges: tuple[float, float]) -> None:
    """Refuse pairs that are no ascending lengths between 0 and 1."""
    for low, high in ranges:
        if not 0 < low <= high <= 1:
            raise ValueError(f"{low:g} to {high:g} is not a range between 0 and 1")
