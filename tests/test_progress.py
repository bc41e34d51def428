"""Progress as lines, as bars, and silent."""

from __future__ import annotations

import io
import re

import pytest

from dusnet.progress import Bars, Lines, Progress, Silent, for_terminal


def test_lines_without_an_interval_tell_every_step() -> None:
    stream = io.StringIO()
    lines = Lines(stream, interval=0.0)
    with lines.task("train", 3) as task:
        task.advance()
        task.describe("train, loss 0.5")
        task.advance(2)
    lines.log("model written to a.safetensors")
    text = re.sub(r"\d+\.?\d* s", "T", stream.getvalue())
    assert text.splitlines() == [
        "train: 1/3, T",
        "train, loss 0.5: 3/3, T",
        "train, loss 0.5: 3/3, done in T",
        "model written to a.safetensors",
    ]


def test_lines_keep_quiet_between_intervals() -> None:
    stream = io.StringIO()
    with Lines(stream, interval=3600.0).task("read") as task:
        for _ in range(1000):
            task.advance()
    assert re.fullmatch(r"read: 1000, done in \d+\.\d s\n", stream.getvalue())


def test_lines_do_not_call_a_failed_task_done() -> None:
    stream = io.StringIO()

    def fail() -> None:
        with Lines(stream).task("read"):
            raise KeyError("broken")

    with pytest.raises(KeyError):
        fail()
    assert "done" not in stream.getvalue()


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().log("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "hello\n"


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent: Progress = Silent()
    with silent.task("train", 3) as task:
        task.advance()
        task.describe("x")
        with silent.task("inner") as inner:
            inner.advance(5)
    silent.log("hello")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_bars_nest_and_log_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    for _ in range(2):  # a finished display can be followed by another
        with bars.task("outer", 2) as outer:
            with bars.task("inner", 5) as inner:
                inner.advance(5)
                inner.describe("inner now")
            outer.advance()
            bars.log("a [bracketed] message")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("a [bracketed] message") == 2
    assert "outer" in captured.err
    assert "1/2" in captured.err


def test_bars_stop_when_the_work_fails(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()

    def fail() -> None:
        with bars.task("outer"), bars.task("inner"):
            raise KeyError("broken")

    with pytest.raises(KeyError):
        fail()
    with bars.task("next", 1) as task:
        task.advance()
    assert "next" in capsys.readouterr().err


def test_what_a_pipe_gets(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(for_terminal(quiet=True), Silent)
    assert isinstance(for_terminal(), Lines)  # the captured stream is no terminal
    assert capsys.readouterr().err == ""
