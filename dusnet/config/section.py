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


class TransformerSettings(Section):
    """A network with a transformer."""

    width: int = Field(default=128, ge=8, le=WIDEST, description="channels of a token")
    layers: int = Field(default=2, ge=0, le=MOST_LAYERS, description="transformer blocks")
    heads: int = Field(default=4, ge=1, description="of the attention")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class GroupTransformerSettings(TransformerSettings):
    """`dusnet.nn.group_transformer`: a patch encoder, Fourier features of the place, and a transformer."""

    patch_widths: tuple[Width, Width, Width] = (64, 64, 128)
    fourier_octaves: int = Field(default=4, ge=0, le=MOST_OCTAVES)
