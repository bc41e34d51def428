"""Train and score detectors on the classes of a dataset; every finished row is on disk at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from dusnet.errors import BadConfig, BadInput, DusnetError
from dusnet.evaluation.compute import Outcome, outcome_of
from dusnet.evaluation.learning import UnitCache
from dusnet.evaluation.outside import code_mark, is_outside
from dusnet.evaluation.plan import Contender, Create, CreateForParts, Plan, RowKey, Unit, units_of
from dusnet.evaluation.report import require_free, write_results
from dusnet.evaluation.rows import Row
from dusnet.evaluation.saved import require_own_rows, row_if_finished
from dusnet.evaluation.workers import in_processes
from dusnet.progress import Progress, Silent, Task

if TYPE_CHECKING:
    from dusnet.data import Dataset
    from dusnet.detectors.settings import Settings
    from dusnet.evaluation.studies import Study

RENEW_SECONDS = 1.0


def evaluate(
    dataset: Dataset,
    detectors: Sequence[str | Contender],
    *,
    settings: Settings | Mapping[str, Settings] | None = None,
    classes: Sequence[str] | None = None,
    seeds: int = 1,
    out: Path,
    device: str = "cpu",
    progress: Progress | None = None,
    resume: bool = True,
    calibrate: bool = True,
    jobs: int = 1,
    create: Create | None = None,
    create_for_parts: CreateForParts | None = None,
    study: Study | None = None,
) -> list[Row]:
    """One row per class, detector and seed: train on the class's good scans, score its test scans one by one.

    A contender that learns together is trained once per seed, on the good scans of all classes, and that one model
    scores the test scans of every class.

    A finished row is written to `out/rows/` at once, and `results.json`, `results.csv` and `results.md` are renewed
    after it, at most once a second and at the end, so a kill or Ctrl-C loses at most the row in progress. A class that
    fails does not stop the others.

    Args:
        dataset: what `dusnet.data.open_dataset` returned.
        detectors: names, see `dusnet.detectors.DETECTORS`, or contenders, which bring their own settings.
        settings: for all detectors that are given by name, or one per name.
        classes: which classes, None for all.
        seeds: how many; the seeds are 0, 1, ...
        out: folder of the results, made when absent.
        device: `cpu`, `cuda` or `cuda:N`.
        progress: where to report; None is silent.
        resume: take finished rows, and checkpoints of an unfinished one, from `out` when they were computed from the
            same settings, files and version; False computes everything again.
        calibrate: give each detector its threshold from good scans, as training a model for use does, so that the rows
            can say how many good scans it calls anomalous and how many anomalous ones it finds.
        jobs: rows of so many classes at a time, each class in a process of its own with its share of the cores, and so
            is each model of all classes. A script that asks for more than one must keep its own work under
            `if __name__ == "__main__":`.
        create: makes a detector from `(name, settings, seed=, device=)`; None takes `dusnet.detectors.create`. With
            several jobs it must be a function of a module.
        create_for_parts: the same for one model of all classes; None takes `dusnet.detectors.create_for_parts`.
        study: where the contenders come from, for the result files; see `dusnet.evaluation.studies.contenders`.

    Returns:
        The rows in the order class, detector, seed.

    Raises:
        BadConfig: a detector has no settings or does not exist, is to learn all classes together and cannot, two
            contenders have one name, or `seeds` or `jobs` is below 1.
        BadInput: an unknown class, or a result would take the place of a file that dusnet did not write.
        DusnetError: classes failed; the message names them, and the rows of the others are saved.
    """
    from dusnet import detectors as known

    contenders = _contenders(detectors, settings)
    chosen = _unique(dataset.classes if classes is None else classes, "class")
    for what, number in (("seeds", seeds), ("jobs", jobs)):
        if number < 1:
            raise BadConfig(f"{what} is {number} but at least one is needed; leave it out or give 1 or more.")
    for name in chosen:
        if name not in dataset.classes:
            dataset.train(name)  # raises with the nearest known names
            raise BadInput(f"{dataset.root} has no class {name!r}; choose from {', '.join(dataset.classes)}.")
    plan = Plan(
        dataset=dataset,
        contenders=contenders,
        out=out,
        device=device,
        progress=progress if progress is not None else Silent(),
        resume=resume,
        calibrate=calibrate,
        create=create if create is not None else known.create,
        create_for_parts=create_for_parts if create_for_parts is not None else known.create_for_parts,
        study=study,
    )
    require_free(out)
    code = {name: mark for name, one in contenders.items() if (mark := _code_of(plan, one))}
    return _run(replace(plan, code=code), chosen, seeds, jobs)


def _code_of(plan: Plan, one: Contender) -> str:
    """What tells the code of a detector that is none of this package's; empty for the others.

    The detector is made for it: a name that does not exist must not wait for hours of other work.
    """
    create = plan.create_for_parts if one.together else plan.create
    made = create(one.detector, one.settings, seed=0, device=plan.device)
    if not is_outside(create) and not is_outside(type(made)):
        return ""
    # Code that cannot be told from other code is never the same again.
    return code_mark(create, made) or uuid4().hex


def _contenders(
    detectors: Sequence[str | Contender], settings: Settings | Mapping[str, Settings] | None
) -> dict[str, Contender]:
    if isinstance(detectors, str):
        raise TypeError(f"detector names must be a sequence of names, got the one name {detectors!r}")
    found: dict[str, Contender] = {}
    for one in detectors:
        if isinstance(one, str):
            if one in found:
                continue
            own = settings.get(one) if isinstance(settings, Mapping) else settings
            if own is None:
                raise BadConfig(f"There are no settings for the detector {one!r}; give one entry per detector.")
            one = Contender(one, one, own)
        if one.name in found:
            raise BadConfig(f"Two contenders are called {one.name!r}; give each its own name.")
        found[one.name] = one.narrowed()
    if not found:
        raise BadConfig("There is no detector to evaluate; name at least one.")
    return found


def _unique(names: Sequence[str], what: str) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"{what} names must be a sequence of names, got the one name {names!r}")
    found = list(dict.fromkeys(names))
    if not found:
        raise BadConfig(f"There is no {what} to evaluate; name at least one.")
    return found


class _Results:
    """What is there so far; renews the result files after a row, but not for each of many that come at once."""

    def __init__(self, plan: Plan, classes: list[str], task: Task) -> None:
        self._plan, self._classes, self._task = plan, classes, task
        self.rows: dict[tuple[str, str, int], Row] = {}
        self.failed: dict[tuple[str, str], tuple[int, str]] = {}
        self._renewed = -math.inf

    def skip(self, wanted: RowKey) -> bool:
        """Whether the row is not worth computing, since this detector failed on this class before."""
        skipped = (wanted.class_name, wanted.name) in self.failed
        if skipped:
            self._task.advance()
        return skipped

    def describe(self, wanted: RowKey) -> None:
        self._task.describe(f"evaluate {wanted.name} on {wanted.class_name}, seed {wanted.seed}")

    def take(self, found: Outcome) -> None:
        key, seed = (found.wanted.class_name, found.wanted.name), found.wanted.seed
        if found.row is not None:
            self.rows[(*key, seed)] = found.row
        elif seed <= self.failed.get(key, (seed, ""))[0]:
            text = f"class {key[0]} ({key[1]}, seed {seed}): {found.failure}"
            self.failed[key] = (seed, text)
            self._plan.progress.log(f"failed: {text}")
        if time.monotonic() - self._renewed >= RENEW_SECONDS:
            self.renew()
        self._task.advance()

    def renew(self) -> None:
        write_results(self._plan, self.ordered(), [text for _, text in self.failed.values()])
        self._renewed = time.monotonic()

    def ordered(self) -> list[Row]:
        names = list(self._plan.contenders)
        order = sorted(self.rows, key=lambda key: (self._classes.index(key[0]), names.index(key[1]), key[2]))
        return [self.rows[key] for key in order]


def _run(plan: Plan, classes: list[str], seeds: int, jobs: int) -> list[Row]:
    units = units_of(plan.contenders, classes, seeds)
    require_own_rows(plan, (wanted for unit in units for wanted in unit.rows))
    with plan.progress.task("evaluate", total=sum(len(unit.rows) for unit in units)) as task:
        board = _Results(plan, classes, task)
        try:
            if jobs == 1:
                _in_turn(plan, units, board)
            else:
                _at_once(plan, units, board, jobs)
        finally:
            board.renew()
    if board.failed:
        first, *others = board.failed
        more = f" (failed too: {', '.join(f'{one} with {name}' for one, name in others)})" if others else ""
        raise DusnetError(
            f"{board.failed[first][1].rstrip('.')}{more}; finished rows are kept in {plan.out}, so mend it and run "
            "again."
        )
    return board.ordered()


def _in_turn(plan: Plan, units: list[Unit], board: _Results) -> None:
    for unit in units:
        shared = UnitCache()
        for wanted in unit.rows:
            board.describe(wanted)
            if not board.skip(wanted):
                board.take(outcome_of(plan, wanted, shared))


def _at_once(plan: Plan, units: list[Unit], board: _Results, jobs: int) -> None:
    work = []
    for unit in units:
        missing = []
        for wanted in unit.rows:
            known = row_if_finished(plan, wanted)
            if known is None:
                missing.append(wanted)
            else:
                board.take(Outcome(wanted, known))
        if missing:
            work.append(Unit(tuple(missing)))
    if work:
        with closing(in_processes(plan, work, jobs, skip=board.skip)) as outcomes:
            for outcome in outcomes:
                board.describe(outcome.wanted)
                board.take(outcome)
