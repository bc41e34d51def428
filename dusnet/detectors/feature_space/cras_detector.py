"""CRAS in 3D; see `dusnet.detectors.feature_space.cras`. Features belong to places of a registered part."""

from __future__ import annotations

from typing import ClassVar

from dusnet.detectors.feature_space.cras import CRASMethod
from dusnet.detectors.feature_space.detector import FeatureSpace
from dusnet.detectors.feature_space.method import FeatureMethod


class CRAS(FeatureSpace):
    """Center-aware residual anomaly synthesis on registered scans."""

    name: ClassVar[str] = "cras"
    settings_sections: ClassVar[frozenset[str]] = FeatureSpace.settings_sections | CRASMethod.settings_sections
    method: ClassVar[type[FeatureMethod]] = CRASMethod
