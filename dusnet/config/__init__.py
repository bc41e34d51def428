"""Typed settings: one tree of small frozen sections, read from YAML, closed to unknown keys."""

from __future__ import annotations

from dusnet.config.feature_space import (
    CRASSettings,
    CRRSettings,
    FeatureSettings,
    ImageSettings,
    PartsSettings,
    PBASSettings,
)
from dusnet.config.folder import configs_folder
from dusnet.config.loading import load_settings, named_configs, settings_from, tree_of
from dusnet.config.networks import (
    DownNetSettings,
    GroupingSettings,
    GuideSettings,
    LossSettings,
    NoiseSettings,
    StageSettings,
    TrainingSettings,
    UpNetSettings,
)
from dusnet.config.peers import MemorySettings, OffsetSettings
from dusnet.config.scans import CalibrationSettings, RegistrationSettings, ScoringSettings, WarpSettings
from dusnet.config.section import Section
from dusnet.config.settings import Settings
from dusnet.config.yaml_text import BadYaml, parse_yaml, read_yaml, shown

__all__ = [
    "BadYaml",
    "CRASSettings",
    "CRRSettings",
    "CalibrationSettings",
    "DownNetSettings",
    "FeatureSettings",
    "GroupingSettings",
    "GuideSettings",
    "ImageSettings",
    "LossSettings",
    "MemorySettings",
    "NoiseSettings",
    "OffsetSettings",
    "PBASSettings",
    "PartsSettings",
    "RegistrationSettings",
    "ScoringSettings",
    "Section",
    "Settings",
    "StageSettings",
    "TrainingSettings",
    "UpNetSettings",
    "WarpSettings",
    "configs_folder",
    "load_settings",
    "named_configs",
    "parse_yaml",
    "read_yaml",
    "settings_from",
    "shown",
    "tree_of",
]
