"""What `dusnet train` does: which scans belong to which model, and one training per class."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet.cli._common import comma_list, scans_in, seconds, tell_left_out
from dusnet.data import Sample, open_dataset
from dusnet.data.pretraining import iterate_shapes
from dusnet.detectors import create, create_for_parts
from dusnet.detectors.dusnet_paper.pretraining import pretrain
from dusnet.errors import BadConfig, BadInput
from dusnet.io import read_cloud
from dusnet.io.clouds import sort_folder
from dusnet.io.marks import Kind, require_replaceable
from dusnet.io.places import require_file
from dusnet.training.processes import is_first, wait_for_all
from dusnet.workflow import (
    finish_training,
    require_own_folders,
    require_unit,
    train_for_parts,
    train_model,
    training_folder,
)

if TYPE_CHECKING:
    from dusnet.cad.simulation import CadScans, SimulatedScan
    from dusnet.cloud import PointCloud
    from dusnet.detectors.settings import Settings
    from dusnet.progress import Progress

SUFFIX = ".safetensors"
_FILE_SUFFIX = re.compile(r"\.[A-Za-z][0-9A-Za-z_]*")
"""`.pth`, `.pt`, `.onnx`; not the end of a folder that is called after a date, a version or a measure."""


@dataclass(frozen=True)
class Work:
    """One model to train.

    Attributes:
        name: class of parts.
        scans: its defect-free scans, files, samples of a dataset or simulated ones.
        model: the file to write.
        provenance: what the model keeps about where they come from.
    """

    name: str
    scans: Sequence[Path | Sample | SimulatedScan]
    model: Path
    provenance: dict[str, Any] = field(default_factory=dict)


def read_classes(
    sources: Sequence[Path], out: Path, layout: str, wanted: str | None, *, one_model: bool = False
) -> list[Work]:
    """What to train from the arguments of `dusnet train`; looks at names only, reads no scan.

    Args:
        sources: scan files, or one folder.
        out: a model file, or a folder for one model file per class.
        layout: how a folder is laid out.
        wanted: names of classes, comma-separated, or None for all.
        one_model: all classes share the model file `out`.

    Raises:
        BadInput: a source cannot be used.
        BadConfig: the arguments contradict each other, or `out` cannot be written.
    """
    _require_suffix(out)
    single = out.suffix == SUFFIX
    if one_model and not single:
        raise BadConfig(f"--one-model writes one file but --out {out} is a folder; name a {SUFFIX} file.")
    if len(sources) == 1 and sources[0].is_dir():
        dataset = open_dataset(sources[0], layout)
        names = comma_list(wanted) or list(dataset.classes)
        if single and len(names) > 1 and not one_model:
            shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
            raise BadConfig(
                f"{sources[0]} has {len(names)} classes ({shown}) but --out {out} is one model file; "
                "choose one with --class, name a folder, or let them share it with --one-model."
            )
        scans: list[tuple[str, Sequence[Path | Sample]]] = [(name, dataset.train(name)) for name in names]
    else:
        if wanted is not None or one_model:
            raise BadConfig(
                "--class and --one-model belong to a dataset; leave them out when the scans are named one by one."
            )
        scans = [(out.stem, scans_in(sources))]
    work = [Work(name, found, out if single else out / f"{name}{SUFFIX}") for name, found in scans]
    for entry in work:
        require_model_file(entry.model)
    return work


def simulated_class(scans: CadScans, out: Path) -> Work:
    """What to train when a CAD model is all there is.

    Args:
        scans: the scans to simulate.
        out: a model file, or a folder that gets `PART.safetensors`.

    Raises:
        BadInput: the CAD model cannot be used.
        BadConfig: a value is out of range, or `out` cannot be written.
    """
    from dusnet.cad.simulation import SimulatedScan

    _require_suffix(out)
    scans.require_usable()
    name = scans.path.stem
    model = out if out.suffix == SUFFIX else out / f"{name}{SUFFIX}"
    require_model_file(model)
    found = [SimulatedScan(scans, index) for index in range(scans.count)]
    return Work(out.stem if out.suffix == SUFFIX else name, found, model, {"cad": scans.provenance()})


def require_model_file(target: Path) -> None:
    """Refuse a model file that could not be written, or is of others, before hours of training and not after.

    Raises:
        BadConfig: it is a folder, or cannot be written.
        BadInput: there is a file that is no model of dusnet, or a folder of others where checkpoints go.
    """
    if target.is_dir():
        raise BadConfig(f"--out {target} is a folder; name a file in it or leave off {SUFFIX}.")
    require_file(target)
    require_replaceable(target, Kind.MODEL, named=True)
    require_own_folders(target)


def require_new_model(out: Path) -> None:
    """Refuse a name for one model file that has no such suffix.

    Raises:
        BadConfig: it has another one, or none.
    """
    if out.suffix != SUFFIX:
        raise BadConfig(f"--out {out} is no model file; name it {out.stem}{SUFFIX}.")


def _require_suffix(out: Path) -> None:
    """Refuse a name that looks like a file of another kind: nobody wants a folder called `good.pth`."""
    if out.suffix != SUFFIX and _FILE_SUFFIX.fullmatch(out.suffix) and not out.is_dir():
        raise BadConfig(
            f"--out {out} ends in {out.suffix}; name a model file {out.stem}{SUFFIX}, or a folder without a suffix."
        )


def pretrain_on(
    source: Path,
    out: Path,
    settings: Settings,
    *,
    wanted: str | None,
    seed: int,
    device: str,
    resume: bool,
    progress: Progress,
) -> None:
    """Train on a pre-training archive and write weights for `training.init`.

    Args:
        source: ShapeNetPart or PU-Net data; see `dusnet.data.pretraining`.
        out: the weights file.
        settings: networks and training.
        wanted: categories, comma-separated, or None for all.
        seed: fixes everything that is random.
        device: where to train.
        resume: continue from checkpoints.
        progress: where to report.
    """
    if out.suffix != SUFFIX:
        raise BadConfig(f"--out {out} must be a {SUFFIX} file when training on shapes; add the suffix.")
    require_model_file(out)
    shapes = (shape.points for shape in iterate_shapes(source, categories=comma_list(wanted) or None))
    workdir = training_folder(out)
    count = pretrain(shapes, settings, out, seed=seed, device=device, workdir=workdir, resume=resume, progress=progress)
    wait_for_all()
    if is_first():
        finish_training(out)
    progress.log(f"Learned from {count} shapes, wrote {out}; start from it with --set training.init={out}.")


class Trainer:
    """Trains the models of one command.

    Raises:
        BadConfig: the detector, the device or the unit does not exist, or the settings contradict each other.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        seed: int,
        device: str,
        unit: str,
        resume: bool,
        progress: Progress,
        one_model: bool = False,
    ) -> None:
        self._settings, self._seed, self._device = settings, seed, device
        self._unit, self._resume, self._progress = require_unit(unit), resume, progress
        # What cannot be made must not wait for the scans to be read.
        (create_for_parts if one_model else create)(settings.detector, settings, seed=seed, device=device)

    def run(self, work: Work) -> None:
        """Train one model and write it."""
        if self._is_there(work):
            return
        start = time.monotonic()
        clouds = self._read(work)
        train_model(
            clouds,
            self._settings,
            work.model,
            class_name=work.name,
            unit=self._unit,
            seed=self._seed,
            device=self._device,
            resume=self._resume,
            provenance=work.provenance,
            progress=self._progress,
        )
        self._progress.log(
            f"{work.name}: learned from {len(clouds)} scans with {self._settings.detector} "
            f"in {seconds(time.monotonic() - start)}, wrote {work.model}."
        )

    def run_together(self, work: Sequence[Work]) -> None:
        """Train one model of several classes and write it."""
        model = work[0].model
        if self._is_there(work[0]):
            return
        start = time.monotonic()
        train_for_parts(
            {one.name: self._read(one) for one in work},
            self._settings,
            model,
            unit=self._unit,
            seed=self._seed,
            device=self._device,
            resume=self._resume,
            progress=self._progress,
        )
        self._progress.log(
            f"learned {len(work)} classes with {self._settings.detector} in {seconds(time.monotonic() - start)}, "
            f"wrote {model}."
        )

    def _is_there(self, work: Work) -> bool:
        """Whether the model is to be kept; says how the training begins."""
        interrupted = training_folder(work.model).exists()
        if self._resume and work.model.exists() and not interrupted:
            self._progress.log(f"{work.name}: {work.model} is already there and is kept.")
            return True
        if self._resume and not interrupted:
            self._progress.log(f"{work.name}: there is no interrupted training to resume; starting afresh.")
        elif interrupted and not self._resume:
            self._progress.log(f"{work.name}: starting afresh in place of an interrupted training.")
        return False

    def saved(self, work: Work) -> str:
        """What an interruption of `work` leaves behind, and how to go on."""
        folder = training_folder(work.model)
        if any(not path.name.startswith(".") for path in folder.glob(f"*{SUFFIX}")):
            return f"checkpoints of {work.name} are in {folder}; give the same command with --resume to continue."
        return f"{work.name} had no checkpoint yet and {work.model} was not written; models finished before are kept."

    def _read(self, work: Work) -> list[PointCloud]:
        clouds = []
        for folder in dict.fromkeys(scan.path.parent for scan in work.scans if isinstance(scan, Sample)):
            tell_left_out(folder, sort_folder(folder), self._progress.log)
        with self._progress.task(f"reading {work.name}", len(work.scans)) as task:
            for scan in work.scans:
                cloud = read_cloud(scan) if isinstance(scan, Path) else scan.load()
                cloud.require_usable()
                for note in cloud.notes:
                    self._progress.log(f"{cloud.name}: {note}")
                clouds.append(cloud)
                task.advance()
        if not clouds:
            raise BadInput(f"{work.name} has no scans to learn from; name at least one.")
        return clouds
