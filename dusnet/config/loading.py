"""Trees of sections from YAML files, named configurations and single values, closed to unknown keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dusnet.config.section import Section
from dusnet.config.yaml_text import BadYaml, parse_yaml, read_yaml, require_plain, shown
from dusnet.errors import BadConfig

Tree = dict[str, Any]
"""Section -> key -> value, as YAML writes it."""
AnySection = TypeVar("AnySection", bound=Section)

_PACKAGE = Path(__file__).resolve().parent.parent
_LONGEST_KEY = 200
"""Characters of an unknown key that are compared with the known ones."""


def configs_folder() -> Path:
    """`configs` inside an installed package, or beside the package in a source tree."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def named_configs() -> list[str]:
    """Names of the configurations that the package brings."""
    return sorted(path.stem for path in configs_folder().glob("*.yaml"))


def read_tree(name_or_path: str | Path | None = None, overrides: Sequence[str] = ()) -> tuple[Tree, str]:
    """The sections of a named configuration or a YAML file, with single values replaced, and what to call the source.

    Args:
        name_or_path: one of `named_configs()`, a path to a YAML file, or None for the defaults.
        overrides: `key.sub=value` strings; the value is read as YAML.

    Raises:
        BadConfig: the file or name does not exist, is no YAML, or holds no sections.
    """
    tree, source = ({}, "the defaults") if name_or_path is None else _read(name_or_path)
    for override in overrides:
        _apply_override(tree, override)
    return tree, source


def validated(model: type[AnySection], tree: Mapping[str, Any], source: str) -> AnySection:
    """The settings that a nested mapping stands for.

    Args:
        model: the tree of all settings.
        tree: section -> key -> value.
        source: where the mapping came from, for the error message.

    Raises:
        BadConfig: a key is unknown or has a wrong value.
    """
    try:
        require_plain(tree)
        return model.model_validate(tree)
    except BadYaml as error:
        raise BadConfig(f"{source} {error}.") from error
    except ValidationError as error:
        raise BadConfig(_explain(error, model, source)) from error


def _read(name_or_path: str | Path) -> tuple[Tree, str]:
    path = Path(name_or_path)
    if str(name_or_path) in named_configs():
        path, source = configs_folder() / f"{name_or_path}.yaml", f"configuration {name_or_path}"
    elif _is_file(path):
        source = str(path)
    else:
        raise BadConfig(
            f"There is no configuration or file {shown(str(name_or_path))}; use a YAML file or one of "
            f"{', '.join(named_configs())}."
        )
    tree = read_yaml(path, source)
    if tree is None:
        return {}, source
    if not isinstance(tree, dict):
        raise BadConfig(f"{source} must hold sections such as `training:`, not a {type(tree).__name__}.")
    return tree, source


def _is_file(path: Path) -> bool:
    """Whether there is such a file; no name of a file holds a zero byte or is longer than the system allows."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def tree_of(override: str) -> Tree:
    """The sections that a `key.sub=value` string stands for.

    Raises:
        BadConfig: it is no such string, or its value is no YAML.
    """
    keys, value = _parts_of(override)
    tree: Any = value
    for key in reversed(keys):
        tree = {key: tree}
    found: Tree = tree
    return found


def _parts_of(override: str) -> tuple[list[str], Any]:
    """Keys from the outermost section inwards, and the value."""
    key, separator, text = override.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not separator or not all(keys):
        raise BadConfig(f"{shown(override)} is not of the form key.sub=value, for example training.down.steps=500.")
    try:
        return keys, parse_yaml(text)
    except BadYaml as error:
        raise BadConfig(f"The value in {shown(override)} {error}.") from error


def _apply_override(tree: Tree, override: str) -> None:
    (*sections, last), value = _parts_of(override)
    node = tree
    for section in sections:
        node = node.setdefault(section, {})
        if not isinstance(node, dict):
            raise BadConfig(f"{shown(section)} in {shown(override)} is a value, not a section.")
    node[last] = value


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _known_keys(field.annotation, f"{prefix}{name}.")


def _explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = list(_known_keys(model))
        near = difflib.get_close_matches(key[:_LONGEST_KEY], known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        return f"Unknown setting {shown(key)} in {source}{hint}"
    if problem["type"] == "value_error":  # of a section whose values do not go together
        return f"Section {key!r} in {source} cannot be used: {problem['ctx']['error']}."
    if not key:
        return f"{source} must hold sections such as `training`, not {shown(problem['input'])}."
    return f"Setting {shown(key)} in {source} is {shown(problem['input'])}: {problem['msg'].rstrip('.')}."
