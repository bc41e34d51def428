"""What `dusnet calibrate` does: score good scans, keep their scores in the model, say what follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dusnet.cli._common import scans_in
from dusnet.cli._streams import show
from dusnet.errors import BadConfig, BadInput
from dusnet.io import file_sha256, read_cloud
from dusnet.terminal import one_line
from dusnet.workflow import LoadedModel

if TYPE_CHECKING:
    from dusnet.cloud import PointCloud
    from dusnet.detectors import Detector
    from dusnet.detectors.base import Calibration
    from dusnet.progress import Progress

RATES = (0.1, 0.05, 0.02, 0.01)
KEPT = "calibrated_with"


def run(
    model: Path, paths: Sequence[Path], out: Path, *, unit: str | None, device: str, progress: Progress
) -> tuple[str, ...]:
    """Add good scans to the calibration of a model and write it.

    A file that was added before, or that the model learned from, is not added. The model is written once, at the end.

    Returns:
        A sentence per file that could not be used.

    Raises:
        BadModel: the model cannot be used.
        BadConfig: there is nothing new among the scans, or the unit does not exist.
        BadInput: none of the scans can be used.
    """
    loaded = LoadedModel.open(model, device=device)
    known = loaded.detector.provenance.get(KEPT, [])
    marks = {entry["sha256"] for entry in known}
    learned = {one for part in loaded.detector.detectors for one in part.provenance.get("training_sha256", []) if one}
    fresh = {}
    for path in scans_in(paths, progress.log):
        mark = file_sha256(path)
        if mark in learned:
            progress.log(f"{path} is left out: the model learned from it, so its score tells nothing about others.")
        elif mark in marks or mark in fresh:
            progress.log(f"{path} is among the scans of the calibration already.")
        else:
            fresh[mark] = path
    if not fresh:
        raise BadConfig(f"{model} has learned from all scans or has them in its calibration already; give others.")
    marks_of = {path: mark for mark, path in fresh.items()}

    def read(path: Path) -> PointCloud:
        cloud = read_cloud(path)
        if cloud.sha256 != marks_of[path]:
            raise BadInput(f"{path} was replaced while the calibration ran; give the same command again.")
        return cloud

    done = loaded.calibrate(list(fresh.values()), unit=unit, progress=progress, read=read)
    for sentence in done.refused:
        progress.log(sentence)
    added = [
        {"file": path.name, "sha256": mark, "object_score": score}
        for (mark, path), score in zip(fresh.items(), done.scores, strict=True)
        if score is not None
    ]
    lines = [line for one in done.calibrations for line in _summary(*one, named=len(loaded.detector.detectors) > 1)]
    for detector, calibration in done.calibrations:
        detector.calibration = calibration
    loaded.detector.provenance[KEPT] = [*known, *added]
    loaded.detector.save(out)
    for line in lines:
        show(line)
    progress.log(f"wrote {out}.")
    return done.failures


def _summary(detector: Detector, calibration: Calibration, *, named: bool) -> list[str]:
    """What a new calibration means for a detector that still has its old one."""
    part = f"{one_line(str(detector.provenance.get('class')))}: " if named else ""
    count = len(calibration.added) - (0 if detector.calibration is None else len(detector.calibration.added))
    total = f"{part}{count} good scans added, {len(calibration.object_scores)} in all."
    return [total, *(_line(calibration, rate) for rate in RATES)]


def _line(calibration: Calibration, rate: float) -> str:
    if not calibration.supports(rate):
        return f"{rate:>5.0%}: too few good scans to promise this rate"
    basis = "added scans alone" if calibration.basis(rate) is calibration.added else "simulated and real scans"
    return f"{rate:>5.0%}: threshold {calibration.threshold(rate):.4g} ({basis})"
