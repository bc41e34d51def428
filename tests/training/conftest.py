"""Settings and clouds of the tiny trainings."""

from __future__ import annotations

from tiny_training import settings, source, supports

__all__ = ["settings", "source", "supports"]
