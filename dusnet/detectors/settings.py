"""The tree of all settings, and the one place from which it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dusnet.config import (
    CalibrationSettings,
    GroupingSettings,
    LossSettings,
    RegistrationSettings,
    ScoringSettings,
    Section,
    TrainingSettings,
    UpNetSettings,
    WarpSettings,
    read_tree,
    validated,
)
from dusnet.detectors import former_settings
from dusnet.detectors.dusnet.settings import GuideSettings
from dusnet.detectors.dusnet_paper.settings import DownNetSettings, NoiseSettings
from dusnet.detectors.feature_space.cras.settings import CRASSettings
from dusnet.detectors.feature_space.crr.settings import CRRSettings
from dusnet.detectors.feature_space.pbas.settings import PBASSettings
from dusnet.detectors.feature_space.settings import FeatureSettings, ImageSettings, PartsSettings
from dusnet.detectors.peers.cossad.settings import CossadSettings
from dusnet.detectors.peers.georeg.settings import GeoRegSettings
from dusnet.detectors.peers.offset.settings import OffsetSettings
from dusnet.detectors.peers.sdf.settings import SDFSettings
from dusnet.detectors.peers.settings import MemorySettings


class Settings(Section):
    """Everything that decides what a detector computes; each reads the sections that concern it."""

    detector: str = "dusnet"
    registration: RegistrationSettings = RegistrationSettings()
    warp: WarpSettings = WarpSettings()
    grouping: GroupingSettings = GroupingSettings()
    noise: NoiseSettings = NoiseSettings()
    down_net: DownNetSettings = DownNetSettings()
    guide: GuideSettings = GuideSettings()
    up_net: UpNetSettings = UpNetSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()
    memory: MemorySettings = MemorySettings()
    offset: OffsetSettings = OffsetSettings()
    sdf: SDFSettings = SDFSettings()
    georeg: GeoRegSettings = GeoRegSettings()
    cossad: CossadSettings = CossadSettings()
    features: FeatureSettings = FeatureSettings()
    parts: PartsSettings = PartsSettings()
    cras: CRASSettings = CRASSettings()
    pbas: PBASSettings = PBASSettings()
    crr: CRRSettings = CRRSettings()
    images: ImageSettings = ImageSettings()
    calibration: CalibrationSettings = CalibrationSettings()


def load_settings(name_or_path: str | Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Settings from a named configuration or a YAML file, with single values replaced.

    Args:
        name_or_path: one of `dusnet.config.named_configs()`, a path to a YAML file, or None for the defaults.
        overrides: `key.sub=value` strings; the value is read as YAML.

    Raises:
        BadConfig: the file or name does not exist, is no YAML, or holds an unknown key or a wrong value.
    """
    return settings_from(*read_tree(name_or_path, overrides))


def settings_from(tree: Mapping[str, Any], source: str) -> Settings:
    """Settings from a nested mapping.

    Args:
        tree: section -> key -> value.
        source: where the mapping came from, for the error message.

    Raises:
        BadConfig: a key is unknown or has a wrong value.
    """
    return validated(Settings, former_settings.without_constants(tree, source), source)
