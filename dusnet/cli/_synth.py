"""What `dusnet synth` is asked for, as settings of the embedded benchmark."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dusnet.cli._common import comma_list
from dusnet.config import BadYaml, parse_yaml, shown
from dusnet.errors import BadConfig
from dusnet.synthesis.settings import BenchmarkSettings


def benchmark_settings(
    parts: str | None,
    meshes: Sequence[Path],
    layout: str,
    seed: int,
    overrides: Sequence[str],
    *,
    variation: float | None = None,
    jitter: float | None = None,
) -> BenchmarkSettings:
    """Settings from the options of the command.

    Args:
        parts: names, comma-separated, `all`, or None for the default ones (none when there are meshes).
        meshes: mesh files.
        layout: layout of the dataset.
        seed: fixes everything.
        overrides: `key=value`, the value is read as YAML; wins over everything else.
        variation: smooth difference between good parts, or None for the default one.
        jitter: difference of their main dimensions, or None for the default one.

    Raises:
        BadConfig: a key is unknown or a value is out of range.
    """
    given: dict[str, Any] = {"layout": layout, "seed": seed, "meshes": tuple(meshes)}
    if parts is not None:
        given["parts"] = tuple(comma_list(parts))
    elif meshes:
        given["parts"] = ()
    for name, value in (("variation", variation), ("jitter", jitter)):
        if value is not None:
            given[name] = value
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise BadConfig(f"--set {override!r} is not of the form key=value, for example points=5000.")
        try:
            value = parse_yaml(text)
        except BadYaml as error:
            raise BadConfig(f"the value in --set {shown(override)} {error}.") from error
        # One word for a list of words is what people write.
        given[key.strip()] = comma_list(value) if key.strip() == "kinds" and isinstance(value, str) else value
    try:
        return BenchmarkSettings(**given)
    except ValidationError as error:
        raise BadConfig(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "the benchmark"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, BenchmarkSettings.model_fields, n=1, cutoff=0.0)
        return f"there is no benchmark setting {key!r}; did you mean {near[0]!r}?"
    return f"{key} of the benchmark cannot be {shown(problem['input'])}: {problem['msg']}; give another value."
