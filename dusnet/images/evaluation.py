"""Train and score the image form on a dataset: rows, tables and files as for scans, and the models besides."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.data import Dataset
from dusnet.data.sample import Sample
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig
from dusnet.evaluation.contender import Contender
from dusnet.evaluation.report import require_free
from dusnet.evaluation.rows import Row
from dusnet.evaluation.run import compute_rows
from dusnet.evaluation.setup import Evaluation, RowKey, units_of
from dusnet.evaluation.tables import Column
from dusnet.images.backbone import Backbone
from dusnet.images.dataset import Picture
from dusnet.images.detector import METHODS, ImageDetector, ImageScores
from dusnet.images.preparation import read_image, require_image
from dusnet.io import atomic_path, write_json
from dusnet.io.marks import FileKind, require_replaceable, save_picture
from dusnet.io.places import require_folder
from dusnet.progress import Progress
from dusnet.training.folders import finish_training, training_folder

COLUMNS: tuple[Column, ...] = (
    Column("o_auroc", "I-AUROC", 3),
    Column("o_ap", "I-AP", 3),
    Column("p_auroc_pooled", "P-AUROC", 3),
    Column("p_ap_pooled", "P-AP", 3),
    Column("p_aupro", "AUPRO", 3),
    Column("recognized", "recognised", 3),
    Column("score_seconds", "s per image", 3, higher_is_better=False),
)
TOGETHER = "all-classes"
"""Name of the model file that all classes share."""


@dataclass(frozen=True)
class ImageOptions:
    """How a dataset is evaluated.

    Attributes:
        out: folder of models, tables and pictures.
        classes: names, none for all.
        one_model: one model learns all classes.
        maps: write a picture of the scores of every test image.
        resume: go on with interrupted trainings, and keep rows and models that are there.
        seed: fixes everything that is random.
        device: `cpu`, `cuda` or `cuda:N`.
    """

    out: Path
    classes: Sequence[str]
    one_model: bool
    maps: bool
    resume: bool
    seed: int
    device: str


def evaluate_images(
    dataset: Dataset,
    methods: Sequence[str],
    settings: Settings,
    options: ImageOptions,
    *,
    progress: Progress,
    backbone: Backbone | None = None,
) -> list[Row]:
    """Train every method and score the test images; writes models, rows, tables and, if wanted, pictures.

    Args:
        dataset: what `open_images` returned for these settings.
        methods: keys of `METHODS`.
        settings: what they compute.
        options: classes, models and files.
        progress: where to report.
        backbone: makes the feature maps; None is WideResNet50 of torchvision.

    Raises:
        BadInput: an image cannot be used, or a class does not exist.
        BadConfig: a method does not exist or learns one class at a time.
        DusnetError: classes failed; the message names them.
    """
    for name in methods:
        if options.one_model and name in METHODS and not METHODS[name].for_many:
            raise BadConfig(f"{name} learns one class at a time; leave out --one-model.")
        backbone = ImageDetector(name, settings, backbone=backbone, device=options.device).backbone
    classes = list(dict.fromkeys(options.classes)) or list(dataset.classes)
    folders = [dataset.folder(name) for name in classes]
    # What cannot work must not wait for hours of training.
    require_free(options.out)
    require_folder(options.out, ["settings.json", *methods])
    require_replaceable(options.out / "settings.json", FileKind.SETTINGS)
    for model in (TOGETHER,) if options.one_model else classes:
        for name in methods:
            require_replaceable(options.out / name / f"{model}.safetensors", FileKind.MODEL)
    for folder in folders:
        _require_usable(dataset, folder.name, progress)
    write_json(options.out / "settings.json", settings.model_dump(mode="json"))

    def create(name: str, settings: Settings, *, seed: int, device: str) -> Any:
        method = name.removeprefix("images.")
        detector = ImageDetector(method, settings, backbone=backbone, seed=seed, device=device)
        return _Kept(detector, options.out / method, resume=options.resume)

    def draw(key: RowKey, tests: Sequence[Sample], scores: Sequence[NDArray[np.float32]]) -> None:
        _draw(tests, scores, settings, options.out / key.name / "maps" / key.class_name)

    setup = Evaluation(
        dataset=dataset,
        contenders={one: Contender(one, f"images.{one}", settings, together=options.one_model) for one in methods},
        out=options.out,
        device=options.device,
        progress=progress,
        resume=options.resume,
        calibrate=False,
        create=create,
        create_for_parts=create,
        columns=COLUMNS,
        regions=_regions,
        on_scores=draw if options.maps else None,
    )
    return compute_rows(setup, units_of(setup.contenders, classes, [options.seed]))


class _Kept:
    """An image detector as the evaluation trains it: its model is kept in a folder, and taken from there on resuming.

    Args:
        detector: untrained.
        folder: of the models of its method.
        resume: whether a model that is there is taken.
    """

    def __init__(self, detector: ImageDetector, folder: Path, *, resume: bool) -> None:
        self._detector, self._folder, self._resume = detector, folder, resume
        self.name, self.save = detector.name, detector.save

    def fit(
        self,
        pictures: Sequence[Picture] | Mapping[str, Sequence[Picture]],
        *,
        progress: Progress,
        workdir: Path,
        resume: bool,
    ) -> None:
        """Learn one class, or all by name; a model that is there is taken unless a training was interrupted."""
        together = isinstance(pictures, Mapping)
        parts = pictures if isinstance(pictures, Mapping) else {pictures[0].class_name: pictures}
        name = TOGETHER if together else next(iter(parts))
        model = self._folder / f"{name}.safetensors"
        if self._resume and model.is_file() and not resume:
            progress.log(f"{self.name}, {name}: {model} is already there and is kept.")
            self._detector = self._loaded(model, set(parts))
        else:
            self._detector.fit(parts, progress=progress, workdir=workdir, resume=resume)
            self._detector.save(model)
            shutil.rmtree(training_folder(model), ignore_errors=True)
            workdir.rename(training_folder(model))
            finish_training(model)
            progress.log(f"{self.name}, {name}: wrote {model}.")
        self.save = self._detector.save

    def _loaded(self, model: Path, names: set[str]) -> ImageDetector:
        there = ImageDetector.load(model, backbone=self._detector.backbone, device=str(self._detector.device))
        if set(there.parts) != names:
            raise BadConfig(f"{model} knows other classes ({', '.join(there.parts)}); leave out --resume.")
        if there.computes != self._detector.computes:
            raise BadConfig(f"{model} was trained with other settings or another seed; leave out --resume.")
        return there

    def score(self, picture: Picture, *, explain: bool) -> ImageScores:
        """Score one image."""
        del explain
        return self._detector.score(picture)


def _require_usable(dataset: Dataset, name: str, progress: Progress) -> None:
    """Refuse images that cannot be read, and masks of another size than their image; say which masks are missing."""
    tests = dataset.test(name)
    for sample in (*dataset.train(name), *tests):
        require_image(sample.path)
        if sample.ground_truth is not None:
            require_image(sample.ground_truth, like=sample.path)
    bare = [sample.path for sample in tests if sample.anomalous and sample.ground_truth is None]
    if bare:
        progress.log(f"{name}: {len(bare)} defective images have no mask ({bare[0]}); pixel metrics are left out.")


def _regions(picture: Picture, labels: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number of the connected piece that each pixel belongs to, corners count as connections, (S * S,)."""
    from scipy.ndimage import label

    numbers, _ = label(labels.reshape(picture.pixels.shape[:2]), structure=np.ones((3, 3)))
    return np.asarray(numbers, dtype=np.intp).ravel()


def _draw(tests: Sequence[Sample], scores: Sequence[NDArray[np.float32]], settings: Settings, folder: Path) -> None:
    """Every test image beside its scores, on one scale from the lowest to the highest score of the class."""
    from PIL import Image
    from plotly.colors import sample_colorscale, unlabel_rgb

    colors = np.array([unlabel_rgb(one) for one in sample_colorscale("inferno", np.arange(256) / 255)]).astype(np.uint8)
    low, top = min(float(one.min()) for one in scores), max(float(one.max()) for one in scores)
    for sample, values in zip(tests, scores, strict=True):
        image = read_image(sample.path, settings.images)
        shade = np.clip((values - low) / max(top - low, 1e-12) * 255, 0, 255).astype(np.uint8)
        both = np.concatenate([image, colors[shade.reshape(image.shape[:2])]], axis=1)
        target = folder / sample.kind / f"{sample.path.stem}.png"
        require_replaceable(target, FileKind.PICTURE)
        with atomic_path(target) as temporary:
            save_picture(Image.fromarray(both), temporary)
