"""Results read back from their JSON files: one, or all that a folder holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from dusnet.errors import BadInput
from dusnet.inspection.regions import Kind as DefectKind
from dusnet.inspection.regions import Region
from dusnet.inspection.results import SCORED, Result
from dusnet.inspection.verdict import Reason, Status, Verdict
from dusnet.io.files import reason
from dusnet.io.marks import Kind, json_kind

_LIMIT = 1 << 25
"""Bytes that no result file comes near: it lists 50 regions at most."""


class NoResult(BadInput):
    """A JSON file that is whole but belongs to something else."""


def read_result(path: Path) -> Result:
    """The result that `STEM.json` holds. Its regions know all but the numbers of their points.

    Args:
        path: the JSON file, under the name that it was written with.

    Raises:
        NoResult: it is no result of dusnet.
        BadInput: it cannot be read, is damaged, or was renamed.
    """
    try:
        if path.stat().st_size > _LIMIT:
            raise NoResult(f"{path} is no result of dusnet.")
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({reason(error)}).") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no valid JSON.") from error
    if json_kind(record) is not Kind.RECORD:
        raise NoResult(f"{path} is no result of dusnet.")
    try:
        result = _result(path, record)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is a damaged result or one of another version.") from error
    if result.scored_path.name != f"{result.stem}{SCORED}":
        raise BadInput(f"{path} is a result under another name than it was written with.")
    return result


def stored_results(folder: Path) -> tuple[list[Result], list[str]]:
    """All results of a folder, oldest first, and one sentence per JSON file that is none.

    The time grows with the number of files.

    Raises:
        BadInput: the folder cannot be read.
    """
    found: list[tuple[datetime, int, Result]] = []
    trouble: list[str] = []
    try:
        paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    except OSError as error:
        raise BadInput(f"{folder} cannot be read ({reason(error)}); check its permissions.") from error
    for path in paths:
        try:
            result = read_result(path)
            found.append((datetime.fromisoformat(result.record["timestamp"]), path.stat().st_mtime_ns, result))
        except BadInput as error:
            trouble.append(str(error))
        except OSError:
            continue  # another process replaces it at this moment, and lists it afterwards
    found.sort(key=lambda entry: (entry[0], entry[1], entry[2].stem))
    return [result for _, _, result in found], trouble


def _result(path: Path, record: dict[str, Any]) -> Result:
    """What a record says, every value that is shown somewhere looked at.

    Raises:
        ArithmeticError, AttributeError, LookupError, TypeError, ValueError: a value is missing or of another kind.
    """
    decision, scan, model, files = record["verdict"], record["scan"], record["model"], record["files"]
    reasons = tuple(Reason(_text(one["code"]), _text(one["text"])) for one in _list(decision["reasons"]))
    if datetime.fromisoformat(record["timestamp"]).tzinfo is None:
        raise ValueError("time without a zone")
    for value in (record["unit"], scan["file"], scan["sha256"], model["sha256"], files["reconstruction"]):
        _optional_text(value)
    for value in (model["id"], record["versions"]["dusnet"], files["scored"]):
        _text(value)
    for value in (record["points"], record["region_count"]):
        _count(value)
    for value in (*record["timings"].values(), *_values(record["alignment"], "residual")):
        _number(value)
    _list(record["warnings"])
    score, threshold = _number(record["object_score"]), _number(record["threshold"])
    if record["is_anomalous"] not in (True, False, None):
        raise TypeError("not a truth value")
    rebuilt = files["reconstruction"]
    return Result(
        stem=path.name.removesuffix(".json"),
        scan=scan["file"],
        verdict=Verdict(Status(decision["status"]), reasons),
        object_score=math.nan if score is None else score,
        threshold=threshold,
        is_anomalous=record["is_anomalous"],
        regions=tuple(_region(one) for one in _list(record["regions"])),
        json_path=path,
        scored_path=path.with_name(files["scored"]),
        reconstruction_path=None if rebuilt is None else path.with_name(rebuilt),
        record=record,
    )


def _region(data: Mapping[str, Any]) -> Region:
    return Region(
        center=_vector(data["center"]),
        size=_vector(data["size"]),
        axes=np.stack([_vector(axis) for axis in _list(data["axes"])]),
        low=_vector(data["bounds"]["low"]),
        high=_vector(data["bounds"]["high"]),
        point_count=_count(data["point_count"]),
        peak_point=_vector(data["peak_point"]),
        indices=np.empty(0, dtype=np.intp),
        kind=None if data["kind"] is None else DefectKind(data["kind"]),
        peak_score=_sure(data["peak_score"]),
        mean_score=_sure(data["mean_score"]),
        area=_sure(data["area"]),
        severity=_sure(data["severity"]),
        peak_deviation=_number(data["peak_deviation"]),
        mean_deviation=_number(data["mean_deviation"]),
        gap=_number(data["gap"]),
    )


def _vector(value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    x, y, z = (_sure(one) for one in _list(value))
    return np.array([x, y, z])


def _sure(value: Any) -> float:
    number = _number(value)
    return math.nan if number is None else number


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise TypeError("not a count")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _values(value: Any, *keys: str) -> list[Any]:
    return [] if value is None else [value[key] for key in keys]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)
