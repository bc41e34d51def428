"""Detectors of one's own: a class with a few methods becomes a detector beside all others (docs/your-detector.md)."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dusnet.detectors.placed_scan import PlacedScan
from dusnet.detectors.registered import FrameScores, RegisteredDetector
from dusnet.detectors.scoring import pool
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig
from dusnet.progress import Progress

_FILE_METHODS = ("save", "load")
_KNOWN: dict[str, type[OwnDetector]] = {}


class OwnMethod(Protocol):
    """What a class has to do; scans lie in the frame of the part, whose radius is 1 there.

    A class whose constructor has an argument `seed` gets one; it must need no other. Models can be written to files
    when it has `save` and `load` as well.
    """

    def fit(self, scans: list[NDArray[np.float64]]) -> None:
        """Learn from the good scans, (N, 3) each."""

    def score(self, points: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
        """One number per point, (N, 3) -> (N,); higher is more anomalous."""

    def save(self) -> dict[str, NDArray[Any]]:
        """What was learned, as arrays by name."""

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """The inverse of `save`."""


class OwnDetector(RegisteredDetector):
    """An object of somebody else as a detector: registration, calibration, verdicts and files are those of all others.

    Attributes:
        kind: the class of the object.
    """

    settings_sections: ClassVar[frozenset[str]] = RegisteredDetector.POOLED
    scores_are_lengths: ClassVar[bool] = False
    kind: ClassVar[type[Any]]

    def __init__(self, settings: Settings, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(settings, seed=seed, device=device)
        self.method: OwnMethod = self.kind(seed=seed) if _takes_seed(self.kind) else self.kind()

    def _learn(
        self, clouds: list[NDArray[np.float64]], *, progress: Progress, workdir: Path | None, resume: bool
    ) -> None:
        del progress, workdir, resume
        self.method.fit(clouds)

    def _judge(self, scan: PlacedScan) -> FrameScores:
        points = scan.points
        # The detector's code may write into what it is given.
        scores = np.asarray(self.method.score(points.copy()))
        if scores.shape != (len(points),) or scores.dtype.kind not in "fiub":
            raise BadConfig(
                f"{self.name}.score gave {scores.dtype} of shape {scores.shape} for {len(points)} points; return one "
                "number per point."
            )
        scores = scores.astype(np.float32)
        object_score = pool(torch.from_numpy(scores), self.settings.scoring)
        return FrameScores(scores, object_score, scan.distances.numpy(), None)

    def save(self, path: Path) -> None:
        """Write one `.safetensors` file, atomically.

        Raises:
            BadConfig: the class has no methods for files, or gives something other than arrays.
        """
        missing = [name for name in _FILE_METHODS if not callable(getattr(self.method, name, None))]
        if missing:
            raise BadConfig(
                f"{self.name} has no method {' and no method '.join(missing)}, so that its model cannot be written to "
                "a file; add what is missing, or use the detector from Python and in dusnet evaluate."
            )
        super().save(path)

    def _tensors(self) -> dict[str, Tensor]:
        arrays: Any = self.method.save()
        try:
            return {name: torch.as_tensor(np.array(value)) for name, value in dict(arrays).items()}
        except (TypeError, ValueError) as error:
            raise BadConfig(f"{self.name}.save gave no arrays by name; return a dict of NumPy arrays.") from error

    def _metadata(self) -> dict[str, Any]:
        return {}

    def _restore(self, metadata: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        del metadata
        self.method.load({name: value.numpy() for name, value in tensors.items()})


def own_detector(name: str) -> type[OwnDetector]:
    """The detector that a class of somebody else becomes.

    Args:
        name: `package.module:Class`; the module is looked for in the current folder as well.

    Raises:
        BadConfig: there is no such module or class, or the class is no detector.
    """
    if name not in _KNOWN:
        kind = _class_of(name)
        # A class of its own with the module of the other one: rows of an evaluation depend on that module's code.
        made = type(kind.__name__, (OwnDetector,), {"name": name, "kind": kind, "__module__": kind.__module__})
        _KNOWN[name] = made
    return _KNOWN[name]


def named_before(name: str) -> bool:
    """Whether somebody has chosen this class in this process."""
    return name in _KNOWN


def _class_of(name: str) -> type[Any]:
    module, _, last = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), last)):
        raise BadConfig(f"Detector {name!r} is not of the form package.module:Class.")
    here = str(Path.cwd())
    if here not in sys.path:  # as with `python -m`, but after everything that is installed
        sys.path.append(here)
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if missing == module or module.startswith(f"{missing}."):
            raise BadConfig(
                f"There is no module {missing} for the detector {name}; install it or go to its folder."
            ) from error
        raise BadConfig(f"The module {module} of the detector {name} needs {missing}; install it.") from error
    kind = getattr(found, last, None)
    if kind is None:
        raise BadConfig(f"The module {module} has no class {last}; check the name in --detector.")
    if not isinstance(kind, type):
        raise BadConfig(f"{name} is no class; name the class of the detector.")
    for method in ("fit", "score"):
        if not callable(getattr(kind, method, None)):
            raise BadConfig(f"{name} has no method {method}; a detector needs fit and score (docs/your-detector.md).")
    needed = [one.name for one in _arguments(kind) if one.default is one.empty and one.name != "seed"]
    if needed:
        raise BadConfig(f"{name} cannot be made without {', '.join(needed)}; give every argument but seed a default.")
    return kind


def _takes_seed(kind: type[Any]) -> bool:
    return any(one.name == "seed" for one in _arguments(kind))


def _arguments(kind: type[Any]) -> list[inspect.Parameter]:
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one for one in inspect.signature(kind).parameters.values() if one.kind not in fixed]
