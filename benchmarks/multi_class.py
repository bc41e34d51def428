"""One model for all parts against one model per part: accuracy, whether parts are told apart, time, and size.

For every detector each class of a dataset gets a model of its own; with `--together` one model learns all classes.
Pooled figures take the scans of all classes as one set, with the object scores of each model divided by its threshold,
so that models are compared as they would be used.

Example:
    python benchmarks/multi_class.py reported/full-010 --alone patchcore,cras,dusnet --together cras
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from dusnet.config import load_settings
from dusnet.data import Dataset, Sample, open_dataset
from dusnet.detectors import Scorer, SeveralParts, create, create_for_parts
from dusnet.inspection.calibration import calibrate


@dataclass
class Scored:
    """What the test scans of the classes got.

    Attributes:
        rows: O-AUROC, P-AUROC and P-AP of every class.
        relative: object scores over the threshold of their model, all classes.
        truth: whether those scans are anomalous.
        recognized: whether each was taken for its class.
        seconds: per scan.
    """

    rows: list[list[float]] = field(default_factory=list)
    relative: list[float] = field(default_factory=list)
    truth: list[bool] = field(default_factory=list)
    recognized: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, name: str, scorer: Scorer, tests: Sequence[Sample]) -> None:
        """Score the test scans of one class."""
        objects, truth, points, labels = [], [], [], []
        for sample in tests:
            cloud = sample.load()
            start = time.perf_counter()
            scores = scorer.score(cloud, explain=False)
            self.seconds.append(time.perf_counter() - start)
            assert scores.threshold is not None
            objects.append(scores.object_score)
            truth.append(sample.anomalous)
            points.append(scores.point_scores)
            labels.append(np.zeros(len(cloud), bool) if cloud.labels is None else cloud.labels)
            self.relative.append(scores.object_score / scores.threshold)
            self.recognized.append(scores.part in (None, name))
        self.truth += truth
        every, all_labels = np.concatenate(points), np.concatenate(labels)
        self.rows.append(
            [
                roc_auc_score(truth, objects),
                roc_auc_score(all_labels, every),
                average_precision_score(all_labels, every),
            ]
        )


def size_of(scorers: Sequence[Scorer]) -> float:
    """Megabytes of the model files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        total = 0
        for scorer in scorers:
            scorer.save(path)
            total += path.stat().st_size
    return total / 1e6


def measured(
    data: Dataset, classes: Sequence[str], name: str, seed: int, changes: Sequence[str], *, together: bool
) -> str:
    settings = load_settings(None, changes)
    training = {one: [sample.load() for sample in data.train(one)] for one in classes}
    start = time.perf_counter()
    scorers: Mapping[str, Scorer]
    if together:
        shared = create_for_parts(name, settings, seed=seed)
        shared.fit(training)
        scorers = dict.fromkeys(classes, shared)
    else:
        alone = {one: create(name, settings, seed=seed) for one in classes}
        for one, detector in alone.items():
            detector.fit(training[one])
        scorers = alone
    fitted = time.perf_counter() - start
    found = Scored()
    for one, scorer in scorers.items():
        part = scorer.parts[one] if isinstance(scorer, SeveralParts) else scorer.each[0]
        part.calibration = calibrate(part, training[one], seed=seed)
    for one, scorer in scorers.items():
        found.add(one, scorer, data.test(one))
    mean = np.mean(found.rows, axis=0)
    pooled = roc_auc_score(found.truth, found.relative)
    size = size_of(list({id(one): one for one in scorers.values()}.values()))
    told = f"{np.mean(found.recognized):.3f}" if together else "–"
    models = "one for all" if together else "one per part"
    return (
        f"| {name} | {models} | {seed} | {mean[0]:.3f} | {pooled:.3f} | {mean[1]:.3f} | {mean[2]:.3f} | {told} "
        f"| {fitted:.0f} | {size:.1f} | {np.median(found.seconds):.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--alone", default="patchcore,cras,pbas,dusnet", help="detectors with a model per part")
    parser.add_argument("--together", default="cras", help="detectors with one model")
    parser.add_argument("--classes", help="only these, comma-separated")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    chosen = parser.parse_args()
    data = open_dataset(chosen.dataset)
    classes = chosen.classes.split(",") if chosen.classes else data.classes
    print("| detector | models | seed | O-AUROC | pooled | P-AUROC | P-AP | recognized | fit, s | MB | s per scan |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for seed in map(int, chosen.seeds.split(",")):
        for names, together in ((chosen.alone, False), (chosen.together, True)):
            for name in filter(None, names.split(",")):
                print(measured(data, classes, name, seed, chosen.changes, together=together), flush=True)


if __name__ == "__main__":
    main()
