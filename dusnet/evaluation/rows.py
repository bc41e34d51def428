"""One row of the results: what a detector reached on one class with one seed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from dusnet.evaluation.metrics import METRICS

ROW_SCHEMA = 3
KIND_METRICS = ("o_auroc", "p_auroc", "p_ap")


def plain(data: Any) -> Any:
    """`data` as JSON holds it: records become objects, NaN becomes null."""
    if is_dataclass(data) and not isinstance(data, type):
        return plain(asdict(data))
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    return None if isinstance(data, float) and math.isnan(data) else data


@dataclass(frozen=True)
class KindScore:
    """What one class measured of one kind of defect.

    Attributes:
        kind: the kind.
        scans: number of test scans of this kind.
        o_auroc: these scans against all good ones, NaN when undefined.
        p_auroc: over the points of these scans pooled, NaN when undefined.
        p_ap: average precision over the same points, NaN when undefined.
    """

    kind: str
    scans: int
    o_auroc: float
    p_auroc: float
    p_ap: float

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class ScanScore:
    """What one test scan got.

    Attributes:
        file: the scan, relative to the dataset's root where it lies inside.
        kind: `good` or the kind of defect.
        anomalous: the truth.
        object_score: of the detector.
        threshold: the calibrated threshold that the scan was judged by, or None: with a model of many classes, that of
            the class that it was taken for.
        points: how many points were scored.
        seconds: time of scoring, without reading the file.
    """

    file: str
    kind: str
    anomalous: bool
    object_score: float
    threshold: float | None
    points: int
    seconds: float

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Row:
    """One class, one detector, one seed.

    Attributes:
        detector: the contender's name.
        class_name: the class of parts.
        seed: seed of training and scoring.
        metrics: see `dusnet.evaluation.metrics.CONVENTIONS`; NaN where undefined.
        reasons: why a metric is NaN.
        kinds: the metrics of every kind of defect.
        train_scans: scans that were learned from, those of all classes that the model learned.
        test_scans: scans that were scored.
        test_points: points that were scored.
        train_seconds: time of `fit`, of all classes together where one model learned them; only of its last part when
            `train_resumed`.
        train_resumed: whether `fit` went on from checkpoints of an interrupted run.
        calibrate_seconds: time of finding the thresholds, of all classes of one model, None when none was looked for.
        score_seconds: median time of scoring one scan, without reading the file.
        scans_per_second: scans divided by the sum of their scoring times.
        peak_memory_mib: resident memory of the process at the worst moment of training and scoring.
        peak_memory_scope: `row`, or `process` where the system cannot reset the mark between rows.
        peak_gpu_mib: the same for what torch allocated on the GPU, None on the CPU.
        false_alarms: share of good test scans above the detector's own threshold, None without one.
        found: share of anomalous test scans above the detector's own threshold, None without one.
        recognized: share of the test scans that one model of many classes took for their class, None for a model per
            class.
        model_mb: size of the model file in megabytes (1e6 bytes).
        device: where it ran.
        scans: every test scan with its score.
        fingerprint: identifies settings, files and versions that the row was computed from.
    """

    detector: str
    class_name: str
    seed: int
    metrics: dict[str, float]
    reasons: dict[str, str]
    kinds: tuple[KindScore, ...]
    train_scans: int
    test_scans: int
    test_points: int
    train_seconds: float
    train_resumed: bool
    calibrate_seconds: float | None
    score_seconds: float
    scans_per_second: float
    peak_memory_mib: float
    peak_memory_scope: str
    peak_gpu_mib: float | None
    false_alarms: float | None
    found: float | None
    recognized: float | None
    model_mb: float
    device: str
    scans: tuple[ScanScore, ...]
    fingerprint: str

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    @property
    def together(self) -> bool:
        """Whether its model learned all classes."""
        return self.recognized is not None

    def record(self) -> dict[str, Any]:
        """The row as JSON holds it."""
        return {"schema_version": ROW_SCHEMA, **plain(self)}

    @classmethod
    def from_record(cls, data: dict[str, Any]) -> Row:
        """The inverse of `record`.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: the data are not those of a row of this version.
        """
        rest = dict(data)
        rest.pop("generator", None)  # rows of earlier versions carry no mark
        if rest.pop("schema_version") != ROW_SCHEMA:
            raise ValueError("row of another version")
        rest["metrics"] = {name: _number(rest["metrics"][name]) for name in METRICS}
        rest["kinds"] = [kind | {name: _number(kind[name]) for name in KIND_METRICS} for kind in rest["kinds"]]
        row = _row_type().validate_json(json.dumps(rest), strict=True)
        if not set(row.reasons) <= set(METRICS) or not row.scans or any(one < 0 for one in row.counts):
            raise ValueError("numbers that no row has")
        return row

    @property
    def counts(self) -> tuple[float, ...]:
        """What is never below zero."""
        times = (self.train_seconds, self.score_seconds, self.scans_per_second, self.calibrate_seconds or 0.0)
        sizes = (self.peak_memory_mib, self.peak_gpu_mib or 0.0, self.model_mb)
        return (self.seed, self.train_scans, self.test_scans, self.test_points, *times, *sizes)


@cache
def _row_type() -> TypeAdapter[Row]:
    return TypeAdapter(Row)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
