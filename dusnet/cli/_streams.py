"""Standard output and error that cannot stop the work: closed, full, or read by a program that has seen enough."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from dusnet.terminal import one_line, page

_UNASKED = 0, 1, 2


class Steady:
    """A text stream that goes on when its reader is gone; what cannot be encoded or written is lost.

    Args:
        stream: where to write, None for nowhere.

    Attributes:
        failure: why something could not be written, None while all went well. A reader that has seen enough (as in
            `dusnet ... | head`) is no failure.
        needed: whether such a failure is one of the command; the exit code of a gate speaks of the parts alone.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.failure: OSError | None = None
        self.needed = True

    def write(self, text: str) -> int:
        """Write what can be written; the whole length is answered in any case."""
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes str, got {type(text).__name__}")
        if self._stream is not None:
            encoding = self._stream.encoding or "utf-8"
            with self._watched():
                self._stream.write(text.encode(encoding, "replace").decode(encoding, "replace"))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if self._stream is not None:
            with self._watched():
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._silence()
        except OSError as error:
            self.failure = self.failure or error
            self._silence()
        except ValueError:  # closed
            self._stream = None

    def _silence(self) -> None:
        """Lead what is buffered, and what Python flushes at the end, to nowhere."""
        stream, self._stream = self._stream, None
        with suppress(OSError, ValueError, AttributeError):
            assert stream is not None
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextmanager
def steady_streams() -> Iterator[Steady]:
    """Put `Steady` in the place of `sys.stdout` and `sys.stderr`.

    Yields:
        The standard output.
    """
    _occupy()
    before = sys.stdout, sys.stderr
    out, err = Steady(sys.stdout), Steady(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Open nowhere for descriptors that are closed: the next file would get their number, and with it their output."""
    for number in _UNASKED:
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)


def lines_are_extra() -> None:
    """Say that the exit code does not depend on whether standard output can be written."""
    if isinstance(sys.stdout, Steady):
        sys.stdout.needed = False


def tell(text: str) -> None:
    """One line on standard output."""
    _put(sys.stdout, one_line(text))


def show(text: str) -> None:
    """A page of several lines on standard output."""
    _put(sys.stdout, page(text))


def warn(sentence: str) -> None:
    """One line on standard error."""
    _put(sys.stderr, f"dusnet: {one_line(sentence)}")


def complain(text: str) -> None:
    """A page of several lines on standard error."""
    _put(sys.stderr, page(text))


def _put(stream: TextIO | None, text: str) -> None:
    if stream is not None:
        stream.write(f"{text}\n")
        stream.flush()
