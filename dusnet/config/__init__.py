"""Typed settings: small frozen sections, read from YAML, closed to unknown keys.

Here are what every section is, the sections that several methods share, and how a tree of sections is read. A method
that has a section of its own keeps it in its folder; `dusnet.detectors.settings` puts all of them together.
"""

from __future__ import annotations

from dusnet.config.loading import configs_folder, named_configs, read_tree, tree_of, validated
from dusnet.config.networks import GroupingSettings, LossSettings, StageSettings, TrainingSettings, UpNetSettings
from dusnet.config.scans import CalibrationSettings, RegistrationSettings, ScoringSettings, WarpSettings
from dusnet.config.section import Section
from dusnet.config.yaml_text import BadYaml, parse_yaml, read_yaml, shown

__all__ = [
    "BadYaml",
    "CalibrationSettings",
    "GroupingSettings",
    "LossSettings",
    "RegistrationSettings",
    "ScoringSettings",
    "Section",
    "StageSettings",
    "TrainingSettings",
    "UpNetSettings",
    "WarpSettings",
    "configs_folder",
    "named_configs",
    "parse_yaml",
    "read_tree",
    "read_yaml",
    "shown",
    "tree_of",
    "validated",
]
