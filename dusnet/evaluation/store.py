"""What an evaluation keeps on disk between calls: finished rows, and checkpoints of unfinished trainings.

A row is taken again when its fingerprint, a hash of all that it depends on, is the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dusnet import __version__
from dusnet.errors import BadInput, DusnetError
from dusnet.evaluation.rows import ROW_SCHEMA, Row
from dusnet.evaluation.setup import Evaluation, RowKey
from dusnet.io import parse_json, write_json
from dusnet.io.files import reason
from dusnet.io.marks import GENERATOR, FileKind, require_replaceable

if TYPE_CHECKING:
    from dusnet.data import Sample

ALL_CLASSES = "all classes"
"""Stands for the class in the name of the work folder of one model."""
_MARK = f'{{\n  "generator": "{GENERATOR}",'.encode()
"""What the file of a row begins with, so that one that is damaged further on is still known as a row."""


def finished_row(setup: Evaluation, key: RowKey) -> Row | None:
    """The row as an earlier call left it on disk; None when it has to be computed, also where a file is unreadable."""
    if not setup.resume or setup.on_scores is not None:
        return None
    try:
        return load_row(row_file(setup, key), fingerprint(setup, key))
    except DusnetError:
        return None  # computing the row reports it like any other failure


def load_row(path: Path, expected: str) -> Row | None:
    """The row saved at `path` when it has the `expected` fingerprint; None when it has not or is damaged."""
    try:
        row = Row.from_record(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent, cut off, or of another version: computing the row again is always right
    return row if row.fingerprint == expected else None


def save_row(setup: Evaluation, key: RowKey, row: Row) -> None:
    """Write the file of a row, with the mark of dusnet.

    Raises:
        BadInput: it cannot be written, or a file of others is in its place.
    """
    target = row_file(setup, key)
    _require_own(target)
    write_json(target, {"generator": GENERATOR, **row.record()})


def require_own_rows(setup: Evaluation, keys: Iterable[RowKey]) -> None:
    """Refuse rows that would take the place of files of others, before anything is computed.

    Raises:
        BadInput: one of them would, or cannot be read.
    """
    for key in keys:
        _require_own(row_file(setup, key))


def _require_own(target: Path) -> None:
    """A row of dusnet that is damaged is computed and written again; what dusnet did not write stays."""
    try:
        if target.is_file() and not target.is_symlink():
            with target.open("rb") as file:
                head = file.read(len(_MARK))
            if _MARK.startswith(head):
                return
    except OSError as error:
        raise BadInput(f"{target} cannot be read ({reason(error)}); move it away or choose another place.") from error
    require_replaceable(target, FileKind.EVALUATION)


def row_file(setup: Evaluation, key: RowKey) -> Path:
    """The file that keeps a row."""
    return setup.out / "rows" / f"{row_name(key.name, key.class_name, key.seed)}.json"


def workdir_of(setup: Evaluation, key: RowKey) -> Path:
    """Where the checkpoints are of the training that a row needs; one folder for all rows of one model."""
    name = row_name(key.name, ALL_CLASSES if setup.of(key).together else key.class_name, key.seed)
    return setup.out / "work" / f"{name}--{training_fingerprint(setup, key)[:12]}"


def row_name(detector: str, class_name: str, seed: int) -> str:
    """File name of a row without suffix: `detector--class--seedN`; a hash follows where characters are replaced."""
    words = []
    for text in (detector, class_name):
        safe = re.sub(r"[^\w.+-]", "_", text)
        words.append(safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}")
    return f"{words[0]}--{words[1]}--seed{seed}"


def training_fingerprint(setup: Evaluation, key: RowKey) -> str:
    """A hash of all that the training for a row depends on.

    It covers the detector, what it reads of the settings, weights that come with it, seed, device, version, and the
    training files of the classes that the model learns, their names and order. Files count with relative name, kind
    and size, so moving a dataset keeps its rows and changing one file drops them.

    Raises:
        BadInput: a listed file cannot be read.
    """
    return _hash(_training(setup, key))


def fingerprint(setup: Evaluation, key: RowKey) -> str:
    """A hash of all that a row depends on: its training, the corruption and the test files of its class.

    Raises:
        BadInput: a listed file cannot be read.
    """
    corruption = setup.of(key).corruption
    return _hash(
        {
            **_training(setup, key),
            "corruption": None if corruption is None else corruption.model_dump(mode="json"),
            "calibrate": setup.calibrate,
            "class": key.class_name,
            "test": _files(setup.dataset.test(key.class_name), setup.dataset.root),
        }
    )


def _training(setup: Evaluation, key: RowKey) -> dict[str, Any]:
    contender, dataset = setup.of(key), setup.dataset
    # The version stands for detectors of this package.
    outside = {"code": setup.code[key.name]} if setup.code.get(key.name) else {}
    return outside | {
        "schema": ROW_SCHEMA,
        "version": __version__,
        "detector": contender.detector,
        "settings": contender.read(),
        "brought": contender.weights_digest(),
        "together": contender.together,
        "seed": key.seed,
        "device": setup.device,
        "train": [[name, _files(dataset.train(name), dataset.root)] for name in key.learned],
    }


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _files(samples: Iterable[Sample], root: Path) -> list[tuple[str, str, int]]:
    listed = []
    for sample in samples:
        for path in (sample.path, sample.ground_truth):
            if path is None:
                continue
            try:
                size = path.stat().st_size
            except OSError as error:
                raise BadInput(f"{path} cannot be read ({error.strerror}); restore the file or take it out.") from error
            listed.append((relative(path, root), sample.kind, size))
    return listed


def relative(path: Path, root: Path) -> str:
    """`path` as seen from `root` when it lies inside, else as it is."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()
