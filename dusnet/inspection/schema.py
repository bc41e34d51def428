"""The published schema of the result files, for programs that read them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def result_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `STEM.json`; its `schema_version` is the one that `write_result` writes."""
    text = (files("dusnet") / "inspection" / "result.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
