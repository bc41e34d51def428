"""dusnet: find defects in 3D scans of parts when only a few defect-free scans are known.

    model = dusnet.fit("good_scans/", unit="mm")
    result = model.score("scan.ply")

Names are loaded when they are used: `import dusnet` takes no time and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dusnet.cloud import Frame, PointCloud
    from dusnet.errors import BadConfig, BadInput, BadModel, DusnetError, MissingDependency
    from dusnet.fitting import fit
    from dusnet.inspection.own_limits import OwnLimits
    from dusnet.model import Model, load
    from dusnet.result import Result
    from dusnet.scans import read

__version__ = "0.1.0"

__all__ = [
    "BadConfig",
    "BadInput",
    "BadModel",
    "DusnetError",
    "Frame",
    "MissingDependency",
    "Model",
    "OwnLimits",
    "PointCloud",
    "Result",
    "__version__",
    "fit",
    "load",
    "read",
]

_PLACES = {
    **dict.fromkeys(("BadConfig", "BadInput", "BadModel", "DusnetError", "MissingDependency"), "dusnet.errors"),
    **dict.fromkeys(("Frame", "PointCloud"), "dusnet.cloud"),
    **dict.fromkeys(("Model", "load"), "dusnet.model"),
    "OwnLimits": "dusnet.inspection.own_limits",
    "Result": "dusnet.result",
    "fit": "dusnet.fitting",
    "read": "dusnet.scans",
}
"""The module of every name."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'dusnet' has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
