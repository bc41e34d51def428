"""From sources of scans to model files: which scans belong to which model, and one training per model."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet.data import Sample, open_dataset
from dusnet.detectors import create, create_for_parts
from dusnet.errors import BadConfig
from dusnet.fitting import Training, read_training_scans, train, train_together
from dusnet.io.marks import FileKind, require_replaceable
from dusnet.io.places import require_file
from dusnet.scans import files_in
from dusnet.training.folders import finish_training, require_own_folders, training_folder
from dusnet.training.processes import is_first, wait_for_all
from dusnet.words import counted, seconds

if TYPE_CHECKING:
    from dusnet.cad.simulation import CadScans, SimulatedScan
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


@dataclass(frozen=True)
class Sources:
    """What `dusnet train` learns from.

    Attributes:
        paths: scan files, or one folder.
        layout: how a folder is laid out.
        classes: of a dataset, none for all.
        one_model: all classes share one model file.
    """

    paths: Sequence[Path]
    layout: str = "auto"
    classes: Sequence[str] = ()
    one_model: bool = False

    def simulated(self, mesh: Path | None, numbers: Mapping[str, Any], seed: int) -> CadScans | None:
        """The scans that `train --cad` asks for, None where scans are given.

        Args:
            mesh: the CAD model.
            numbers: of `CadScans`, where they are given.
            seed: fixes everything that is random.

        Raises:
            BadConfig: there is neither or both, or an option belongs to the other.
        """
        if mesh is None:
            if numbers:
                raise BadConfig("--cad-scans, -variation, -noise and -points belong to --cad; name the mesh.")
            if not self.paths:
                raise BadConfig("there is nothing to learn from; name defect-free scans, or a mesh with --cad.")
            if self.layout == "shapes":
                raise BadConfig(
                    "--layout shapes is a command of its own now; give `dusnet pretrain ARCHIVE --out FILE`."
                )
            return None
        if self.paths:
            raise BadConfig("--cad makes the scans itself; leave out the scans, or --cad to learn from them.")
        if self.layout != "auto" or self.classes:
            raise BadConfig("--layout and --class belong to a dataset; leave them out with --cad.")
        if self.one_model:
            raise BadConfig("--one-model learns classes of a dataset; leave it out with --cad.")
        from dusnet.cad.simulation import CadScans

        return CadScans(mesh, seed=seed, **numbers)

    def work(self, out: Path, simulated: CadScans | None, progress: Progress) -> list[list[Work]]:
        """The models to train; the classes of each. Looks at names only, reads no scan.

        Args:
            out: a model file, or a folder for one model file per class.
            simulated: the scans to simulate in place of these sources.
            progress: where to report.

        Raises:
            BadInput: a source cannot be used.
            BadConfig: the arguments contradict each other, or `out` cannot be written.
        """
        if simulated is not None:
            made = simulated_class(simulated, out)
            for line in (simulated.united, *simulated.warnings):
                if line:
                    progress.log(line)
            return [[made]]
        found = self._classes(out)
        return [found] if self.one_model else [[one] for one in found]

    def _classes(self, out: Path) -> list[Work]:
        _require_suffix(out)
        single = out.suffix == SUFFIX
        if self.one_model and not single:
            raise BadConfig(f"--one-model writes one file but --out {out} is a folder; name a {SUFFIX} file.")
        if len(self.paths) == 1 and self.paths[0].is_dir():
            dataset = open_dataset(self.paths[0], self.layout)
            names = list(self.classes) or list(dataset.classes)
            if single and len(names) > 1 and not self.one_model:
                shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
                raise BadConfig(
                    f"{self.paths[0]} has {len(names)} classes ({shown}) but --out {out} is one model file; "
                    "choose one with --class, name a folder, or let them share it with --one-model."
                )
            scans: list[tuple[str, Sequence[Path | Sample]]] = [(name, dataset.train(name)) for name in names]
        else:
            if self.classes or self.one_model:
                raise BadConfig(
                    "--class and --one-model belong to a dataset; leave them out when the scans are named one by one."
                )
            scans = [(out.stem, files_in(self.paths))]
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
    require_replaceable(target, FileKind.MODEL, named=True)
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


def pretrain_on(source: Path, out: Path, training: Training, categories: Sequence[str] = ()) -> None:
    """Train on a pre-training archive and write weights for `training.init`.

    Args:
        source: ShapeNetPart or PU-Net data; see `dusnet.data.shape_archives`.
        out: the weights file.
        training: how; shapes have no unit.
        categories: of the archive, none for all.

    Raises:
        BadInput: the archive cannot be used.
        BadConfig: `out` is no weights file or cannot be written.
    """
    from dusnet.data.shape_archives import iterate_shapes
    from dusnet.detectors.dusnet_paper.pretraining import pretrain

    if out.suffix != SUFFIX:
        raise BadConfig(f"--out {out} must be a {SUFFIX} file when training on shapes; add the suffix.")
    require_model_file(out)
    shapes = (shape.points for shape in iterate_shapes(source, categories=list(categories) or None))
    count = pretrain(
        shapes,
        training.settings,
        out,
        seed=training.seed,
        device=training.device,
        workdir=training_folder(out),
        resume=training.resume,
        progress=training.voice,
    )
    wait_for_all()
    if is_first():
        finish_training(out)
    training.voice.log(
        f"Learned from {counted(count, 'shape')}, wrote {out}; start from it with --set training.init={out}."
    )


class Trainer:
    """Trains the models of one command.

    Args:
        training: how.
        one_model: several classes share a model.

    Raises:
        BadConfig: the detector or the device does not exist, or the settings contradict each other.
    """

    def __init__(self, training: Training, *, one_model: bool = False) -> None:
        self._training, self._one_model, self._progress = training, one_model, training.voice
        # What cannot be made must not wait for the scans to be read.
        settings = training.settings
        make = create_for_parts if one_model else create
        make(settings.detector, settings, seed=training.seed, device=training.device)

    def run(self, group: Sequence[Work]) -> None:
        """Train one model, of one class or of several that share it, and write it."""
        work, method = group[0], self._training.settings.detector
        if self._is_there(work):
            return
        start = time.monotonic()
        clouds = {one.name: read_training_scans(one.scans, one.name, self._progress) for one in group}
        if self._one_model:
            train_together(clouds, self._training, out=work.model)
            done = f"learned {counted(len(group), 'class', 'classes')} with {method}"
        else:
            known = clouds[work.name]
            train(known, self._training, name=work.name, out=work.model, provenance=work.provenance)
            done = f"{work.name}: learned from {counted(len(known), 'scan')} with {method}"
        self._progress.log(f"{done} in {seconds(time.monotonic() - start)}, wrote {work.model}.")

    def _is_there(self, work: Work) -> bool:
        """Whether the model is to be kept; says how the training begins."""
        interrupted = training_folder(work.model).exists()
        if self._training.resume and work.model.exists() and not interrupted:
            self._progress.log(f"{work.name}: {work.model} is already there and is kept.")
            return True
        if self._training.resume and not interrupted:
            self._progress.log(f"{work.name}: there is no interrupted training to resume; starting afresh.")
        elif interrupted and not self._training.resume:
            self._progress.log(f"{work.name}: starting afresh in place of an interrupted training.")
        return False

    def saved(self, work: Work) -> str:
        """What an interruption of `work` leaves behind, and how to go on."""
        folder = training_folder(work.model)
        if any(not path.name.startswith(".") for path in folder.glob(f"*{SUFFIX}")):
            return f"checkpoints of {work.name} are in {folder}; give the same command with --resume to continue."
        return f"{work.name} had no checkpoint yet and {work.model} was not written; models finished before are kept."
