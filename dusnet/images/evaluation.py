"""Train and judge the image form on a dataset: a row per method and class."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dusnet.config import Settings
from dusnet.errors import BadConfig
from dusnet.evaluation.metrics import measure
from dusnet.images.backbone import Backbone
from dusnet.images.dataset import ImageDataset, ImageSample
from dusnet.images.detector import METHODS, ImageDetector
from dusnet.images.preparation import read_image, read_mask, require_image
from dusnet.io import atomic_path, write_json, write_text
from dusnet.io.marks import MARKDOWN_MARK, Kind, require_replaceable, save_picture
from dusnet.io.places import require_folder
from dusnet.progress import Progress
from dusnet.terminal import table_cell
from dusnet.training.folders import finish_training, training_folder

COLUMNS = {
    "o_auroc": "I-AUROC",
    "o_ap": "I-AP",
    "p_auroc_pooled": "P-AUROC",
    "p_ap_pooled": "P-AP",
    "p_aupro": "AUPRO",
}
TOGETHER = "all-classes"
"""Name of the model file that all classes share."""
TABLES = {"settings.json": Kind.SETTINGS, "results.json": Kind.EVALUATION, "results.md": Kind.EVALUATION}


@dataclass(frozen=True)
class ImageRow:
    """What one class measured.

    Attributes:
        method: which.
        name: of the class.
        values: by the names of `dusnet.evaluation.metrics`, None where undefined.
        recognised: share of the test images that were taken for their class.
        images: how many test images there are.
        train_seconds: of the model, whichever classes it learned; None for a model that was there already.
        score_seconds: median per image, without reading the file.
    """

    method: str
    name: str
    values: dict[str, float | None]
    recognised: float
    images: int
    train_seconds: float | None
    score_seconds: float


@dataclass(frozen=True)
class Choices:
    """How a dataset is judged.

    Attributes:
        out: folder of models, tables and pictures.
        classes: names, at least one.
        one_model: one model learns all classes.
        maps: write a picture of the scores of every test image.
        resume: go on with interrupted trainings and keep models that are there.
        seed: fixes everything that is random.
        device: `cpu`, `cuda` or `cuda:N`.
    """

    out: Path
    classes: tuple[str, ...]
    one_model: bool
    maps: bool
    resume: bool
    seed: int
    device: str


def evaluate_images(
    dataset: ImageDataset,
    methods: Sequence[str],
    settings: Settings,
    choices: Choices,
    *,
    progress: Progress,
    backbone: Backbone | None = None,
) -> list[ImageRow]:
    """Train every method and judge the test images; writes models, tables and, if wanted, pictures.

    Args:
        dataset: where the images are.
        methods: keys of `METHODS`.
        settings: what they compute.
        choices: classes, models and files.
        progress: where to report.
        backbone: makes the feature maps; None is WideResNet50 of torchvision.

    Raises:
        BadInput: an image cannot be used.
        BadConfig: a method does not exist or learns one class at a time.
        BadModel: a model that is there cannot be used.
    """
    made: list[ImageDetector] = []
    for name in methods:
        if choices.one_model and name in METHODS and not METHODS[name].for_many:
            raise BadConfig(f"{name} learns one class at a time; leave out --one-model.")
        shared = made[0].backbone if made else backbone
        made.append(ImageDetector(name, settings, backbone=shared, seed=choices.seed, device=choices.device))
    groups = [choices.classes] if choices.one_model else [(name,) for name in choices.classes]
    # What cannot work must not wait for hours of training.
    require_folder(choices.out, [*TABLES, *(detector.name for detector in made)])
    targets = {choices.out / file: kind for file, kind in TABLES.items()}
    for detector in made:
        names = [TOGETHER] if choices.one_model else choices.classes
        targets |= {choices.out / detector.name / f"{name}.safetensors": Kind.MODEL for name in names}
    for path, kind in targets.items():
        require_replaceable(path, kind)
    for name in choices.classes:
        _require_usable(dataset, name, progress)
    write_json(choices.out / "settings.json", settings.model_dump(mode="json"))
    rows: list[ImageRow] = []
    for detector in made:
        for group in groups:
            trained, seconds = _trained(detector, dataset, group, choices, progress)
            rows += [_judged(trained, dataset, name, seconds, choices, progress) for name in group]
            _write(rows, choices.out)
    return rows


def _require_usable(dataset: ImageDataset, name: str, progress: Progress) -> None:
    """Refuse images that cannot be read, and masks of another size than their image; say which masks are missing."""
    tests = dataset.test(name)
    for path in (*dataset.train(name), *(sample.path for sample in tests)):
        require_image(path)
    bare = [sample.path for sample in tests if sample.anomalous and sample.mask is None]
    for sample in tests:
        if sample.mask is not None:
            require_image(sample.mask, like=sample.path)
    if bare:
        progress.log(f"{name}: {len(bare)} defective images have no mask ({bare[0]}), so pixels are not judged.")


def markdown(rows: Sequence[ImageRow]) -> str:
    """The rows as a table, the mean over the classes of each method last."""
    rows = [replace(row, name=table_cell(row.name)) for row in rows]
    lines = [
        f"| method | class | {' | '.join(COLUMNS.values())} | recognised | s per image |",
        f"|---|---|{'---:|' * (len(COLUMNS) + 2)}",
    ]
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        lines += [_line(row.method, row.name, row.values, row.recognised, row.score_seconds) for row in own]
        if len(own) > 1:
            known = {key: [value for row in own if (value := row.values[key]) is not None] for key in COLUMNS}
            mean = {key: float(np.mean(values)) if values else None for key, values in known.items()}
            recognised = float(np.mean([row.recognised for row in own]))
            lines.append(_line(method, "mean", mean, recognised, float(np.mean([row.score_seconds for row in own]))))
    return "\n".join(lines) + "\n"


def _line(method: str, name: str, values: dict[str, float | None], recognised: float, seconds: float) -> str:
    shown = ["–" if values[key] is None else f"{values[key]:.3f}" for key in COLUMNS]
    return f"| {method} | {name} | {' | '.join(shown)} | {recognised:.3f} | {seconds:.3f} |"


def _trained(
    detector: ImageDetector, dataset: ImageDataset, group: Sequence[str], choices: Choices, progress: Progress
) -> tuple[ImageDetector, float | None]:
    """A detector that knows the classes of a group, and how long it took to learn them."""
    name = TOGETHER if choices.one_model else group[0]
    model = choices.out / detector.name / f"{name}.safetensors"
    workdir = training_folder(model)
    if choices.resume and model.is_file() and not workdir.exists():
        progress.log(f"{detector.name}, {name}: {model} is already there and is kept.")
        there = ImageDetector.load(model, backbone=detector.backbone, device=choices.device)
        if set(there.parts) != set(group):
            raise BadConfig(f"{model} knows other classes ({', '.join(there.parts)}); leave out --resume.")
        if there.computes != detector.computes:
            raise BadConfig(f"{model} was trained with other settings or another seed; leave out --resume.")
        return there, None
    start = time.perf_counter()
    parts = {one: dataset.train(one) for one in group}
    detector.fit(parts, progress=progress, workdir=workdir, resume=choices.resume)
    detector.save(model)
    finish_training(model)
    seconds = time.perf_counter() - start
    progress.log(f"{detector.name}, {name}: learned in {seconds:.0f} s, wrote {model}.")
    return detector, seconds


def _judged(
    detector: ImageDetector,
    dataset: ImageDataset,
    name: str,
    train_seconds: float | None,
    choices: Choices,
    progress: Progress,
) -> ImageRow:
    tests = dataset.test(name)
    objects, pixels, masks, seconds, recognised = [], [], [], [], []
    with progress.task(f"Scoring {name}", len(tests)) as task:
        for sample in tests:
            crop = read_image(sample.path, detector.settings.images)
            start = time.perf_counter()
            scores = detector.score(crop)
            seconds.append(time.perf_counter() - start)
            objects.append(scores.object_score)
            pixels.append(scores.pixels)
            masks.append(_mask(sample, detector.settings))
            recognised.append(scores.part == name)
            task.advance()
    known = [mask for mask in masks if mask is not None]
    labelled = len(known) == len(masks)
    measured = measure(
        objects,
        [sample.anomalous for sample in tests],
        [one.ravel() for one in pixels],
        [mask.ravel() for mask in known] if labelled else None,
        [_regions(mask) for mask in known] if labelled else None,
    )
    if choices.maps:
        _draw(tests, pixels, detector, choices.out / detector.name / "maps" / name)
    return ImageRow(
        detector.name,
        name,
        {key: None if np.isnan(value) else value for key, value in measured.values.items()},
        float(np.mean(recognised)),
        len(tests),
        train_seconds,
        float(np.median(seconds)),
    )


def _mask(sample: ImageSample, settings: Settings) -> NDArray[np.bool_] | None:
    if not sample.anomalous:
        return np.zeros((settings.images.crop, settings.images.crop), dtype=bool)
    return None if sample.mask is None else read_mask(sample.mask, settings.images)


def _regions(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number of the connected piece that each pixel of a mask belongs to, corners count as connections, (S * S,)."""
    from scipy.ndimage import label

    numbers, _ = label(mask, structure=np.ones((3, 3)))
    return np.asarray(numbers, dtype=np.intp).ravel()


