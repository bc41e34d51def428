"""Settings and options that messages and pages name: every one of them exists, and settings are read by somebody."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from pydantic import BaseModel

from dusnet.cli import app
from dusnet.cli._common import mendable
from dusnet.detectors import DETECTORS, sections_read
from dusnet.detectors.settings import Settings, load_settings

REPOSITORY = Path(__file__).resolve().parent.parent
CODE = sorted((REPOSITORY / "dusnet").rglob("*.py"))
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])
FILES = ("md", "py", "yaml", "json", "safetensors", "ply", "png")
"""What follows a dot where a name is that of a file."""


def settings_in(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Names of all settings and of their sections."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_in(field.annotation, f"{prefix}{name}.")


KNOWN = set(settings_in(Settings))
NAMED = re.compile(rf"(?<![\w./-])((?:{'|'.join(Settings.model_fields)})(?:\.[a-z_]+)+)(?![\w(])")


def texts_of(path: Path) -> str:
    """What a reader of a page or of messages sees."""
    if path.suffix == ".md":
        return " ".join(re.findall(r"`[^`\n]+`", path.read_text()))
    tree = ast.parse(path.read_text())
    return "\n".join(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    )


def options_of(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for one in getattr(command, "commands", {}).values():
        yield from options_of(one)


@pytest.mark.parametrize("path", [*PAGES, *CODE], ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_setting_that_a_text_names_exists(path):
    named = {name for name in NAMED.findall(texts_of(path)) if name.rpartition(".")[2] not in FILES}
    objects = {name for name in named if name.split(".")[0] == "detector" or name.startswith("loss.chamfer_")}
    assert named - objects <= KNOWN


def test_every_option_that_a_message_names_exists():
    known = set(options_of(typer.main.get_command(app))) | {"--help", "--no-build-isolation"}
    for path in CODE:
        if "speed" in path.parts or path.name == "doctor.py":
            continue  # they name options of other programs
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", texts_of(path)))
        assert named <= known, path


def test_settings_that_are_set_in_messages_can_be_set():
    for path in [*CODE, *PAGES]:
        for key, value in re.findall(r"--set ([a-z_]+(?:\.[a-z_]+)+)=([\w.+-]+[\w+-])", path.read_text()):
            if key.split(".")[0] in Settings.model_fields:  # not the pattern that explains it
                load_settings(None, [f"{key}={value}"])


def test_every_setting_is_read_somewhere():
    code = "\n".join(path.read_text() for path in CODE if "config" not in path.parts)
    leaves = {name for name in KNOWN if not any(other.startswith(f"{name}.") for other in KNOWN)}
    assert {name for name in leaves if not re.search(rf"\.{name.rpartition('.')[2]}\b", code)} == set()


def test_the_hint_about_memory_names_settings_that_the_default_reads():
    sentence = mendable(MemoryError())
    assert sentence is not None
    assert sentence.index("guide.centers") < sentence.index("--config paper")
    for name in re.findall(r"\w+(?:\.\w+)+", sentence):
        assert name in KNOWN
    assert {"guide", "grouping.groups"} <= sections_read("dusnet")


def test_detectors_do_not_read_the_settings_of_others():
    own = {name: {"cras", "pbas", "crr"} & sections_read(name) for name in DETECTORS}
    assert {name: reads for name, reads in own.items() if reads} == {name: {name} for name in ("cras", "pbas", "crr")}
    assert not sections_read("dusnet") & {"features", "images", "parts", "memory", "offset", "detector"}
