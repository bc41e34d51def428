"""Where the configurations are that the project brings."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def configs_folder() -> Path:
    """`configs` inside an installed package, or beside the package in a source tree."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"
