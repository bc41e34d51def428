"""Progress that a library call reports and a front end shows: bars on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from dusnet.terminal import one_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Task(Protocol):
    """One running piece of work."""

    def advance(self, steps: int = 1) -> None:
        """Say that `steps` more steps are done."""

    def describe(self, text: str) -> None:
        """Replace the description (a loss, a file name)."""


class Progress(Protocol):
    """Where work is reported to."""

    def task(self, description: str, total: int | None = None) -> AbstractContextManager[Task]:
        """A task of `total` steps, or of unknown length."""

    def log(self, message: str) -> None:
        """One line for the user."""


class _NoTask:
    def advance(self, steps: int = 1) -> None:
        del steps

    def describe(self, text: str) -> None:
        del text


class Silent:
    """Reports nothing; what library calls use unless told otherwise."""

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        """A task that nobody watches."""
        del description, total
        yield _NoTask()

    def log(self, message: str) -> None:
        """Drop the message."""
        del message


class _LineTask:
    def __init__(self, stream: TextIO, description: str, total: int | None, interval: float) -> None:
        self._stream, self._description, self._total, self._interval = stream, description, total, interval
        self._done, self._start = 0, time.monotonic()
        self._last = self._start

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            self.write(f"{now - self._start:.0f} s")

    def describe(self, text: str) -> None:
        self._description = text

    def write(self, suffix: str) -> None:
        of = "" if self._total is None else f"/{self._total}"
        print(f"{one_line(self._description)}: {self._done}{of}, {suffix}", file=self._stream, flush=True)


class Lines:
    """Plain lines for logs and pipes: one every `interval` seconds, and one when a task ends."""

    def __init__(self, stream: TextIO | None = None, interval: float = 10.0) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._interval = interval

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        """A task that prints now and then."""
        task = _LineTask(self._stream, description, total, self._interval)
        start = time.monotonic()
        yield task
        task.write(f"done in {time.monotonic() - start:.1f} s")

    def log(self, message: str) -> None:
        """Print the message on its own line."""
        print(one_line(message), file=self._stream, flush=True)


class _BarTask:
    def __init__(self, live: RichProgress, bar: TaskID) -> None:
        self._live, self._bar = live, bar

    def advance(self, steps: int = 1) -> None:
        self._live.advance(self._bar, steps)

    def describe(self, text: str) -> None:
        self._live.update(self._bar, description=one_line(text))


class Bars:
    """Bars with elapsed and remaining time, drawn by rich on standard error."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._live: RichProgress | None = None

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        """A task with its own bar; tasks may nest."""
        outermost = self._live is None
        live = self._live or self._start()
        self._live = live
        bar = live.add_task(one_line(description), total=total)
        try:
            yield _BarTask(live, bar)
        finally:
            if outermost:
                live.stop()
                self._live = None
            else:
                live.remove_task(bar)

    def _start(self) -> RichProgress:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as LiveDisplay

        live = LiveDisplay(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        live.start()
        return live

    def log(self, message: str) -> None:
        """Print the message above the bars."""
        self._console.print(one_line(message), markup=False, highlight=False, soft_wrap=True)


def for_terminal(*, quiet: bool = False) -> Progress:
    """Bars when standard error is a terminal, plain lines when it is not, nothing when `quiet`."""
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Lines()
