"""Train and score detectors on the classes of a dataset; every finished row is on disk at once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

from dusnet.errors import BadConfig, DusnetError
from dusnet.evaluation.compute import RowOutcome, outcome_of
from dusnet.evaluation.contender import Contender
from dusnet.evaluation.learning import UnitCache
from dusnet.evaluation.outside import code_mark, is_outside
from dusnet.evaluation.report import require_free, write_results
from dusnet.evaluation.rows import Row
from dusnet.evaluation.setup import Evaluation, RowKey, Unit, units_of
from dusnet.evaluation.store import finished_row, require_own_rows
from dusnet.evaluation.workers import in_processes
from dusnet.progress import Task

RENEW_SECONDS = 1.0


class ClassesFailed(DusnetError):
    """Classes could not be evaluated.

    Attributes:
        rows: those of the others, as `evaluate` would have returned them.
    """

    def __init__(self, text: str, rows: Sequence[Row]) -> None:
        super().__init__(text)
        self.rows = list(rows)


def evaluate(setup: Evaluation, *, classes: Sequence[str] | None = None, seeds: int = 1, jobs: int = 1) -> list[Row]:
    """One row per class, detector and seed: train on the class's good scans, score its test scans one by one.

    A contender that learns together is trained once per seed, on the good scans of all classes, and that one model
    scores the test scans of every class.

    A finished row is written to `out/rows/` at once, and `results.json`, `results.csv` and `results.md` are renewed
    after it, at most once a second and at the end, so a kill or Ctrl-C loses at most the row in progress. A class that
    fails does not stop the others.

    Args:
        setup: the dataset, the contenders, and where results go.
        classes: which classes, None for all.
        seeds: how many; the seeds are 0, 1, ...
        jobs: rows of so many classes at a time, each class in a process of its own with its share of the cores, and so
            is each model of all classes.

    Returns:
        The rows in the order class, detector, seed.

    Raises:
        BadConfig: a detector does not exist, or is to learn all classes together and cannot, or `seeds` or `jobs` is
            below 1.
        BadInput: an unknown class, or a result would take the place of a file that dusnet did not write.
        ClassesFailed: classes failed; the message names them, and the rows of the others are saved.
    """
    chosen = _unique(setup.dataset.classes if classes is None else classes)
    for what, count in (("seeds", seeds), ("jobs", jobs)):
        if count < 1:
            raise BadConfig(f"{what} is {count} but at least one is needed; leave it out or give 1 or more.")
    for name in chosen:
        setup.dataset.folder(name)  # raises with the nearest known names
    require_free(setup.out)
    code = {name: mark for name, one in setup.contenders.items() if (mark := _code_of(setup, one))}
    return compute_rows(replace(setup, code=code), units_of(setup.contenders, chosen, range(seeds)), jobs)


def compute_rows(setup: Evaluation, units: Sequence[Unit], jobs: int = 1) -> list[Row]:
    """The rows of an evaluation by class, contender and seed, from disk or computed; result files are written.

    Args:
        setup: what all rows have in common.
        units: the rows.
        jobs: processes at a time.

    Raises:
        BadInput: a row would take the place of a file that dusnet did not write.
        ClassesFailed: classes failed; the message names them, and the rows of the others are saved.
    """
    require_own_rows(setup, (key for unit in units for key in unit.rows))
    with setup.progress.task("evaluate", total=sum(len(unit.rows) for unit in units)) as task:
        results = _Results(setup, units, task)
        try:
            if jobs == 1:
                _in_turn(setup, units, results)
            else:
                _at_once(setup, units, results, jobs)
        finally:
            results.renew()
    if results.failed:
        first, *others = results.failed
        more = f" (failed too: {', '.join(f'{one} with {name}' for one, name in others)})" if others else ""
        raise ClassesFailed(
            f"{results.failed[first][1].rstrip('.')}{more}; finished rows are kept in {setup.out}, so mend it and run "
            "again.",
            results.ordered(),
        )
    return results.ordered()


def _code_of(setup: Evaluation, one: Contender) -> str:
    """A hash of the code of a detector from outside this package; empty for the others.

    The detector is made for it: a name that does not exist must not wait for hours of other work.
    """
    create = setup.create_for_parts if one.together else setup.create
    made = create(one.detector, one.settings, seed=0, device=setup.device)
    if not is_outside(create) and not is_outside(type(made)):
        return ""
    # Code without a source counts as changed.
    return code_mark(create, made) or uuid4().hex


def _unique(classes: Sequence[str]) -> list[str]:
    if isinstance(classes, str):
        raise TypeError(f"class names must be a sequence of names, got the one name {classes!r}")
    found = list(dict.fromkeys(classes))
    if not found:
        raise BadConfig("There is no class to evaluate; name at least one.")
    return found


class _Results:
    """What is there so far; renews the result files after a row, but not for each of many that come at once."""

    def __init__(self, setup: Evaluation, units: Sequence[Unit], task: Task) -> None:
        self._setup, self._task = setup, task
        self._classes = list(dict.fromkeys(key.class_name for unit in units for key in unit.rows))
        self._rows: dict[tuple[str, str, int], Row] = {}
        self.failed: dict[tuple[str, str], tuple[int, str]] = {}
        self._renewed = -math.inf

    def skip(self, key: RowKey) -> bool:
        """Whether the row is not worth computing, since this detector failed on this class before."""
        skipped = (key.class_name, key.name) in self.failed
        if skipped:
            self._task.advance()
        return skipped

    def describe(self, key: RowKey) -> None:
        self._task.describe(f"evaluate {key.name} on {key.class_name}, seed {key.seed}")

    def take(self, found: RowOutcome) -> None:
        key, seed = (found.key.class_name, found.key.name), found.key.seed
        if found.row is not None:
            self._rows[(*key, seed)] = found.row
        elif seed <= self.failed.get(key, (seed, ""))[0]:
            text = f"class {key[0]} ({key[1]}, seed {seed}): {found.failure}"
            self.failed[key] = (seed, text)
            self._setup.progress.log(f"failed: {text}")
        if time.monotonic() - self._renewed >= RENEW_SECONDS:
            self.renew()
        self._task.advance()

    def renew(self) -> None:
        write_results(self._setup, self.ordered(), [text for _, text in self.failed.values()])
        self._renewed = time.monotonic()

    def ordered(self) -> list[Row]:
        names = list(self._setup.contenders)
        order = sorted(self._rows, key=lambda key: (self._classes.index(key[0]), names.index(key[1]), key[2]))
        return [self._rows[key] for key in order]


def _in_turn(setup: Evaluation, units: Sequence[Unit], results: _Results) -> None:
    for unit in units:
        shared = UnitCache()
        for key in unit.rows:
            results.describe(key)
            if not results.skip(key):
                results.take(outcome_of(setup, key, shared))


def _at_once(setup: Evaluation, units: Sequence[Unit], results: _Results, jobs: int) -> None:
    work = []
    for unit in units:
        known_rows = {key: finished_row(setup, key) for key in unit.rows}
        for key, row in known_rows.items():
            if row is not None:
                results.take(RowOutcome(key, row))
        if missing := tuple(key for key, row in known_rows.items() if row is None):
            work.append(Unit(missing))
    if work:
        with closing(in_processes(setup, work, jobs, skip=results.skip)) as outcomes:
            for outcome in outcomes:
                results.describe(outcome.key)
                results.take(outcome)
