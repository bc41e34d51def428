"""Tensors and JSON in one safetensors file. Reading one never runs code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dusnet.errors import BadModel
from dusnet.io import atomic_path


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata into one safetensors file, atomically."""
    from safetensors.torch import save_file

    contents = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(contents, temporary, metadata={"dusnet": json.dumps(metadata)})


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
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise BadModel(f"{path} is damaged or no model file; copy it again or train again.") from error
    if "dusnet" not in metadata:
        raise BadModel(
            f"{path} is a safetensors file of another program; give the file that `dusnet train --out` wrote."
        )
    return tensors, json.loads(metadata["dusnet"])
