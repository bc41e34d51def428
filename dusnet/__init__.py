"""dusnet: find defects in 3D scans of parts when only a few defect-free scans are known."""

from __future__ import annotations

from dusnet.cloud import Frame, PointCloud
from dusnet.errors import BadConfig, BadInput, BadModel, DusnetError, MissingDependency

__version__ = "0.1.0"

__all__ = [
    "BadConfig",
    "BadInput",
    "BadModel",
    "DusnetError",
    "Frame",
    "MissingDependency",
    "PointCloud",
    "__version__",
]