def _draw(
    tests: Sequence[ImageSample], pixels: Sequence[NDArray[np.float32]], detector: ImageDetector, folder: Path
) -> None:
    """Every test image beside its scores, on one scale from the lowest to the highest score of the class."""
    from PIL import Image
    from plotly.colors import sample_colorscale

    table = [
        [int(part) for part in color[4:-1].split(",")] for color in sample_colorscale("inferno", np.arange(256) / 255)
    ]
    colors = np.array(table, dtype=np.uint8)
    low, top = min(float(one.min()) for one in pixels), max(float(one.max()) for one in pixels)
    for sample, scores in zip(tests, pixels, strict=True):
        shade = np.clip((scores - low) / max(top - low, 1e-12) * 255, 0, 255).astype(np.uint8)
        both = np.concatenate([read_image(sample.path, detector.settings.images), colors[shade]], axis=1)
        target = folder / sample.kind / f"{sample.path.stem}.png"
        require_replaceable(target, Kind.PICTURE)
        with atomic_path(target) as temporary:
            save_picture(Image.fromarray(both), temporary)


def _write(rows: Sequence[ImageRow], out: Path) -> None:
    entries: list[dict[str, Any]] = [vars(row) for row in rows]
    write_json(out / "results.json", entries)
    write_text(out / "results.md", f"{MARKDOWN_MARK}\n\n{markdown(rows)}")
