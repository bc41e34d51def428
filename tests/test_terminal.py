"""What reaches a terminal cannot command it."""

from __future__ import annotations

import io
import sys
import unicodedata

import pytest

from dusnet.progress import Bars, Lines
from dusnet.terminal import escaped, one_line, page, table_cell

HOSTILE = "a\x1b[2J\x1b]0;t\x07b\u202ec\r\nOK      part: score 0\x85d\u2028e\x7f\u2066\ud800\udcff"


def obeyed(text: str) -> list[str]:
    return [one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@pytest.mark.parametrize("show", [escaped, one_line, table_cell])
def test_nothing_is_obeyed(show):
    shown = show(HOSTILE)
    assert not obeyed(shown)
    assert r"\x1b[2J" in shown
    shown.encode("utf-8")


def test_every_command_of_unicode_is_written_out():
    everything = "".join(map(chr, range(0x20000)))
    assert set(obeyed(escaped(everything))) == {"\u200c", "\u200d"}


def test_names_of_people_stay_as_they_are():
    for name in ("part 1.ply", "Gehäuse.ply", "部品.ply", "قطعة.ply", "🙂.ply"):
        assert escaped(name) == one_line(name) == name


def test_a_page_keeps_its_own_lines():
    assert page("a\n\tb\x1bc") == "a\n\tb\\x1bc"


def test_progress_in_lines_is_one_line_each():
    stream = io.StringIO()
    lines = Lines(stream)
    lines.log(HOSTILE)
    with lines.task(HOSTILE, 1) as task:
        task.describe(HOSTILE)
    assert len(stream.getvalue().splitlines()) == 2
    assert set(obeyed(stream.getvalue())) == {"\n"}


def test_progress_in_bars_takes_names_as_they_are(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    bars = Bars()
    with bars.task("scan [/red] [bold]", 2) as task:  # marks of rich, once a crash
        task.describe("scan [/blue]" + HOSTILE)
        bars.log(HOSTILE)
        task.advance()
    assert "\x1b]0" not in stream.getvalue()
    assert "\u202e" not in stream.getvalue()
