"""The folders beside a model file: checkpoints while it is trained, loss curves afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

from dusnet.errors import BadInput

_OURS = (".safetensors", ".jsonl")
"""Suffixes of checkpoints and curves."""


def training_folder(model: Path) -> Path:
    """Where the checkpoints of a model are while it is trained: `MODEL.training` beside it."""
    return model.with_name(f"{model.name}.training")


def curves_folder(model: Path) -> Path:
    """Where the loss curves of a trained model are: `MODEL.curves` beside it."""
    return model.with_name(f"{model.name}.curves")


def require_own_folders(model: Path) -> None:
    """Refuse to train where the folders of checkpoints and curves would take the place of files of others.

    Raises:
        BadInput: `MODEL.training` or `MODEL.curves` is there and holds something else.
    """
    for folder in (training_folder(model), curves_folder(model)):
        entries = folder.iterdir() if folder.is_dir() else [folder] if folder.exists() or folder.is_symlink() else []
        for entry in entries:
            if entry.name != "tensorboard" and not entry.name.startswith(".") and entry.suffix not in _OURS:
                raise BadInput(f"{entry} was not written by dusnet; move it away or choose another name for the model.")


def finish_training(model: Path) -> None:
    """Drop the checkpoints of a finished training; its loss curves go to `MODEL.curves`, which nothing resumes from.

    Curves of an earlier training go away in any case: they are not those of this model.
    """
    workdir, curves = training_folder(model), curves_folder(model)
    shutil.rmtree(curves, ignore_errors=True)
    if not workdir.is_dir():
        return
    for checkpoint in workdir.glob("*.checkpoint.*.safetensors"):
        checkpoint.unlink()
    workdir.rename(curves)
