"""CRAS in 3D; see `dusnet.feature_methods.cras`. Features belong to places of a registered part."""

from __future__ import annotations

from typing import ClassVar

from dusnet.detectors.feature_space import FeatureSpace
from dusnet.feature_methods import CRASMethod, FeatureMethod


class CRAS(FeatureSpace):
    """Center-aware residual anomaly synthesis on registered scans."""

    name: ClassVar[str] = "cras"
    reads: ClassVar[frozenset[str]] = FeatureSpace.reads | CRASMethod.reads
    method: ClassVar[type[FeatureMethod]] = CRASMethod
