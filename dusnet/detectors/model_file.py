"""Model files: one safetensors file with weights, and JSON about them. Reading one never runs code."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dusnet.cloud import Frame
from dusnet.config import validated
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput, BadModel
from dusnet.io.stored import Unusable, entries, flag, mapping, number, numbers, text
from dusnet.io.tensors import read_tensors, write_tensors
from dusnet.terminal import one_line

FORMAT = "dusnet-model"
VERSION = 3
"""Raised when a model that an older version trained would get other scores: its limits were learned from those."""
SCALES = (1e-12, 1e12)
"""Between these the radius of a part lies, in any unit."""
KINDS = frozenset({torch.float32, torch.float64, torch.int64, torch.int32, torch.bool, torch.uint8})
"""What tensors of models hold."""
ADDED = "calibrated_with"
"""Where the provenance of a model keeps the good scans that were added to its calibration."""
LEARNED = ("learned.", "shared.", "networks.")
LARGEST_LEARNED = 1e6
"""Weights and features are in no unit, and below a thousand; with larger ones scores are no numbers."""
IMAGES = "images:"
"""What the name of a detector begins with that judges images."""


@dataclass(frozen=True)
class StoredModel:
    """The contents of a model file.

    Attributes:
        path: where it was read from.
        metadata: detector, settings, frame, calibration, versions.
        tensors: by name, on the CPU.
    """

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]


def frame_to_json(frame: Frame) -> dict[str, Any]:
    """A frame as plain numbers."""
    return {"rotation": frame.rotation.tolist(), "translation": frame.translation.tolist(), "scale": frame.scale}


def frame_from_json(data: Mapping[str, Any]) -> Frame:
    """The inverse of `frame_to_json`."""
    rows = [numbers(row, "rotation") for row in entries(data["rotation"], "rotation")]
    rotation = np.asarray(rows, float)
    translation = np.asarray(numbers(data["translation"], "translation"), float)
    if rotation.shape != (3, 3) or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6):
        raise Unusable("the rotation of its frame is none")
    if translation.shape != (3,):
        raise Unusable("the translation of its frame is no place in space")
    return Frame(rotation, translation, number(data["scale"], "radius", *SCALES))


class MissingPart(Exception):
    """Something that a model needs and that was never in its file; the text names it."""


@contextmanager
def restoring(stored: StoredModel, what: str) -> Iterator[None]:
    """Turns what goes wrong when `what` is built from the contents of a model file into a sentence.

    Raises:
        BadModel: something is not in the file, has another shape, or cannot be.
    """
    try:
        yield
    except Unusable as error:
        raise BadModel(f"{stored.path} holds no {what} that can be used, because {error}; train again.") from error
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError, BadInput) as error:
        raise BadModel(
            f"{stored.path} lacks a part of the {what}, or holds one of another shape; train again."
        ) from error
    except MissingPart as error:
        raise BadModel(f"{stored.path} lacks {error}.") from error


def settings_of(stored: StoredModel) -> Settings:
    """The settings that a model was made with.

    Raises:
        BadModel: there are none, or they do not exist or contradict each other.
    """
    try:
        return validated(Settings, stored.metadata["settings"], str(stored.path))
    except BadConfig as error:
        raise BadModel(f"{str(error).rstrip('.')}; train again or install the version that wrote the model.") from error


def provenance_of(data: Any) -> dict[str, Any]:
    """Where a model comes from, as far as something is done with it.

    Raises:
        Unusable: it is not what training and calibration write.
    """
    facts = mapping(data, "provenance")
    for key in ("training_scans", "training_sha256"):
        for one in entries(facts.get(key, []), key):
            if one is not None:
                text(one, key)
    if facts.get("class") is not None:
        text(facts["class"], "class")
    if facts.get("unit") is not None and not text(facts["unit"], "unit").isalpha():  # results and lines of text name it
        raise Unusable("its unit is no word")
    for one in entries(facts.get(ADDED, []), ADDED):
        text(mapping(one, ADDED)["sha256"], ADDED)
    if facts.get("cad") is not None:
        cad = mapping(facts["cad"], "cad")
        text(cad["file"], "name of the mesh")
        for key in ("scans", "variation", "noise"):
            number(cad[key], key)
        flag(cad.get("in_place", False), "place of the CAD model")  # absent in models of earlier versions
    return facts


def write_model(path: Path, detector: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write a model file.

    Args:
        path: the target, replaced as a whole.
        detector: name of the detector that can read the tensors.
        tensors: what it learned.
        metadata: JSON of what it needs besides.
    """
    from dusnet import __version__

    header = {
        "format": FORMAT,
        "version": VERSION,
        "detector": detector,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {"dusnet": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    write_tensors(path, tensors, {**header, **metadata})


def _word(data: Any) -> str:
    """What a file says of itself, as a word of a sentence, whatever somebody wrote there."""
    return one_line(str(data)[:40])


def read_model(path: Path) -> StoredModel:
    """Read a model file.

    Raises:
        BadModel: the file is missing, damaged, foreign, or older or newer than this package.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise BadModel(
            f"{path} is a dusnet {_word(metadata.get('format', 'file'))}, not a model; give the file of `train --out`."
        )
    version = metadata.get("version")
    if isinstance(version, int) and version < VERSION:
        raise BadModel(f"{path} was trained by an older version of dusnet, whose scores differ; train it again.")
    if version != VERSION:
        raise BadModel(
            f"{path} has model format {_word(version)} but this dusnet reads format {VERSION}; "
            "train again or install the version that wrote it."
        )
    if not isinstance(metadata.get("detector"), str):
        raise BadModel(f"{path} does not say which detector it is of; train again.")
    for name, value in tensors.items():
        if value.dtype not in KINDS or (value.is_floating_point() and not bool(value.isfinite().all())):
            raise BadModel(f"{path} holds NaN, infinite or foreign numbers in its tensor {name[:80]!r}; train again.")
        if name.startswith(LEARNED) and value.is_floating_point() and bool((value.abs() > LARGEST_LEARNED).any()):
            raise BadModel(f"{path} holds numbers that nothing learns in its tensor {name[:80]!r}; train again.")
    return StoredModel(path, metadata, tensors)
