"""What all sections of the settings are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

LARGEST_COUNT = 10**9
"""Steps, points, dimensions: more than this of anything ends in a full memory or in no end at all."""

MOST_LAYERS = 64
WIDEST = 8192
MOST_OCTAVES = 32
"""Of the networks of all methods; the widest here has 384 channels. What a model file asks for is built before it can
be compared with what the file holds."""
MOST_AROUND = 65_536
"""Points in a group, groups in a step, places of a part: what is larger needs a machine that does not exist."""
Width = Annotated[int, Field(ge=1, le=WIDEST)]
"""Channels of a layer."""
LONGEST_NAME = 255
"""Bytes of the name of a file or folder on the usual file systems."""


class Section(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        for name, value in self:
            if isinstance(value, int) and value > LARGEST_COUNT:
                raise ValueError(f"{name} is more than {LARGEST_COUNT:,}")
            if isinstance(value, Path) and not _can_be_a_path(value):
                raise ValueError(f"{name} is no name that a file can have")
        return self


def _can_be_a_path(path: Path) -> bool:
    return "\0" not in str(path) and all(len(os.fsencode(part)) <= LONGEST_NAME for part in path.parts)


def require_multiple(width: int, heads: int) -> None:
    """Refuse a width that its attention heads do not divide."""
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")


def require_ranges(*ranges: tuple[float, float]) -> None:
    """Refuse pairs that are no ascending lengths between 0 and 1."""
    for low, high in ranges:
        if not 0 < low <= high <= 1:
            raise ValueError(f"{low:g} to {high:g} is not a range between 0 and 1")
