"""Detectors by name; no method is imported before it is asked for."""

from __future__ import annotations

from dusnet.detectors.base import Detector, Scorer, Scores
from dusnet.detectors.registry import DETECTORS, create, create_for_parts, detector_class, load_model
from dusnet.detectors.settings_read import asked_settings, read_by, require_read, sections_read

__all__ = [
    "DETECTORS",
    "Detector",
    "Scorer",
    "Scores",
    "asked_settings",
    "create",
    "create_for_parts",
    "detector_class",
    "load_model",
    "read_by",
    "require_read",
    "sections_read",
]
