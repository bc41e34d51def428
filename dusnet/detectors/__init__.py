"""Detectors by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from dusnet.config import Settings
from dusnet.detectors.base import Detector, Scores
from dusnet.detectors.btf import BTFFPFH, BTFRaw
from dusnet.detectors.dusnet import DUSNet
from dusnet.detectors.located_memory import LocatedMemory
from dusnet.detectors.model_file import read_model
from dusnet.detectors.nearest import Nearest
from dusnet.detectors.offset import Offset
from dusnet.detectors.patchcore import PatchCore, UnalignedPatchCore
from dusnet.detectors.registered import RegisteredDetector
from dusnet.detectors.simple3d import Simple3D
from dusnet.detectors.template import Template
from dusnet.detectors.warp import WarpDistance
from dusnet.errors import BadConfig, BadModel

DETECTORS: dict[str, type[RegisteredDetector]] = {
    kind.name: kind
    for kind in (
        DUSNet,
        Nearest,
        Template,
        WarpDistance,
        BTFRaw,
        BTFFPFH,
        PatchCore,
        UnalignedPatchCore,
        Simple3D,
        LocatedMemory,
        Offset,
    )
}

__all__ = ["DETECTORS", "DUSNet", "Detector", "Nearest", "Scores", "create", "load_model"]


def create(name: str, settings: Settings, *, seed: int = 0, device: str = "cpu") -> Detector:
    """A detector that has learned nothing yet.

    Args:
        name: a key of `DETECTORS`.
        settings: what it computes.
        seed: makes training and scoring repeatable.
        device: `cpu`, `cuda` or `cuda:N`.

    Raises:
        BadConfig: there is no detector of that name, or the device is absent.
    """
    if name not in DETECTORS:
        near = difflib.get_close_matches(name, DETECTORS, n=1, cutoff=0.0)
        raise BadConfig(f"There is no detector {name!r}; did you mean {near[0]!r} (known: {', '.join(DETECTORS)})?")
    return DETECTORS[name](settings, seed=seed, device=device)


def load_model(path: Path, *, device: str = "cpu") -> Detector:
    """The detector stored in a model file.

    Args:
        path: a file that `Detector.save` wrote.
        device: where it computes.

    Raises:
        BadModel: the file is missing, damaged, foreign, or of a version that this package cannot read.
    """
    stored = read_model(path)
    name = stored.metadata["detector"]
    if name not in DETECTORS:
        raise BadModel(f"{path} holds a model of the unknown detector {name!r}; update dusnet or train again.")
    return DETECTORS[name].from_stored(stored, device=device)
