"""Units of rows in processes of their own, and one parent that hears about them.

A worker writes the file of each row that it finishes; the parent alone writes the tables. Workers end with the parent,
also when it is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import connection
from pickle import PicklingError
from typing import TYPE_CHECKING, Any

from dusnet.errors import BadConfig, DusnetError, out_of_memory
from dusnet.evaluation.compute import Outcome, outcome_of
from dusnet.evaluation.learning import UnitCache
from dusnet.evaluation.plan import Plan, RowKey, Unit
from dusnet.progress import Silent

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

_PATIENCE = 10.0


@dataclass(frozen=True)
class _Log:
    text: str


@dataclass(frozen=True)
class _Crash:
    error: Exception | None
    text: str


_DONE = "done"


class _Relay(Silent):
    """Progress of a worker: messages go to the parent; its bars would not fit on one screen."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def log(self, message: str) -> None:
        """Hand the message to the parent."""
        self._pipe.send(_Log(message))


def in_processes(
    plan: Plan, work: Sequence[Unit], jobs: int, *, skip: Callable[[RowKey], bool]
) -> Generator[Outcome, None, None]:
    """The outcome of every row, in the order in which they come.

    Args:
        plan: what all rows have in common.
        work: units of the rows that are not there yet.
        jobs: processes at a time; each gets its share of the cores.
        skip: asked for every row when its unit is handed out.

    Raises:
        BadConfig: what makes the detectors cannot be sent to another process.
        DusnetError: a worker was ended from outside.
    """
    waiting = list(work)
    team = _Team(min(jobs, len(waiting)))
    try:
        team.start(replace(plan, progress=Silent()))
        while True:
            for pipe in team.idle():
                while waiting:
                    rows = tuple(row for row in waiting.pop(0).rows if not skip(row))
                    if rows:
                        team.give(pipe, Unit(rows))
                        break
            if not team.busy():
                return
            for message in team.listen():
                if isinstance(message, _Log):
                    plan.progress.log(message.text)
                elif isinstance(message, Outcome):
                    yield message
    finally:
        team.end()


class _Team:
    """The workers, and who does what."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._workers: dict[Connection, SpawnProcess] = {}
        self._tasks: dict[Connection, Unit] = {}

    def start(self, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        allowed = os.environ.get("OMP_NUM_THREADS", "")
        threads = max(1, min(cores, int(allowed) if allowed.isdigit() else cores) // self._size)
        with _environment(OMP_NUM_THREADS=str(threads)):  # libraries read it when they are loaded
            for _ in range(self._size):
                here, there = context.Pipe()
                process = context.Process(target=_work, args=(plan, there, threads), daemon=True)
                try:
                    process.start()
                except (PicklingError, AttributeError, TypeError) as error:
                    raise BadConfig(
                        f"What makes the detectors cannot go to another process ({error}); make it a function of a "
                        "module, or use one job."
                    ) from error
                there.close()
                self._workers[here] = process

    def idle(self) -> list[Connection]:
        return [pipe for pipe in self._workers if pipe not in self._tasks]

    def busy(self) -> bool:
        return bool(self._tasks)

    def give(self, pipe: Connection, unit: Unit) -> None:
        self._tasks[pipe] = unit
        pipe.send(unit)

    def listen(self) -> Iterator[_Log | Outcome]:
        """What busy workers have to say; waits for the first word."""
        for pipe in connection.wait(list(self._tasks)):
            assert isinstance(pipe, connection.Connection)
            try:
                message: Any = pipe.recv()
            except (EOFError, OSError) as error:
                process = self._workers[pipe]
                process.join(_PATIENCE)
                raise DusnetError(
                    f"The process that evaluated {self._tasks[pipe].describe()} was ended from outside "
                    f"(exit code {process.exitcode}), perhaps for want of memory; run again, with fewer jobs."
                ) from error
            if isinstance(message, _Crash):
                if message.error is None:
                    raise RuntimeError(message.text)
                raise message.error from RuntimeError(f"in another process:\n{message.text}")
            if message == _DONE:
                del self._tasks[pipe]
            else:
                yield message

    def end(self) -> None:
        for pipe, process in self._workers.items():
            pipe.close()
            process.terminate()
        end = time.monotonic() + _PATIENCE
        for process in self._workers.values():
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(plan: Plan, pipe: Connection, threads: int) -> None:
    """Life of a worker: take a unit, compute its rows, say what came of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent hears it and ends its workers
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that half-written files are cleaned up
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        import torch

        torch.set_num_threads(threads)
        plan = replace(plan, progress=_Relay(pipe))
        while True:
            unit: Unit = pipe.recv()
            shared = UnitCache()
            for wanted in unit.rows:
                pipe.send(outcome_of(plan, wanted, shared))
            pipe.send(_DONE)
    except (KeyboardInterrupt, EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent needs no more
    except Exception as error:
        pipe.send(_Crash(_portable(error), traceback.format_exc()))


def _portable(error: Exception) -> Exception | None:
    """The error as one that survives the way to another process, when a user can mend it."""
    if out_of_memory(error):
        return MemoryError(str(error))
    return error if type(error).__module__ == "builtins" and isinstance(error, OSError) else None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
