"""The tree of all settings."""

from __future__ import annotations

from dusnet.config.feature_space import (
    CRASSettings,
    CRRSettings,
    FeatureSettings,
    ImageSettings,
    PartsSettings,
    PBASSettings,
)
from dusnet.config.networks import (
    DownNetSettings,
    GroupingSettings,
    GuideSettings,
    LossSettings,
    NoiseSettings,
    TrainingSettings,
    UpNetSettings,
)
from dusnet.config.peers import MemorySettings, OffsetSettings
from dusnet.config.scans import CalibrationSettings, RegistrationSettings, ScoringSettings, WarpSettings
from dusnet.config.section import Section


class Settings(Section):
    """Everything that decides what a detector computes."""

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
    features: FeatureSettings = FeatureSettings()
    parts: PartsSettings = PartsSettings()
    cras: CRASSettings = CRASSettings()
    pbas: PBASSettings = PBASSettings()
    crr: CRRSettings = CRRSettings()
    images: ImageSettings = ImageSettings()
    calibration: CalibrationSettings = CalibrationSettings()
