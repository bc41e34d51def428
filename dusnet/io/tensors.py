"""Tensors and JSON in one safetensors file. Reading one never runs code."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dusnet.errors import BadInput, BadModel
from dusnet.io import atomic_path, parse_json


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata into one safetensors file, atomically.

    Raises:
        BadInput: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    contents = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(metadata)
    try:
        with atomic_path(path) as temporary:
            save_file(contents, temporary, metadata={"dusnet": text, "sha256": _checksum(contents, text)})
    except SafetensorError as error:  # its own kind, also for what the system answers
        found = re.search(r"\(os error (\d+)\)", str(error))
        reason = os.strerror(int(found[1])) if found else " ".join(str(error).split())
        raise BadInput(f"{path} cannot be written ({reason}); make room or choose another place.") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises:
        BadModel: the file is missing, damaged, or was not written by dusnet.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise BadModel(f"There is no model file {path}; give the file that `dusnet train --out` wrote.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadModel(_damaged(path)) from error
    if "dusnet" not in header:
        raise BadModel(
            f"{path} is a safetensors file of another program; give the file that `dusnet train --out` wrote."
        )
    if header.get("sha256") != _checksum(tensors, header["dusnet"]):
        raise BadModel(_damaged(path))
    try:
        metadata = parse_json(header["dusnet"])
    except ValueError as error:
        raise BadModel(_damaged(path)) from error
    if not isinstance(metadata, dict):
        raise BadModel(_damaged(path))
    return tensors, metadata


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix.`, without it."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def _damaged(path: Path) -> str:
    return f"{path} is damaged or no model file; copy it again or train again."


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """Hash of everything in the file: safetensors itself notices a wrong length but not a wrong byte."""
    checksum = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        checksum.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        checksum.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return checksum.hexdigest()
