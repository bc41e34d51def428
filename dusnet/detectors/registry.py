"""Detectors by name; the code of a method is imported when the method is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet.config import named_configs, read_tree
from dusnet.detectors.settings import Settings, settings_from
from dusnet.errors import BadConfig, BadModel

if TYPE_CHECKING:
    from dusnet.detectors.base import Detector, Scorer
    from dusnet.detectors.feature_space.features import Extractor
    from dusnet.detectors.feature_space.many_parts import ManyParts
    from dusnet.detectors.registered import RegisteredDetector

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
    "offset": "dusnet.detectors.peers.offset.detector:Offset",
    "cras": "dusnet.detectors.feature_space.cras_detector:CRAS",
    "pbas": "dusnet.detectors.feature_space.pbas_detector:PBAS",
    "crr": "dusnet.detectors.feature_space.crr_detector:CRR",
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
        BadConfig: the device is absent, or `detector` is no detector.
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
            f"{path} holds a model of {name[:80]!r}, a detector of somebody's own; name it with --detector when its "
            "code is yours, because a model file never says which code is run."
        )
    if name not in DETECTORS and ":" not in name:
        raise BadModel(f"{path} holds a model of the unknown detector {name[:40]!r}; update dusnet or train again.")
    kind = detector_class(name)
    if extractor is None and "parts" not in stored.metadata:
        return kind.from_stored(stored, device=device)
    from dusnet.detectors.feature_space.detector import FeatureSpace
    from dusnet.detectors.feature_space.many_parts import ManyParts

    if not issubclass(kind, FeatureSpace):
        return kind.from_stored(stored, device=device)
    if "parts" in stored.metadata:
        return ManyParts.from_stored(kind, stored, device=device, extractor=extractor)
    return kind.from_stored(stored, device=device, extractor=extractor)


def sections_read(name: str, *, together: bool = False) -> frozenset[str]:
    """The settings that a detector reads: sections, and `section.key` where it reads that one of a section.

    Args:
        name: as for `detector_class`.
        together: whether one model learns several parts.

    Raises:
        BadConfig: there is no detector of that name.
    """
    own = detector_class(name).settings_sections
    return own | {"parts"} if together else own


def read_by(settings: Settings, sections: frozenset[str]) -> dict[str, Any]:
    """The values of the settings that some sections name, as JSON."""
    include: dict[str, Any] = {}
    for one in sections:
        section, _, key = one.partition(".")
        if not key:
            include[section] = True
        elif include.get(section) is not True:
            include.setdefault(section, set()).add(key)
    return settings.model_dump(mode="json", include=include)


def asked_settings(
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    detector: str | None = None,
    *,
    beside: Sequence[str] = (),
    together: bool = False,
) -> Settings:
    """The settings that somebody asks for, of which the detector reads every one that is given.

    A configuration of the package may hold settings of several detectors; a file or a single value may not hold any
    that has no effect.

    Args:
        config: one of `dusnet.config.named_configs()`, a YAML file, or None for the defaults.
        overrides: `key.sub=value` strings.
        detector: as for `detector_class`; None leaves it to the settings.
        beside: other detectors that the same settings are given for; what one of them reads is not refused.
        together: whether one model learns several parts.

    Raises:
        BadConfig: as `load_settings` and `detector_class`, or a setting that is given is not read.
    """
    tree, source = read_tree(config, overrides)
    if detector is not None:
        tree["detector"] = detector
    settings = settings_from(tree, source)
    given = read_tree(None if config is not None and str(config) in named_configs() else config, overrides)[0]
    require_read(given, [settings.detector, *beside], together=together)
    return settings


def require_read(given: Mapping[str, Any], detectors: Sequence[str], *, together: bool = False) -> None:
    """Refuse settings that none of the chosen detectors reads.

    Args:
        given: section -> key -> value.
        detectors: names as for `detector_class`.
        together: whether one model learns several parts.

    Raises:
        BadConfig: it names one of them, and the detectors that read it.
    """
    read = frozenset[str]().union(*(sections_read(name, together=together) for name in detectors))
    for key in _leaves(given):
        if key == "detector" or _is_read(key, read):
            continue
        others = [name for name in DETECTORS if _is_read(key, sections_read(name))]
        if others:
            advice = f"{', '.join(others)} {'reads' if len(others) == 1 else 'read'} it (--detector)"
        else:
            advice = "one model of several parts reads it" if key.startswith("parts.") else "no detector of scans does"
        chosen = " and ".join(dict.fromkeys(detectors))
        raise BadConfig(f"Setting {key} has no effect, because {chosen} does not read it; {advice}.")


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _is_read(key: str, sections: frozenset[str]) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in sections)
