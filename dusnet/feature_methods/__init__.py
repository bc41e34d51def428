"""CRAS, PBAS and CRR on feature maps, whatever they are of: registered scans (`detectors`) or images (`images`)."""

from __future__ import annotations

from dusnet.feature_methods.base import FeatureMethod
from dusnet.feature_methods.cras import CRASMethod
from dusnet.feature_methods.crr import CRRMethod
from dusnet.feature_methods.pbas import PBASMethod

__all__ = ["CRASMethod", "CRRMethod", "FeatureMethod", "PBASMethod"]
