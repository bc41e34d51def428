"""Settings from YAML files, named configurations and single values, closed to unknown keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from dusnet.config.settings import Settings
from dusnet.errors import BadConfig

_FOLDER = Path(__file__).parent.parent / "configs"


class _GivenTwice(yaml.MarkedYAMLError):
    """A mapping holds a key twice."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice; YAML itself would silently keep the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in mapping.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _GivenTwice(problem=key.value, problem_mark=key.start_mark)
                seen.add(key.value)
        return mapping


def named_configs() -> list[str]:
    """Names of the configurations that the package brings."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))


def load_settings(name_or_path: str | Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Settings from a named configuration or a YAML file, with single values replaced.

    Args:
        name_or_path: one of `named_configs()`, a path to a YAML file, or None for the defaults.
        overrides: `key.sub=value` strings; the value is read as YAML.

    Raises:
        BadConfig: the file or name does not exist, is no YAML, or holds an unknown key or a wrong value.
    """
    tree, source = ({}, "the defaults") if name_or_path is None else _read(name_or_path)
    for override in overrides:
        _apply_override(tree, override)
    return settings_from(tree, source)


def settings_from(tree: Mapping[str, Any], source: str) -> Settings:
    """Settings from a nested mapping, for example one stored in a model file.

    Args:
        tree: section -> key -> value.
        source: where the mapping came from, for the error message.
    """
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise BadConfig(_explain(error, source)) from error


def _read(name_or_path: str | Path) -> tuple[dict[str, Any], str]:
    path = Path(name_or_path)
    if str(name_or_path) in named_configs():
        text, source = (_FOLDER / f"{name_or_path}.yaml").read_text(), f"configuration {name_or_path}"
    elif path.is_file():
        source = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BadConfig(f"{source} is not UTF-8 text; give a YAML file of settings.") from error
    else:
        raise BadConfig(
            f"There is no configuration or file {str(name_or_path)!r}; use a YAML file or one of "
            f"{', '.join(named_configs())}."
        )
    try:
        tree = yaml.load(text, _Loader)
    except _GivenTwice as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark is not None else ""
        raise BadConfig(f"{source} gives {error.problem!r} twice in one section{line}; keep one of them.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise BadConfig(f"{source} is not valid YAML{line}; correct it and try again.") from error
    if tree is None:
        return {}, source
    if not isinstance(tree, dict):
        raise BadConfig(f"{source} must hold sections such as `training:`, not a {type(tree).__name__}.")
    return tree, source


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise BadConfig(f"{override!r} is not of the form key.sub=value, for example training.down.steps=500.")
    try:
        value = yaml.load(text, _Loader)
    except _GivenTwice as error:
        raise BadConfig(f"The value in {override!r} gives {error.problem!r} twice; keep one of them.") from error
    except yaml.YAMLError as error:
        raise BadConfig(f"The value in {override!r} is not valid YAML; quote it.") from error
    *sections, last = key.strip().split(".")
    node = tree
    for section in sections:
        node = node.setdefault(section, {})
        if not isinstance(node, dict):
            raise BadConfig(f"{section!r} in {override!r} is a value, not a section.")
    node[last] = value


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _known_keys(field.annotation, f"{prefix}{name}.")


def _explain(error: ValidationError, source: str) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = list(_known_keys(Settings))
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        return f"Unknown setting {key!r} in {source}{hint}"
    if problem["type"] == "value_error":  # of a section whose values do not go together
        return f"Section {key!r} in {source} cannot be used: {problem['ctx']['error']}."
    return f"Setting {key!r} in {source} is {problem['input']!r}: {problem['msg'].rstrip('.')}."
