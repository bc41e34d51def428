"""What the user says of a part (its number, a comment, anything else), from options and files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dusnet.config.yaml_text import LONGEST, read_yaml, shown
from dusnet.errors import BadConfig
from dusnet.io import parse_json, printable
from dusnet.io.files import read_bytes
from dusnet.result import COMMENT, PART_NUMBER


def metadata_of(part_number: str | None, comment: str | None, given: Sequence[str] | None) -> dict[str, Any]:
    """What every result of a batch says of the part, by name.

    Args:
        part_number: of `--part-number`.
        comment: of `--comment`.
        given: of `--metadata`: `key=value`, whose value is text as it stands, or a YAML or JSON file of names and
            values.

    Raises:
        BadConfig: a value is neither of both, is given twice or is too long, or a file cannot be used.
    """
    options = [(PART_NUMBER, part_number, "--part-number"), (COMMENT, comment, "--comment")]
    found: dict[str, Any] = {}
    for name, value, where in (
        *(option for option in options if option[1] is not None),
        *(entry for one in given or () for entry in _entries(one)),
    ):
        if name in found:
            raise BadConfig(f"{shown(name)} is given twice, the second time by {where}; keep one of them.")
        found[name] = _usable(name, value, where)
    return found


def _entries(given: str) -> Iterator[tuple[str, Any, str]]:
    """Name, value, and where they are from."""
    name, separator, value = given.partition("=")
    if separator:
        if not name.strip():
            raise BadConfig(f"--metadata {shown(given)} has no name before the =; write it as station=4.")
        yield printable(name.strip()), value, f"--metadata {shown(given)}"
        return
    if not _exists(Path(given)):
        raise BadConfig(f"--metadata {shown(given)} is neither key=value nor a YAML or JSON file; give one of them.")
    tree = _tree(Path(given))
    if not isinstance(tree, dict):
        raise BadConfig(f"{given} must hold names and values such as `station: 4`.")
    yield from ((printable(name), value, given) for name, value in tree.items())


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a text that no file can be called
        return False


def _tree(path: Path) -> Any:
    if path.suffix.lower() != ".json":
        return read_yaml(path, str(path))
    try:
        return parse_json(read_bytes(path).decode("utf-8"))  # not as YAML, in which no line begins with a tab
    except ValueError as error:
        raise BadConfig(f"{path} is no valid JSON; correct it, or give a YAML file.") from error


def _usable(name: str, value: Any, where: str) -> Any:
    if name in (PART_NUMBER, COMMENT) and not isinstance(value, str):  # 0715 in YAML is a number, and another one
        raise BadConfig(f"{name} in {where} is no text; put it in quotes.")
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise BadConfig(f"{shown(name)} in {where} is neither text nor a number; give one value for each name.")
    if max(len(name), len(str(value))) > LONGEST:
        raise BadConfig(f"A name or value of {where[:80]} is longer than {LONGEST} characters; shorten it.")
    return printable(value) if isinstance(value, str) else value
