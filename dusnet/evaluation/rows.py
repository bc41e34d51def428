"""One row of a benchmark: one class, one detector, one seed, and the file that keeps it across a kill."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from dusnet.errors import BadInput
from dusnet.evaluation.kinds import KindScore
from dusnet.evaluation.metrics import METRICS
from dusnet.io import parse_json

if TYPE_CHECKING:
    from dusnet.data import Dataset, Sample
    from dusnet.evaluation.plan import Contender

ROW_SCHEMA = 3


@dataclass(frozen=True)
class ScanScore:
    """What one test scan got.

    Attributes:
        file: the scan, relative to the dataset's root where it lies inside.
        kind: `good` or the kind of defect.
        anomalous: the truth.
        object_score: the detector's answer.
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

    @property
    def together(self) -> bool:
        """Whether its model learned all classes."""
        return self.recognized is not None

    def record(self) -> dict[str, Any]:
        """The row as JSON holds it: NaN becomes null."""
        data = asdict(self)
        data["metrics"] = {name: None if math.isnan(value) else value for name, value in self.metrics.items()}
        data["kinds"] = [kind.record() for kind in self.kinds]
        return {"schema_version": ROW_SCHEMA, **data}

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
        rest["metrics"] = {
            name: math.nan if rest["metrics"][name] is None else float(rest["metrics"][name]) for name in METRICS
        }
        rest["kinds"] = tuple(KindScore.from_record(kind) for kind in rest["kinds"])
        rest["scans"] = tuple(ScanScore(**scan) for scan in rest["scans"])
        row = cls(**rest)
        _row_type().validate_json(json.dumps(asdict(row)), strict=True)
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
    """Checks the types of the fields of a row: dataclasses take anything."""
    return TypeAdapter(Row)


def relative(path: Path, root: Path) -> str:
    """`path` as seen from `root` when it lies inside, else as it is."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def _files(samples: Iterable[Sample], root: Path) -> list[tuple[str, str, int]]:
    listed = []
    for sample in samples:
        for path in (sample.path, sample.ground_truth):
            if path is None:
                continue
            try:
                size = path.stat().st_size
            except OSError as error:
                raise BadInput(f"{path} cannot be read ({error.strerror}); restore the file or take it out.") from error
            listed.append((relative(path, root), sample.kind, size))
    return listed


def _training(
    dataset: Dataset, contender: Contender, learned: Sequence[str], *, seed: int, device: str, code: str
) -> dict[str, Any]:
    from dusnet import __version__

    # Detectors of this package are told by its version.
    outside = {"code": code} if code else {}
    return outside | {
        "schema": ROW_SCHEMA,
        "version": __version__,
        "detector": contender.detector,
        "settings": contender.read(),
        "brought": contender.weights_digest(),
        "together": contender.together,
        "seed": seed,
        "device": device,
        "train": [[name, _files(dataset.train(name), dataset.root)] for name in learned],
    }


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def training_fingerprint(
    dataset: Dataset, contender: Contender, learned: Sequence[str], *, seed: int, device: str, code: str = ""
) -> str:
    """A hash of all that a training depends on; arguments and errors as for `fingerprint`."""
    return _hash(_training(dataset, contender, learned, seed=seed, device=device, code=code))


def fingerprint(
    dataset: Dataset,
    class_name: str,
    contender: Contender,
    *,
    learned: Sequence[str],
    seed: int,
    device: str,
    calibrate: bool,
    code: str = "",
) -> str:
    """A hash of all that a row depends on.

    It covers detector, what it reads of the settings, weights that it brings, corruption, seed, device, version, the
    training files of the classes that the model learns, their names and order, and the test files of the class.

    Files count with relative name, kind and size, so moving a dataset keeps its rows and changing one file drops them.

    Args:
        dataset: where the files are.
        class_name: the class that is scored.
        contender: what is trained, and what is done to the test scans.
        learned: the classes that the model learns, in this order.
        seed: of training and scoring.
        device: where it runs.
        calibrate: whether thresholds are looked for.
        code: tells the code of a detector that is none of this package's; see `dusnet.evaluation.outside`.

    Raises:
        BadInput: a listed file cannot be read.
    """
    return _hash(
        {
            **_training(dataset, contender, learned, seed=seed, device=device, code=code),
            "corruption": None if contender.corruption is None else contender.corruption.model_dump(mode="json"),
            "calibrate": calibrate,
            "class": class_name,
            "test": _files(dataset.test(class_name), dataset.root),
        }
    )


def row_name(detector: str, class_name: str, seed: int) -> str:
    """File name of a row without suffix: `detector--class--seedN`, unusual characters replaced and told apart."""
    words = []
    for text in (detector, class_name):
        safe = re.sub(r"[^\w.+-]", "_", text)
        words.append(safe if safe == text else f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:6]}")
    return f"{words[0]}--{words[1]}--seed{seed}"


def load_row(path: Path, expected: str) -> Row | None:
    """The row saved at `path` when it has the `expected` fingerprint; None when it has not or is damaged."""
    try:
        row = Row.from_record(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent, cut off, or of another version: computing the row again is always right
    return row if row.fingerprint == expected else None
