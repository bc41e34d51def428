"""What an evaluation keeps on disk between calls: finished rows, and checkpoints of unfinished trainings."""

from __future__ import annotations

from pathlib import Path

from dusnet.errors import DusnetError
from dusnet.evaluation.plan import Plan, RowKey
from dusnet.evaluation.rows import Row, fingerprint, load_row, row_name, training_fingerprint

ALL_CLASSES = "all classes"
"""Stands for the class in the name of the work folder of one model."""


def finished_row(plan: Plan, wanted: RowKey) -> Row | None:
    """The row as an earlier call left it on disk, or None when it has to be computed.

    Raises:
        BadInput: a file that it depends on cannot be read.
    """
    return load_row(target_of(plan, wanted), mark_of(plan, wanted)) if plan.resume else None


def row_if_finished(plan: Plan, wanted: RowKey) -> Row | None:
    """The same, and None too when a file cannot be read: computing the row reports that like any other failure."""
    try:
        return finished_row(plan, wanted)
    except DusnetError:
        return None


def target_of(plan: Plan, wanted: RowKey) -> Path:
    """The file that keeps a row."""
    return plan.out / "rows" / f"{row_name(wanted.name, wanted.class_name, wanted.seed)}.json"


def mark_of(plan: Plan, wanted: RowKey) -> str:
    """The fingerprint that a row must have."""
    return fingerprint(
        plan.dataset,
        wanted.class_name,
        plan.contenders[wanted.name],
        learned=wanted.learned,
        seed=wanted.seed,
        device=plan.device,
        calibrate=plan.calibrate,
        code=plan.code.get(wanted.name, ""),
    )


def workdir_of(plan: Plan, wanted: RowKey) -> Path:
    """Where the checkpoints are of the training that a row needs; one folder for all rows of one model."""
    contender = plan.contenders[wanted.name]
    mark = training_fingerprint(
        plan.dataset,
        contender,
        wanted.learned,
        seed=wanted.seed,
        device=plan.device,
        code=plan.code.get(wanted.name, ""),
    )
    name = row_name(wanted.name, ALL_CLASSES if contender.together else wanted.class_name, wanted.seed)
    return plan.out / "work" / f"{name}--{mark[:12]}"
