"""From good scans to a model file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.progress import Progress, Silent
from dusnet.training.processes import is_first, wait_for_all
from dusnet.units import require_unit

if TYPE_CHECKING:
    from dusnet.detectors import Detector, Scorer
    from dusnet.detectors.feature_space.many_parts import ManyParts
    from dusnet.detectors.settings import Settings


_OURS = (".safetensors", ".jsonl")
"""Suffixes of checkpoints and curves."""


def training_folder(model: Path) -> Path:
    """Where the checkpoints of a model are while it is trained: `MODEL.training` beside it."""
    return model.with_name(f"{model.name}.training")


def train_model(
    clouds: Sequence[PointCloud],
    settings: Settings,
    model: Path,
    *,
    class_name: str,
    unit: str = "mm",
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Detector:
    """Fit a detector, calibrate its threshold, and write the model file.

    After that the checkpoints are removed and the loss curves are in `MODEL.curves`. Under `torchrun` every process
    trains; the first one calibrates, reports and writes, the others return their detector without a threshold.

    Args:
        clouds: defect-free scans of one class, all in one unit.
        settings: which detector, and everything that it computes.
        model: the file to write.
        class_name: what the parts are called; kept in the model.
        unit: a key of `METRES`; kept in the model.
        seed: fixes everything that is random.
        device: `cpu`, `cuda` or `cuda:N`.
        resume: continue from the checkpoints of an interrupted training.
        provenance: what else to keep in the model about where the scans come from; anything JSON can hold.
        progress: where to report.

    Raises:
        BadInput: a scan cannot be used, or the scans do not show one part in one unit.
        BadConfig: the unit, the detector or the device does not exist, or the settings contradict each other.
        BadModel: the checkpoints to resume from belong to another training.
    """
    from dusnet.detectors import create

    progress = progress if progress is not None and is_first() else Silent()
    require_unit(unit)
    detector = create(settings.detector, settings, seed=seed, device=device)
    workdir = training_folder(model)
    detector.fit(clouds, progress=progress, workdir=workdir, resume=resume)
    kept = workdir.is_dir()
    facts = {**(provenance or {}), "class": class_name}
    _deliver(detector, [(detector, clouds, facts)], model, unit=unit, seed=seed, progress=progress)
    _say_what_is_lost(model, curves=kept, progress=progress)
    return detector


def train_for_parts(
    parts: Mapping[str, Sequence[PointCloud]],
    settings: Settings,
    model: Path,
    *,
    unit: str = "mm",
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    progress: Progress | None = None,
) -> ManyParts:
    """Fit one model to many parts, calibrate the threshold of each, and write the model file.

    Args:
        parts: defect-free scans of every part by its name, all in one unit.
        settings: as for `train_model`, and so are the other arguments.
        model: the file to write.
        unit: a key of `METRES`; kept in the model.
        seed: fixes everything that is random.
        device: `cpu`, `cuda` or `cuda:N`.
        resume: continue from the checkpoints of an interrupted training.
        progress: where to report.

    Raises:
        BadInput: a scan cannot be used, or those of a part do not show one part in one unit.
        BadConfig: the detector learns one part at a time, or as for `train_model`.
        BadModel: the checkpoints to resume from belong to another training.
    """
    from dusnet.detectors import create_for_parts

    progress = progress if progress is not None and is_first() else Silent()
    require_unit(unit)
    shared = create_for_parts(settings.detector, settings, seed=seed, device=device)
    workdir = training_folder(model)
    shared.fit(parts, progress=progress, workdir=workdir, resume=resume)
    kept = workdir.is_dir()
    parts_of = [(part, parts[name], {"class": name}) for name, part in shared.parts.items()]
    _deliver(shared, parts_of, model, unit=unit, seed=seed, progress=progress)
    _say_what_is_lost(model, curves=kept, progress=progress)
    return shared


def _deliver(
    scorer: Scorer,
    parts: Sequence[tuple[Detector, Sequence[PointCloud], Mapping[str, Any]]],
    model: Path,
    *,
    unit: str,
    seed: int,
    progress: Progress,
) -> None:
    """Calibrate what was fitted, and write it; only the first process does.

    Args:
        scorer: what the file is to hold.
        parts: the detectors in it, what each learned from, and what to keep about that.
        model: the file to write.
        unit: of the scans.
        seed: of the calibration.
        progress: where to report.
    """
    from dusnet.inspection.calibration import calibrate
    from dusnet.inspection.verdict import limit_words

    wait_for_all()
    if not is_first():
        return
    for detector, clouds, facts in parts:
        detector.calibration = calibrate(detector, clouds, seed=seed, progress=progress)
        detector.provenance |= facts
        threshold = detector.calibration.threshold(detector.settings.calibration.false_alarm)
        if detector.calibration.misses_small_defects(threshold):
            progress.log(f"{facts['class']}: {limit_words(threshold)}")
    scorer.provenance |= {"unit": unit}
    scorer.save(model)
    finish_training(model)
    if not model.is_file():
        raise BadInput(f"{model} was removed as soon as it was written; train again into another folder.")


def _say_what_is_lost(model: Path, *, curves: bool, progress: Progress) -> None:
    """Say that the curves of a training were removed after it and before its model was written; the model is whole.

    Args:
        model: the file that was written.
        curves: whether there were curves when the training ended.
        progress: where to report; only the first process does.
    """
    if curves and is_first() and not _curves_folder(model).is_dir():
        progress.log(f"{training_folder(model)} was removed meanwhile; {model} is whole, but its loss curves are lost.")


def require_own_folders(model: Path) -> None:
    """Refuse to train where the folders of checkpoints and curves would take the place of files of others.

    Raises:
        BadInput: `MODEL.training` or `MODEL.curves` is there and holds something else.
    """
    for folder in (training_folder(model), _curves_folder(model)):
        entries = folder.iterdir() if folder.is_dir() else [folder] if folder.exists() or folder.is_symlink() else []
        for entry in entries:
            if entry.name != "tensorboard" and not entry.name.startswith(".") and entry.suffix not in _OURS:
                raise BadInput(f"{entry} was not written by dusnet; move it away or choose another name for the model.")


def _curves_folder(model: Path) -> Path:
    return model.with_name(f"{model.name}.curves")


def finish_training(model: Path) -> None:
    """Drop the checkpoints of a finished training; its loss curves go to `MODEL.curves`, which nothing resumes from.

    Curves of an earlier training go away in any case: they are not those of this model.
    """
    workdir, curves = training_folder(model), _curves_folder(model)
    shutil.rmtree(curves, ignore_errors=True)
    if not workdir.is_dir():
        return
    for checkpoint in workdir.glob("*.checkpoint.*.safetensors"):
        checkpoint.unlink()
    workdir.rename(curves)
