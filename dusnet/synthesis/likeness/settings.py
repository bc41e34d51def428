"""What the settings of all likenesses have in common."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dusnet.config import Section
from dusnet.synthesis.likeness.halves import Half


class LikenessSettings(Section):
    """Base of the settings of a likeness; equal settings give equal files, to the bit."""

    seed: int = Field(default=0, ge=0, description="fixes everything that is random but the halves")
    half: Half = Field(default="both", description="which classes: development, reported or both; see `halves`")
    meshes: tuple[Path, ...] = Field(
        default=(), description="own meshes as further classes of any half, named after their files"
    )
