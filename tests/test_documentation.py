"""What the documentation says can be typed: every command and option in it exists, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dusnet.cli import main

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])


def commands_in(page: Path) -> list[list[str]]:
    """Words of the lines that begin with `dusnet` inside code blocks."""
    text = page.read_text()
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()] + re.findall(
        r"^    (dusnet .*)$", text, re.MULTILINE
    )
    return [shlex.split(line, comments=True) for line in lines if line.startswith("dusnet ")]


ALL = [(page.name, words) for page in PAGES for words in commands_in(page)]


def test_there_are_commands_to_check():
    assert len(ALL) > 20


@pytest.mark.parametrize(("page", "words"), ALL, ids=[f"{page}: {' '.join(words)[:60]}" for page, words in ALL])
def test_documented_command_exists(page, words, capsys):
    del page
    verb = words[1:3] if words[1] == "bench" else words[1:2]
    assert main([*verb, "--help"]) == 0
    known = set(re.findall(r"--?[a-z][a-z-]*", capsys.readouterr().out))
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
