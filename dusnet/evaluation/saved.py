"""What an evaluation keeps on disk between calls: finished rows, and checkpoints of unfinished trainings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dusnet.errors import BadInput, DusnetError
from dusnet.evaluation.plan import Plan, RowKey
from dusnet.evaluation.rows import Row, fingerprint, load_row, row_name, training_fingerprint
from dusnet.io import write_json
from dusnet.io.files import reason
from dusnet.io.marks import GENERATOR, Kind, require_replaceable

ALL_CLASSES = "all classes"
"""Stands for the class in the name of the work folder of one model."""
_MARK = f'{{\n  "generator": "{GENERATOR}",'.encode()
"""What the file of a row begins with, so that one that is damaged further on is still known as a row."""


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


def save_row(plan: Plan, wanted: RowKey, row: Row) -> None:
    """Write the file of a row, with the mark of dusnet.

    Raises:
        BadInput: it cannot be written, or a file of others is in its place.
    """
    target = target_of(plan, wanted)
    require_own_row(target)
    write_json(target, {"generator": GENERATOR, **row.record()})


def require_own_rows(plan: Plan, rows: Iterable[RowKey]) -> None:
    """Refuse an evaluation whose rows would take the place of files of others, before anything is computed.

    Raises:
        BadInput: one of them would.
    """
    for wanted in rows:
        require_own_row(target_of(plan, wanted))


def require_own_row(target: Path) -> None:
    """Refuse to replace what dusnet did not write; a row of dusnet that is damaged is computed and written again.

    Raises:
        BadInput: `target` is there and is no row, or cannot be read.
    """
    try:
        if target.is_file() and not target.is_symlink():
            with target.open("rb") as file:
                head = file.read(len(_MARK))
            if _MARK.startswith(head):
                return
    except OSError as error:
        raise BadInput(f"{target} cannot be read ({reason(error)}); move it away or choose another place.") from error
    require_replaceable(target, Kind.EVALUATION)


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
