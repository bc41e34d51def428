"""From good scans to a model: fit a detector, calibrate its threshold, write the model file if there is to be one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet import scans as given
from dusnet.cloud import PointCloud
from dusnet.data import Sample
from dusnet.detectors import asked_settings, create, create_for_parts
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput
from dusnet.inspection.calibration import calibrate
from dusnet.inspection.verdict import limit_words
from dusnet.io import file_sha256
from dusnet.model import Model
from dusnet.progress import Progress, Silent
from dusnet.training.folders import curves_folder, finish_training, training_folder
from dusnet.training.processes import is_first, wait_for_all
from dusnet.units import require_unit

if TYPE_CHECKING:
    from dusnet.detectors import Scorer
    from dusnet.scans import Scans


@dataclass(frozen=True)
class Training:
    """How models are trained.

    Attributes:
        settings: which detector, and everything that it computes.
        unit: of the scans; kept in the model.
        seed: fixes everything that is random.
        device: `cpu`, `cuda` or `cuda:N`.
        resume: continue from the checkpoints of an interrupted training.
        progress: where to report.

    Raises:
        BadConfig: the unit does not exist.
    """

    settings: Settings
    unit: str = "mm"
    seed: int = 0
    device: str = "cpu"
    resume: bool = False
    progress: Progress | None = None

    def __post_init__(self) -> None:
        require_unit(self.unit)

    @property
    def voice(self) -> Progress:
        """Where this process reports; only the first of several does."""
        return self.progress if self.progress is not None and is_first() else Silent()


def fit(
    source: Scans,
    *,
    unit: str = "mm",
    detector: str | None = None,
    config: str | Path | Settings | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Model:
    """Learn what a good part looks like, and calibrate the limit.

    Args:
        source: defect-free scans of one kind of part: a folder, files, clouds or arrays, a handful is enough.
        unit: of the scans: um, mm, cm, m, in or ft.
        detector: the method, None for the one of the settings.
        config: name of a configuration, a YAML file, or settings as they are.
        settings: single settings to change, such as `{"scoring.gap": 0}` or `["scoring.gap=0"]`.
        seed: fixes everything that is random.
        device: `cpu`, `cuda` or `cuda:N`.
        progress: where to report.

    Raises:
        BadInput: a scan cannot be used, or the scans do not show one part in one unit.
        BadConfig: the unit, a setting, the detector or the device does not exist.
    """
    chosen = _settings(config, settings, detector)
    name = "part"
    if isinstance(source, str | Path):
        name = Path(source).absolute().name if Path(source).is_dir() else Path(source).stem
    training = Training(chosen, unit=unit, seed=seed, device=device, progress=progress)
    entries = given.entries_of(source, say=training.voice.log)
    return train(read_training_scans(entries, name, training.voice), training, name=name)


def read_training_scans(
    entries: Sequence[Path | PointCloud | given.Loadable], name: str, progress: Progress
) -> list[PointCloud]:
    """The clouds of one part, read one after another; says what reading had to do, and what a folder holds besides.

    Args:
        entries: files, samples of a dataset, clouds or simulated scans.
        name: of the part.
        progress: where to report.

    Raises:
        BadInput: there is none, or one of them cannot be used.
    """
    for folder in dict.fromkeys(one.path.parent for one in entries if isinstance(one, Sample)):
        given.tell_left_out(folder, progress.log)
    clouds = []
    with progress.task(f"reading {name}", len(entries)) as task:
        for entry in entries:
            cloud = given.load(entry)
            cloud.require_usable()
            for note in cloud.notes:
                progress.log(f"{cloud.name}: {note}")
            clouds.append(cloud)
            task.advance()
    if not clouds:
        raise BadInput(f"{name} has no scans to learn from; name at least one.")
    return clouds


def _settings(
    config: str | Path | Settings | None, changes: Mapping[str, Any] | Sequence[str], detector: str | None
) -> Settings:
    if isinstance(changes, Mapping):
        words = [f"{key}={json.dumps(value, default=str)}" for key, value in changes.items()]
    else:
        words = [changes] if isinstance(changes, str) else list(changes)
    if not isinstance(config, Settings):
        return asked_settings(config, words, detector)
    if words or detector is not None:
        raise BadConfig("settings that are given as they are cannot be changed by others; change them before.")
    return config


def train(
    clouds: Sequence[PointCloud],
    training: Training,
    *,
    name: str,
    out: Path | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Model:
    """Fit a detector, calibrate its threshold, and write the model file where there shall be one.

    While it is trained, checkpoints are in `MODEL.training`; after that they are removed and the loss curves are in
    `MODEL.curves`. Under `torchrun` every process trains; the first one calibrates, reports and writes, the others
    return a model without a threshold.

    Args:
        clouds: defect-free scans of one class, all in one unit.
        training: how.
        name: what the parts are called; kept in the model.
        out: the file to write, None for none.
        provenance: what else to keep in the model about where the scans come from; anything JSON can hold.

    Raises:
        BadInput: a scan cannot be used, or the scans do not show one part in one unit.
        BadConfig: the detector or the device does not exist, or the settings contradict each other.
        BadModel: the checkpoints to resume from belong to another training.
    """
    detector = create(training.settings.detector, training.settings, seed=training.seed, device=training.device)
    workdir = None if out is None else training_folder(out)
    detector.fit(clouds, progress=training.voice, workdir=workdir, resume=training.resume)
    detector.add_provenance({**(provenance or {}), "class": name})
    return _finished(detector, [clouds], training, out)


def train_together(parts: Mapping[str, Sequence[PointCloud]], training: Training, *, out: Path | None = None) -> Model:
    """Fit one model to many parts, calibrate the threshold of each, and write the model file; see `train`.

    Args:
        parts: defect-free scans of every part by its name, all in one unit.
        training: how.
        out: the file to write, None for none.

    Raises:
        BadInput: a scan cannot be used, or those of a part do not show one part in one unit.
        BadConfig: the detector learns one part at a time, or as for `train`.
        BadModel: the checkpoints to resume from belong to another training.
    """
    settings = training.settings
    shared = create_for_parts(settings.detector, settings, seed=training.seed, device=training.device)
    workdir = None if out is None else training_folder(out)
    shared.fit(parts, progress=training.voice, workdir=workdir, resume=training.resume)
    for name, part in shared.parts.items():
        part.add_provenance({"class": name})
    return _finished(shared, [parts[name] for name in shared.parts], training, out)


def _finished(scorer: Scorer, clouds: Sequence[Sequence[PointCloud]], training: Training, out: Path | None) -> Model:
    """Calibrate what was fitted, and write it; only the first process does.

    Args:
        scorer: what was fitted.
        clouds: what each of its detectors learned from.
        training: how.
        out: the file to write, None for none.
    """
    curves = out is not None and training_folder(out).is_dir()
    wait_for_all()
    model = Model(scorer)
    if not is_first():
        return model
    for detector, known in zip(scorer.detectors, clouds, strict=True):
        calibration = calibrate(detector, known, seed=training.seed, progress=training.voice)
        detector.set_calibration(calibration)
        threshold = calibration.threshold(detector.settings.calibration.false_alarm)
        if calibration.misses_small_defects(threshold):
            training.voice.log(f"{detector.provenance['class']}: {limit_words(threshold)}")
    scorer.add_provenance({"unit": training.unit})
    if out is None:
        return model
    scorer.save(out)
    finish_training(out)
    if not out.is_file():
        raise BadInput(f"{out} was removed as soon as it was written; train again into another folder.")
    if curves and not curves_folder(out).is_dir():
        training.voice.log(
            f"{training_folder(out)} was removed meanwhile; {out} is whole, but its loss curves are lost."
        )
    return Model(scorer, out, file_sha256(out))
