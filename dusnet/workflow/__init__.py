"""The two steps of the main job, for every front end: from good scans to a model file, from a scan to its result."""

from __future__ import annotations

from dusnet.units import METRES, require_unit
from dusnet.workflow.loaded_model import Calibrated, LoadedModel, require_threshold
from dusnet.workflow.training import finish_training, require_own_folders, train_for_parts, train_model, training_folder

__all__ = [
    "METRES",
    "Calibrated",
    "LoadedModel",
    "finish_training",
    "require_own_folders",
    "require_threshold",
    "require_unit",
    "train_for_parts",
    "train_model",
    "training_folder",
]
