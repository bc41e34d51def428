"""Detectors by name; the code of a method is imported when the method is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from dusnet.errors import BadConfig, BadModel

if TYPE_CHECKING:
    from dusnet.detectors.base import Detector, Scorer
    from dusnet.detectors.feature_space.many_parts import ManyParts
    from dusnet.detectors.feature_space.places import Extractor
    from dusnet.detectors.registered import RegisteredDetector
    from dusnet.detectors.settings import Settings

DETECTORS: dict[str, str] = {
    "dusnet": "dusnet.detectors.dusnet.detector:DUSNet",
    "dusnet_paper": "dusnet.detectors.dusnet_paper.detector:DUSNetPaper",
    "nearest": "dusnet.detectors.peers.nearest:Nearest",
    "template": "dusnet.detectors.peers.template:Template",
    "warp": "dusnet.detectors.peers.warp:WarpDistance",
    "btf_raw": "dusnet.detectors.peers.btf:BTFRaw",
    "btf_fpfh": "dusnet.detectors.peers.btf:BTFFPFH",
    "patchcore": "dusnet.detectors.peers.patchcore:PatchCore",
    "patchcore_unaligned": "dusnet.detectors.peers.patchcore:UnalignedPatchCore",
    "simple3d": "dusnet.detectors.peers.simple3d:Simple3D",
    "located_memory": "dusnet.detectors.peers.located_memory:LocatedMemory",
    "sdf": "dusnet.detectors.peers.sdf.detector:SDF",
    "georeg": "dusnet.detectors.peers.georeg.detector:GeoReg",
    "cossad": "dusnet.detectors.peers.cossad.detector:Cossad",
    "offset": "dusnet.detectors.peers.offset.detector:Offset",
    "cras": "dusnet.detectors.feature_space.cras.detector:CRAS",
    "pbas": "dusnet.detectors.feature_space.pbas.detector:PBAS",
    "crr": "dusnet.detectors.feature_space.crr.detector:CRR",
}
"""Where the class of every detector is, by its name."""


def detector_class(name: str) -> type[RegisteredDetector]:
    """The class of a detector.

    Args:
        name: a key of `DETECTORS`, or `package.module:Class` for a detector of one's own (docs/your-detector.md).

    Raises:
        BadConfig: there is no detector of that name, or the class is no detector.
    """
    if name in DETECTORS:
        module, _, kind = DETECTORS[name].partition(":")
        found: type[RegisteredDetector] = getattr(import_module(module), kind)
        return found
    if ":" in name:
        return import_module("dusnet.detectors.own").own_detector(name)
    near = difflib.get_close_matches(name, DETECTORS, n=1, cutoff=0.0)
    raise BadConfig(
        f"There is no detector {name!r}; did you mean {near[0]!r} (known: {', '.join(DETECTORS)}, or "
        "package.module:Class for one of your own)?"
    )


def create(name: str, settings: Settings, *, seed: int = 0, device: str = "cpu") -> Detector:
    """A detector that has learned nothing yet.

    Args:
        name: as for `detector_class`.
        settings: what it computes.
        seed: makes training and scoring repeatable.
        device: `cpu`, `cuda` or `cuda:N`.

    Raises:
        BadConfig: there is no detector of that name, or the device is absent.
    """
    return detector_class(name)(settings, seed=seed, device=device)


def create_for_parts(name: str, settings: Settings, *, seed: int = 0, device: str = "cpu") -> ManyParts:
    """A model of several parts that has learned nothing yet; arguments as for `create`.

    Raises:
        BadConfig: there is no detector of that name or it learns one part at a time, or the device is absent.
    """
    from dusnet.detectors.feature_space.detector import FeatureSpace
    from dusnet.detectors.feature_space.many_parts import ManyParts

    kind = detector_class(name)
    if not issubclass(kind, FeatureSpace) or not kind.method.for_many:
        kinds = {known: detector_class(known) for known in DETECTORS}
        able = [known for known, one in kinds.items() if issubclass(one, FeatureSpace) and one.method.for_many]
        raise BadConfig(f"{name} learns one part at a time; choose one of {', '.join(able)}, or a model per part.")
    return ManyParts(kind, settings, seed=seed, device=device)


def load_model(
    path: Path, *, device: str = "cpu", extractor: Extractor | None = None, detector: str | None = None
) -> Scorer:
    """What is stored in a model file: a detector, or one model of several parts.

    Args:
        path: a file that `save` wrote.
        device: where it computes.
        extractor: the one that the model was trained with, where that was none of this package's.
        detector: `package.module:Class` where the model is of a detector of one's own. What a file names is never
            imported: only a class that was named here or to `create` before can take the model in.

    Raises:
        BadModel: the file is missing, damaged, foreign, of a version that this package cannot read, or lacks its
            extractor.
        BadConfig: the device is absent, or `detector` is no detector or not that of the model.
    """
    from dusnet.detectors.model_file import IMAGES, read_model
    from dusnet.detectors.own import named_before

    stored = read_model(path)
    name = stored.metadata["detector"]
    if name.startswith(IMAGES):
        raise BadModel(f"{path} judges images, not scans; give a model that `dusnet train` wrote.")
    if detector is not None:
        detector_class(detector)
    if ":" in name and not named_before(name):
        raise BadModel(
            f"{path} holds a model of {name[:80]!r}, a detector of somebody's own; name it with --detector or detector="
            " when its code is yours, because a model file never says which code is run."
        )
    if name not in DETECTORS and ":" not in name:
        raise BadModel(f"{path} holds a model of the unknown detector {name[:40]!r}; update dusnet or train again.")
    kind = detector_class(name)
    if detector is not None and detector_class(detector) is not kind:
        raise BadConfig(f"{path} is a model of the detector {name}, not of {detector}; leave the detector out.")
    if extractor is None and "parts" not in stored.metadata:
        return kind.from_stored(stored, device=device)
    from dusnet.detectors.feature_space.detector import FeatureSpace
    from dusnet.detectors.feature_space.many_parts import ManyParts

    if not issubclass(kind, FeatureSpace):
        return kind.from_stored(stored, device=device)
    if "parts" in stored.metadata:
        return ManyParts.from_stored(kind, stored, device=device, extractor=extractor)
    return kind.from_stored(stored, device=device, extractor=extractor)
