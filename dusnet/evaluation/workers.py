"""Units of rows in processes of their own, by joblib's loky; the parent gets every outcome as soon as it is there.

A worker writes the file of each row that it finishes; the parent alone writes the tables. Workers end with the parent,
also when it is killed.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pickle import PicklingError
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend import get_context

from dusnet.errors import BadConfig, DusnetError, out_of_memory
from dusnet.evaluation.compute import RowOutcome, outcome_of
from dusnet.evaluation.learning import UnitCache
from dusnet.evaluation.setup import Evaluation, RowKey, Unit
from dusnet.progress import Silent

_PATIENCE = 10.0
_WATCH = 0.5


@dataclass(frozen=True)
class _Log:
    text: str


@dataclass(frozen=True)
class _Begun:
    unit: Unit
    pid: int


class _Relay(Silent):
    """Progress of a worker: messages go to the parent; its bars would not fit on one screen."""

    def log(self, message: str) -> None:
        """Hand the message to the parent."""
        _to_parent.put(_Log(message))


_to_parent: Any = None
"""In a worker: the queue of loky to the parent."""


def in_processes(
    setup: Evaluation, work: Sequence[Unit], jobs: int, *, skip: Callable[[RowKey], bool]
) -> Generator[RowOutcome, None, None]:
    """The outcome of every row, in the order in which they come.

    Args:
        setup: what all rows have in common.
        work: units of the rows that are not there yet.
        jobs: processes at a time; each gets its share of the cores.
        skip: whether a row is left out; called when its unit is handed out.

    Raises:
        BadConfig: what makes the detectors cannot be sent to another process.
        DusnetError: a worker was ended from outside.
    """
    waiting, size = list(work), min(jobs, len(work))
    sent, threads = replace(setup, progress=Silent()), _threads(size)
    context = get_context("loky")
    channel: Any = context.SimpleQueue()
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_collect, args=(channel, inbox), daemon=True).start()
    pool = ProcessPoolExecutor(
        size,
        context=context,
        initializer=_begin,
        initargs=(channel, threads, os.getpid()),
        env={"OMP_NUM_THREADS": str(threads)},  # libraries read it when they are loaded
    )
    running: dict[Unit, Future[None]] = {}
    pids: dict[Unit, int] = {}
    with warnings.catch_warnings():
        # Loky replaces a worker that keeps much memory after a unit, and warns about it.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        try:
            while True:
                while waiting and len(running) < size:
                    if rows := tuple(row for row in waiting.pop(0).rows if not skip(row)):
                        unit = Unit(rows)
                        running[unit] = pool.submit(_evaluate, sent, unit)
                        running[unit].add_done_callback(inbox.put)
                if not running:
                    return
                message = inbox.get()
                if isinstance(message, RowOutcome):
                    yield message
                elif isinstance(message, _Log):
                    setup.progress.log(message.text)
                elif isinstance(message, _Begun):
                    pids[message.unit] = message.pid
                elif isinstance(message, Unit):  # the last word about it, after all of its outcomes
                    del running[message]
                else:
                    message.result()  # raises the error of a unit
        except (BrokenProcessPool, PicklingError) as error:
            raise _told(error, list(running)) from error
        finally:
            _end(pool, running, pids)
            # A worker that was killed while it wrote has left the queue locked for good.
            threading.Thread(target=channel.put, args=(None,), daemon=True).start()


def _threads(size: int) -> int:
    """The share of a worker in the cores, and in those that `OMP_NUM_THREADS` allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(allowed) if allowed.isdigit() else cores) // size)


def _collect(channel: Any, inbox: queue.SimpleQueue[Any]) -> None:
    while (message := channel.get()) is not None:
        inbox.put(message)


def _told(error: Exception, running: Sequence[Unit]) -> DusnetError:
    """The error as a sentence for the user."""
    if isinstance(error, PicklingError):
        why = str(error.__cause__).strip(' \n"').splitlines()[-1]
        return BadConfig(f"What makes the detectors cannot go to another process ({why}); use one job.")
    codes = re.search(r"\{(.*)\}", str(error))
    return DusnetError(
        f"A process that evaluated {' or '.join(unit.describe() for unit in running) or 'rows'} was ended from outside "
        f"({codes[1] if codes else 'no exit code'}), perhaps for want of memory; finished rows are kept, so run again, "
        "with fewer jobs."
    )


def _end(pool: ProcessPoolExecutor, running: Mapping[Unit, Future[None]], pids: Mapping[Unit, int]) -> None:
    """End the workers; those at work get the time to remove half-written files."""
    stopped = [future for unit, future in running.items() if unit in pids and not future.done()]
    for unit, future in running.items():
        if future in stopped:
            with suppress(ProcessLookupError):
                os.kill(pids[unit], signal.SIGTERM)
    wait(stopped, timeout=_PATIENCE)
    pool.shutdown(kill_workers=bool(running))


def _begin(channel: Any, threads: int, parent: int) -> None:
    """Start the life of a worker."""
    global _to_parent
    _to_parent = channel
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    import torch

    torch.set_num_threads(threads)


def _evaluate(setup: Evaluation, unit: Unit) -> None:
    """Compute the rows of a unit in a worker, and say what came of each."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that half-written files are removed
    try:
        _to_parent.put(_Begun(unit, os.getpid()))
        setup, shared = replace(setup, progress=_Relay()), UnitCache()
        for key in unit.rows:
            _to_parent.put(outcome_of(setup, key, shared))
        _to_parent.put(unit)
    except Exception as error:
        if out_of_memory(error):
            raise MemoryError(str(error)) from None
        if type(error).__module__ != "builtins":  # not all others survive the way to another process
            raise RuntimeError(traceback.format_exc()) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)
