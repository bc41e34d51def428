"""PBAS in 3D; see `dusnet.detectors.feature_space.pbas`. Features belong to places of a registered part."""

from __future__ import annotations

from typing import ClassVar

from dusnet.detectors.feature_space.detector import FeatureSpace
from dusnet.detectors.feature_space.method import FeatureMethod
from dusnet.detectors.feature_space.pbas import PBASMethod


class PBAS(FeatureSpace):
    """Progressive boundary guided anomaly synthesis on registered scans."""

    name: ClassVar[str] = "pbas"
    settings_sections: ClassVar[frozenset[str]] = FeatureSpace.settings_sections | PBASMethod.settings_sections
    method: ClassVar[type[FeatureMethod]] = PBASMethod
