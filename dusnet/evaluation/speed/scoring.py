"""Speed of scoring with a model, from a scan in memory to its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dusnet.cloud import PointCloud
from dusnet.detectors import load_model
from dusnet.detectors.registered import RegisteredDetector
from dusnet.errors import BadModel
from dusnet.evaluation.speed.timing import REPEATS, Timing, race
from dusnet.progress import Progress


def time_scoring(model: Path, sizes: Sequence[int], device: str, progress: Progress) -> list[Timing]:
    """Time the scoring of noisy copies of a model's own part, drawn to some sizes.

    Args:
        model: a model file.
        sizes: points per scan.
        device: `cpu`, `cuda` or `cuda:N`.
        progress: where to report.

    Raises:
        BadModel: the file cannot be used.
    """
    scorer = load_model(model, device=device)
    detector = scorer.detectors[0]
    if not isinstance(detector, RegisteredDetector):
        raise BadModel(f"{model} keeps no reference part to draw scans from; time a model of another detector.")
    reference = detector.class_frame.reference
    jitter = 0.002 * detector.class_frame.frame.scale
    generator = np.random.default_rng(0)
    found = []
    with progress.task("timing scores", len(sizes)) as task:
        for size in sizes:
            chosen = reference[generator.choice(len(reference), size, replace=size > len(reference))]
            cloud = PointCloud(chosen + generator.normal(scale=jitter, size=chosen.shape))
            what, run = f"score with {scorer.name}", partial(scorer.score, cloud)
            (timing,) = race(what, f"{size} points", {device: run}, device=device, repeats=REPEATS)
            found.append(replace(timing, ratio=None))
            task.advance()
    return found
