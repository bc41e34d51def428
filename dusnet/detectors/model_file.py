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
from dusnet.errors import BadModel
from dusnet.tensor_file import read_tensors, write_tensors

FORMAT = "dusnet-model"
VERSION = 1
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
    return Frame(np.asarray(data["rotation"], float), np.asarray(data["translation"], float), float(data["scale"]))


class MissingPart(Exception):
    """Something that a model needs and that was never in its file; the text names it."""


@contextmanager
def restoring(stored: StoredModel, what: str) -> Iterator[None]:
    """Turns what goes wrong when `what` is built from the contents of a model file into a sentence.

    Raises:
        BadModel: something is not in the file, or has another shape.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadModel(
            f"{stored.path} lacks a part of the {what}, or holds one of another shape; train again."
        ) from error
    except MissingPart as error:
        raise BadModel(f"{stored.path} lacks {error}.") from error


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


def read_model(path: Path) -> StoredModel:
    """Read a model file.

    Raises:
        BadModel: the file is missing, damaged, foreign, or newer than this package.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise BadModel(
            f"{path} is a dusnet {metadata.get('format', 'file')}, not a model; give the file of `train --out`."
        )
    if metadata.get("version") != VERSION:
        raise BadModel(
            f"{path} has model format {metadata.get('version')} but this dusnet reads format {VERSION}; "
            "train again or install the version that wrote it."
        )
    return StoredModel(path, metadata, tensors)
