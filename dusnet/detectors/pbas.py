"""PBAS in 3D; see `dusnet.feature_methods.pbas`. Features belong to places of a registered part."""

from __future__ import annotations

from typing import ClassVar

from dusnet.detectors.feature_space import FeatureSpace
from dusnet.feature_methods import FeatureMethod, PBASMethod


class PBAS(FeatureSpace):
    """Progressive boundary guided anomaly synthesis on registered scans."""

    name: ClassVar[str] = "pbas"
    reads: ClassVar[frozenset[str]] = FeatureSpace.reads | PBASMethod.reads
    method: ClassVar[type[FeatureMethod]] = PBASMethod
