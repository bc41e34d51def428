"""The main job on the embedded benchmark: make it, train, score, measure, draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dusnet.detectors.settings import Settings, load_settings
from dusnet.errors import BadInput, BadModel
from dusnet.fitting import Training, train
from dusnet.io import parse_json, write_json, write_text
from dusnet.io.places import require_folder
from dusnet.model import Model, load
from dusnet.progress import Progress, Silent
from dusnet.result import Result
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.training.folders import training_folder

if TYPE_CHECKING:
    from dusnet.data import Dataset
    from dusnet.display.panels import Panel

Metrics = dict[str, float | None]
Budget = Literal["short", "full"]
DETECTORS = ("dusnet", "nearest")
COLUMNS = (("o_auroc", "O-AUROC"), ("p_auroc_pooled", "P-AUROC"), ("o_ap", "O-AP"), ("p_ap_pooled", "P-AP"))
_PICTURED = 3  # parts in the picture of all
_METRICS = "metrics.json"
_TABLE, _PICTURE = "table.md", "demo.png"
_LABEL = "anomaly score / threshold"
# Chosen so that two cores need less than ten minutes.
_FULL_PARTS = ("bottle", "bracket", "gear", "tap")
_SHORT_PARTS = ("bracket", "cup")
_SHORT_SETTINGS = ("calibration.replicas=1",)


@dataclass(frozen=True)
class Plan:
    """What a budget comes to.

    Attributes:
        benchmark: the parts and scans to make.
        overrides: settings of the detectors that differ from the configuration `cpu-small`.
    """

    benchmark: BenchmarkSettings
    overrides: tuple[str, ...] = ()

    def settings(self, detector: str) -> Settings:
        """The settings of a detector."""
        return load_settings("cpu-small", [*self.overrides, f"detector={detector}"])


def plan_of(budget: Budget) -> Plan:
    """The plan of a budget; both run the same code."""
    if budget == "full":
        return Plan(BenchmarkSettings(parts=_FULL_PARTS, seed=0, variation=0.01))
    small = BenchmarkSettings(
        parts=_SHORT_PARTS, seed=0, variation=0.01, points=2000, train=2, good=2, per_kind=1, kinds=("bulge", "hole")
    )
    return Plan(small, _SHORT_SETTINGS)


def run(out: Path, *, budget: Budget = "full", progress: Progress | None = None) -> str:
    """Do everything that is not done yet, and say what came out.

    Args:
        out: folder; `benchmark/` gets the scans, `models/` the models, `results/` the scored scans, and `demo.png` and
            `table.md` what came out.
        budget: `full`, or `short` for fewer parts, scans and training steps.
        progress: where to report.

    Returns:
        The table, and where the files are.

    Raises:
        BadInput: `out` holds something else, or a demo of the other budget.
    """
    from dusnet.data import open_dataset
    from dusnet.synthesis.benchmark import write_benchmark

    progress = progress or Silent()
    plan = plan_of(budget)
    _claim(out)
    dataset = open_dataset(write_benchmark(out / "benchmark", plan.benchmark, progress=progress))
    measured: dict[str, dict[str, Metrics]] = {}
    with progress.task("demo", len(dataset.classes) * len(DETECTORS)) as task:
        for part in dataset.classes:
            for name in DETECTORS:
                task.describe(f"demo: {name} on {part}")
                work = _Work(out, dataset, part, plan.settings(name), progress)
                measured.setdefault(part, {})[name] = work.metrics()
                task.advance()
    _draw(out, dataset)
    table = _table(measured)
    write_text(out / _TABLE, table)
    remark = "" if budget == "full" else "The short budget only shows that everything runs; its figures say nothing.\n"
    return f"{table}{remark}\n{_places(out)}"


def _claim(out: Path) -> None:
    """Refuse a folder that cannot be written, or in which files of others have the names of ours."""
    from dusnet.synthesis.benchmark import MANIFEST

    require_folder(out, option="--out")
    if (out / "benchmark" / MANIFEST).is_file():
        return
    for name in (_TABLE, _PICTURE, "models", "results"):
        if (out / name).exists() or (out / name).is_symlink():
            raise BadInput(f"{out / name} was not written by this demo; move it away or choose another folder.")


@dataclass(frozen=True)
class _Work:
    """One detector on one part."""

    out: Path
    dataset: Dataset
    part: str
    settings: Settings
    progress: Progress

    @property
    def model(self) -> Path:
        return self.out / "models" / self.settings.detector / f"{self.part}.safetensors"

    @property
    def results(self) -> Path:
        return self.out / "results" / self.settings.detector / self.part

    def metrics(self) -> Metrics:
        """Those of an earlier run when they were measured with the model that is there, else new ones."""
        loaded = self._trained()
        kept = self.results / _METRICS
        try:
            record = parse_json(kept.read_text(encoding="utf-8"))
            if record["model_sha256"] == loaded.sha256:
                known: Metrics = {key: record["metrics"][key] for key, _ in COLUMNS}
                return known
        except (OSError, ValueError, KeyError, TypeError):
            pass  # absent, cut off, or of another version: measuring again is always right
        found = self._measured(loaded)
        write_json(kept, {"model_sha256": loaded.sha256, "metrics": found})
        return found

    def _trained(self) -> Model:
        if self.model.is_file():
            try:
                loaded = load(self.model)
            except BadModel:
                pass  # cut off or of another version: training again is always right
            else:
                if loaded.detector.settings == self.settings:
                    return loaded
        clouds = [sample.load() for sample in self.dataset.train(self.part)]
        training = Training(self.settings, resume=training_folder(self.model).is_dir(), progress=self.progress)
        try:
            return train(clouds, training, name=self.part, out=self.model)
        except BadModel:  # the checkpoints are of other settings
            return train(clouds, replace(training, resume=False), name=self.part, out=self.model)

    def _measured(self, loaded: Model) -> Metrics:
        from dusnet.evaluation.metrics import measure
        from dusnet.summary import write_summary

        tests = self.dataset.test(self.part)
        results, points, labels = [], [], []
        with self.progress.task(f"scoring {self.part}", len(tests)) as task:
            for sample in tests:
                cloud = sample.load(source="scan")
                result = loaded.score(cloud, stem=sample.name)
                result.write(self.results)
                results.append(result)
                points.append(result.point_scores)
                labels.append(np.zeros(len(cloud), dtype=np.bool_) if cloud.labels is None else cloud.labels)
                task.advance()
        write_summary(self.results, results)
        object_scores = [result.object_score for result in results]
        found = measure(object_scores, [sample.anomalous for sample in tests], points, labels).values
        return {key: None if math.isnan(found[key]) else found[key] for key, _ in COLUMNS}


def _table(measured: Mapping[str, Mapping[str, Metrics]]) -> str:
    """Markdown: per part and on average, every metric of both detectors, the better one in bold."""
    heads = [f"{title} {name}" for _, title in COLUMNS for name in DETECTORS]
    lines = [f"| part | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    rows = {part: {name: dict(found[name]) for name in DETECTORS} for part, found in measured.items()}
    rows["mean"] = {
        name: {key: _mean([found[name][key] for found in measured.values()]) for key, _ in COLUMNS}
        for name in DETECTORS
    }
    for part, found in rows.items():
        cells = [cell for key, _ in COLUMNS for cell in _cells([found[name][key] for name in DETECTORS])]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _cells(values: Sequence[float | None]) -> list[str]:
    best = max((value for value in values if value is not None), default=None)
    words = ["-" if value is None else f"{value:.3f}" for value in values]
    return [
        f"**{word}**" if value is not None and value == best else word
        for word, value in zip(words, values, strict=True)
    ]


def _draw(out: Path, dataset: Dataset) -> None:
    """One picture per part and one of the first parts together: the scores, the true defect, the part without it."""
    from dusnet.display.picture import draw_picture

    results = out / "results" / DETECTORS[0]
    measured = {part: (results / part / _METRICS).stat().st_mtime for part in dataset.classes}
    first = list(measured)[:_PICTURED]
    wanted = [(results / f"{part}.png", [part]) for part in measured]
    for target, parts in [*wanted, (out / _PICTURE, first)]:
        if target.is_file() and target.stat().st_mtime > max(measured[part] for part in parts):
            continue
        rows = [_panels(results / part, dataset, part, number) for number, part in enumerate(parts)]
        draw_picture(target, rows, threshold=1.0, label=_LABEL)


def _panels(folder: Path, dataset: Dataset, part: str, scene: int) -> list[Panel]:
    """The defective scan of a part that was found most clearly; scores are relative to the threshold for points."""
    from dusnet.colors.color_maps import label_colors
    from dusnet.display.panels import Panel

    results = {sample: Result.read(folder / f"{sample.name}.json") for sample in dataset.test(part) if sample.anomalous}
    sample = max(results, key=lambda one: results[one].object_score)
    result, truth, rebuilt = results[sample], sample.load(source="scan"), results[sample].reconstruction
    assert truth.labels is not None
    assert rebuilt is not None
    assert result.point_threshold is not None
    values = result.point_scores / result.point_threshold
    verdict = f"{part}: {result.verdict.status.value}"
    return [
        Panel("score of every point", result.cloud.points, values, caption=verdict, scene=scene),
        Panel("true defect", truth.points, colors=label_colors(truth.labels), caption=sample.kind, scene=scene),
        Panel("rebuilt without defects", rebuilt, caption=f"{len(rebuilt)} points", scene=scene),
    ]


def _places(out: Path) -> str:
    return (
        f"Scored scans (.scored.ply), verdicts (.json) and pictures (.png): {out / 'results' / DETECTORS[0]}\n"
        f"Picture of the first parts: {out / 'demo.png'}\n"
        f"This table: {out / 'table.md'}\n"
        f"Models, to score with `dusnet score MODEL SCAN --out DIR`: {out / 'models'}"
    )
