"""Detectors by name."""

from __future__ import annotations

import difflib
from functools import partial
from pathlib import Path

from dusnet.config import Settings
from dusnet.detectors.base import Detector, Scorer, Scores
from dusnet.detectors.dusnet.detector import DUSNet
from dusnet.detectors.feature_space.cras.detector import CRAS
from dusnet.detectors.feature_space.crr.detector import CRR
from dusnet.detectors.feature_space.detector import FeatureSpace
from dusnet.detectors.feature_space.many_parts import ManyParts
from dusnet.detectors.feature_space.pbas.detector import PBAS
from dusnet.detectors.feature_space.places import Extractor
from dusnet.detectors.model_file import IMAGES, read_model
from dusnet.detectors.peers.btf import BTFFPFH, BTFRaw
from dusnet.detectors.peers.located_memory import LocatedMemory
from dusnet.detectors.peers.nearest import Nearest
from dusnet.detectors.peers.offset.detector import Offset
from dusnet.detectors.peers.patchcore import PatchCore, UnalignedPatchCore
from dusnet.detectors.peers.simple3d import Simple3D
from dusnet.detectors.peers.template import Template
from dusnet.detectors.peers.warp import WarpDistance
from dusnet.detectors.registered import RegisteredDetector
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
        CRAS,
        PBAS,
        CRR,
    )
}

__all__ = [
    "DETECTORS",
    "DUSNet",
    "Detector",
    "ManyParts",
    "Nearest",
    "Scorer",
    "Scores",
    "create",
    "create_for_parts",
    "load_model",
]


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


def create_for_parts(name: str, settings: Settings, *, seed: int = 0, device: str = "cpu") -> ManyParts:
    """A model of several parts that has learned nothing yet; arguments as for `create`.

    Raises:
        BadConfig: there is no detector of that name or it learns one part at a time, or the device is absent.
    """
    kind = type(create(name, settings, seed=seed, device=device))
    if not issubclass(kind, FeatureSpace) or not kind.method.for_many:
        known = [one.name for one in DETECTORS.values() if issubclass(one, FeatureSpace) and one.method.for_many]
        raise BadConfig(f"{name} learns one part at a time; choose one of {', '.join(known)}, or a model per part.")
    return ManyParts(kind, settings, seed=seed, device=device)


def load_model(path: Path, *, device: str = "cpu", extractor: Extractor | None = None) -> Scorer:
    """What is stored in a model file: a detector, or one model of several parts.

    Args:
        path: a file that `save` wrote.
        device: where it computes.
        extractor: the one that the model was trained with, where that was none of this package's.

    Raises:
        BadModel: the file is missing, damaged, foreign, of a version that this package cannot read, or lacks its
            extractor.
    """
    stored = read_model(path)
    name = stored.metadata["detector"]
    if name.startswith(IMAGES):
        raise BadModel(f"{path} judges images, not scans; give a model that `dusnet train` wrote.")
    if name not in DETECTORS:
        raise BadModel(f"{path} holds a model of the unknown detector {name[:40]!r}; update dusnet or train again.")
    kind = DETECTORS[name]
    if not issubclass(kind, FeatureSpace):
        return kind.from_stored(stored, device=device)
    load = partial(ManyParts.from_stored, kind) if "parts" in stored.metadata else kind.from_stored
    return load(stored, device=device, extractor=extractor)
