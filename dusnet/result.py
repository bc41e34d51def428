"""What a model says of one scan: one typed record, which the JSON file, its schema and the summary are made from."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, PrivateAttr, ValidationError

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput, MissingDependency
from dusnet.inspection import result_parts as parts
from dusnet.inspection.defects import find_defects
from dusnet.inspection.regions import minimum_region
from dusnet.inspection.result_files import RECONSTRUCTION, SCORED, remove_result, write_clouds
from dusnet.inspection.result_parts import Defect
from dusnet.inspection.verdict import Verdict, decide
from dusnet.io import parse_json, read_scalars, write_json
from dusnet.io.files import reason
from dusnet.io.marks import FileKind, json_kind

if TYPE_CHECKING:
    import pandas

    from dusnet.detectors.base import Scores

SCHEMA_VERSION: Literal[2] = 2
MAX_DEFECTS = 50
STRAY_COLOR = (128, 128, 128)
"""Of points that have no score."""
_LARGEST_FILE = 1 << 25
"""Bytes that no result file comes near: it lists 50 defects at most."""


class NoResult(BadInput):
    """A JSON file that is whole but belongs to something else."""


@dataclass(frozen=True)
class Context:
    """What a result says besides the scan and its scores.

    Attributes:
        model: what scored the scan.
        unit: of the scan's coordinates ("mm", ...), None when nobody said.
        threshold_source: where the threshold comes from, None when nobody said.
        training_residual: fit error of good scans, to be read beside the scan's own.
        comparison: with what and how the scan was compared, where that was a CAD model; its tolerance then paints the
            scan in place of the heat colours.
        warnings: sentences to add to those of the scan and of the scores.
        metadata: what the caller adds; anything JSON can hold.
    """

    model: parts.ModelFile
    unit: str | None = None
    threshold_source: parts.ThresholdGiven | parts.ThresholdCalibrated | None = None
    training_residual: float | None = None
    comparison: parts.Comparison | None = None
    warnings: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def _with_zone(timestamp: str) -> str:
    if datetime.fromisoformat(timestamp).tzinfo is None:
        raise ValueError("time without a zone")
    return timestamp


class Result(parts.RecordPart):
    """What a model says of one scan.

    The fields are the keys of `STEM.json`; in the file, `defects` are called `regions`, and the three `..._statistics`
    by the first word or two of their names. The arrays (`point_scores`, `deviation`, `distances`, `reconstruction`)
    are those that were computed, or, in a result that was read, come from the files beside the JSON.
    """

    generator: Literal["dusnet"] | None = Field(
        default=None,
        description="The mark of a file that dusnet wrote; files of before this key was introduced have none.",
    )
    schema_version: Literal[2] = Field(description="Grows when a key changes its meaning or goes away.")
    object_score: parts.Score = Field(
        description="One number for the scan; a fraction of the part's radius, corrected as the settings say."
    )
    threshold: parts.Maybe = Field(description="Object score above which the scan is anomalous.")
    point_threshold: parts.Maybe = Field(description="Point score above which a point belongs to a region.")
    is_anomalous: parts.Truth | None = Field(description="Whether the object score is greater than the threshold.")
    verdict: Verdict
    threshold_source: parts.ThresholdSource | None = Field(
        description="Where the threshold comes from; null when nobody said."
    )
    unit: parts.Text | None = Field(description="Unit of every length in the file; null when nobody said.")
    points: parts.Count = Field(description="Points of the scan.")
    stray_points: parts.Count = Field(
        default=0, description="Points far from all others; they are not measured and do not decide."
    )
    region_count: parts.Count = Field(description="How many regions there are.")
    defects: Annotated[tuple[Defect, ...], Field(max_length=MAX_DEFECTS)] = Field(
        alias="regions", description="The worst of them, worst first."
    )
    score_statistics: parts.HighStatistics | None = Field(
        alias="point_scores", description="Statistics of the point scores."
    )
    distance_statistics: parts.HighStatistics | None = Field(
        alias="distances", description="Statistics of the distances to the reconstruction; the scan's unit."
    )
    deviation_statistics: parts.SignedStatistics | None = Field(
        alias="deviation",
        description="Statistics of the signed deviations; the scan's unit, positive is excess material.",
    )
    alignment: parts.Fit | None = Field(description="How the scan was brought to the reference; null when it was not.")
    unseen_share: parts.Maybe = Field(description="Share of the part that the scan leaves out in one piece, 0 to 1.")
    part: parts.RecognisedPart | None = Field(
        default=None,
        description="Which of the parts that the model knows the scan was taken for; null where it knows one only.",
    )
    model: parts.ModelFile
    scan: parts.ScanFile
    files: parts.Files
    color_range: parts.ColorRange
    color_bands: tuple[parts.Band, ...] | None = Field(
        default=None,
        description="Of a comparison with a CAD model: the bands of deviation that paint the scan, from the most "
        "missing to the most excess material; else null.",
    )
    comparison: parts.Comparison | None = Field(
        default=None, description="With what and how a scan was compared by `dusnet compare`; else null."
    )
    versions: dict[parts.Text, parts.Text] = Field(description="Of dusnet, torch, NumPy and Python.")
    timings: dict[parts.Text, parts.Number] = Field(description="Seconds per step.")
    warnings: tuple[parts.Text, ...] = Field(description="What reading, scoring or writing had to remark.")
    timestamp: Annotated[parts.Text, AfterValidator(_with_zone)] = Field(
        description="ISO 8601 with time zone.", json_schema_extra={"format": "date-time"}
    )
    metadata: dict[parts.Text, Any] = Field(description="What the caller added.")

    _cloud: PointCloud | None = PrivateAttr(default=None)
    _scores: Scores | None = PrivateAttr(default=None)
    _folder: Path | None = PrivateAttr(default=None)

    @classmethod
    def of(
        cls,
        cloud: PointCloud,
        scores: Scores,
        context: Context,
        *,
        stem: str | None = None,
        verdict: Verdict | None = None,
    ) -> Result:
        """The result of a scan that was scored; nothing is written.

        Args:
            cloud: the scan, its own unit and pose, N points.
            scores: what the detector answered, `point_scores` (N,).
            context: what else the result says.
            stem: what the names of its files begin with; None takes the name of the cloud's file, or `scan`.
            verdict: the decision; None decides from the scores alone.

        Raises:
            ValueError: scores and points differ in number, or there is a comparison but no deviation.
        """
        name = stem or (cloud.path.stem if cloud.path is not None else "scan")
        if len(scores.point_scores) != len(cloud):
            raise ValueError(f"one score per point is needed, got {len(scores.point_scores)} for {len(cloud)} points")
        comparison = context.comparison
        if comparison is not None and scores.deviation is None:
            raise ValueError("a comparison paints deviations, and these scores have none")
        found, remark = _defects(cloud, scores)
        result = cls(
            generator="dusnet",
            schema_version=SCHEMA_VERSION,
            object_score=float(scores.object_score),
            threshold=_float(scores.threshold),
            point_threshold=_float(scores.point_threshold),
            is_anomalous=None if scores.is_anomalous is None else bool(scores.is_anomalous),
            verdict=verdict if verdict is not None else decide(scores, cloud.points),
            threshold_source=context.threshold_source,
            unit=context.unit,
            points=len(cloud),
            stray_points=0 if scores.stray is None else int(scores.stray.sum()),
            region_count=len(found),
            regions=found[:MAX_DEFECTS],
            point_scores=parts.HighStatistics.of(scores.point_scores),
            distances=None if scores.distances is None else parts.HighStatistics.of(scores.distances),
            deviation=None if scores.deviation is None else parts.SignedStatistics.of(scores.deviation),
            alignment=parts.Fit.of(scores, context.training_residual),
            unseen_share=_float(scores.unseen),
            part=parts.RecognisedPart.of(scores),
            model=context.model,
            scan=parts.ScanFile.of(cloud),
            files=parts.Files(
                scored=f"{name}{SCORED}",
                reconstruction=None if scores.reconstruction is None else f"{name}{RECONSTRUCTION}",
            ),
            color_range=parts.ColorRange.of(scores),
            color_bands=None if comparison is None else _bands(comparison),
            comparison=comparison,
            versions=_versions(),
            timings=dict(scores.timings),
            warnings=(*cloud.notes, *scores.warnings, *context.warnings, *remark),
            timestamp=datetime.now().astimezone().isoformat(timespec="seconds"),
            metadata=_plain(context.metadata),
        )
        result._cloud, result._scores = cloud, scores
        return result

    @classmethod
    def read(cls, path: str | Path) -> Result:
        """The result that `STEM.json` holds.

        Args:
            path: the JSON file, under the name that it was written with.

        Raises:
            NoResult: it is no result of dusnet.
            BadInput: it cannot be read, is damaged, or was renamed.
        """
        path = Path(path)
        try:
            if path.stat().st_size > _LARGEST_FILE:
                raise NoResult(f"{path} is no result of dusnet.")
            record = parse_json(path.read_bytes().decode("utf-8"))
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({reason(error)}); check its permissions.") from error
        except ValueError as error:
            raise BadInput(f"{path} is no valid JSON; score the scan again or remove the file.") from error
        if json_kind(record) is not FileKind.RECORD:
            raise NoResult(f"{path} is no result of dusnet.")
        try:
            result = cls.model_validate(record)
        except (ValidationError, RecursionError) as error:
            raise BadInput(f"{path} is a damaged result or one of another version; score the scan again.") from error
        if path.name != f"{result.stem}.json":
            raise BadInput(f"{path} is a result under another name than it was written with.")
        result._folder = path.parent
        return result

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema (2020-12) of `STEM.json`."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **cls.model_json_schema(),
            "title": "dusnet result",
            "description": "What `dusnet score` writes for one scan. Lengths are in `unit`. NaN and infinity are null.",
        }

    def __repr__(self) -> str:
        return f"Result({self.name}, {self.verdict.status.value}, score {self.object_score:.4g})"

    __str__ = __repr__

    @property
    def record(self) -> dict[str, Any]:
        """The contents of the JSON file."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return self.files.scored.removesuffix(SCORED)

    @property
    def name(self) -> str:
        """What to call the scan: the name of its file, or the stem."""
        return self.scan.file or self.stem

    @property
    def seconds(self) -> float | None:
        """How long the scan took, None where nobody measured."""
        return self.timings.get("total", sum(self.timings.values())) if self.timings else None

    @property
    def scores(self) -> Scores:
        """What the detector answered, in the unit of the scan.

        Raises:
            ValueError: the result was read from its files, which do not hold all of it.
        """
        if self._scores is None:
            raise ValueError(f"the result of {self.name} was read from its files; score the scan again")
        return self._scores

    @property
    def cloud(self) -> PointCloud:
        """The scan; from a result that was read, the scored scan with its heat colours."""
        return self._cloud if self._cloud is not None else read_scalars(self.scored_path)[0]

    @property
    def point_scores(self) -> NDArray[Any]:
        """Score of every point of the scan, in its order, (N,)."""
        if self._scores is not None:
            return self._scores.point_scores
        return read_scalars(self.scored_path)[1]["anomaly_score"]

    @property
    def distances(self) -> NDArray[Any] | None:
        """Distance of every point to the reconstruction, (N,), the unit of the scan; None where none is measured."""
        if self._scores is not None:
            return self._scores.distances
        return read_scalars(self.scored_path)[1].get("distance")

    @property
    def deviation(self) -> NDArray[Any] | None:
        """How far every point is outside of where it should be, (N,), the unit of the scan; None where unknown."""
        if self._scores is not None:
            return self._scores.deviation
        return read_scalars(self.scored_path)[1].get("deviation")

    @property
    def reconstruction(self) -> NDArray[np.float64] | None:
        """The surface without defects, (M, 3), unit and pose of the scan; None where the detector rebuilds none."""
        if self._scores is not None:
            return self._scores.reconstruction
        path = self.reconstruction_path
        return None if path is None else read_scalars(path)[0].points

    @property
    def json_path(self) -> Path:
        """The JSON file; known once the result is written or read."""
        return self._beside(f"{self.stem}.json")

    @property
    def scored_path(self) -> Path:
        """The scan with scores and colours; known once the result is written or read."""
        return self._beside(self.files.scored)

    @property
    def reconstruction_path(self) -> Path | None:
        """The surface without defects, or None; known once the result is written or read."""
        return None if self.files.reconstruction is None else self._beside(self.files.reconstruction)

    def _beside(self, name: str) -> Path:
        if self._folder is None:
            raise ValueError(f"the result of {self.name} has no files yet; write it first")
        return self._folder / name

    def write(self, folder: str | Path) -> Path:
        """Write the result files, each atomically, the JSON last: where it is, the others are complete.

        Files of an earlier result with the same stem are replaced; its reconstruction is removed when there is none
        now.

        Args:
            folder: where to write; made when absent.

        Returns:
            The JSON file.

        Raises:
            BadInput: a file cannot be written, or one of the same name was written by others.
            ValueError: the result was read from its files.
        """
        folder, scores = Path(folder), self.scores
        painted = replace(self.cloud, colors=self._colors(scores), labels=None)
        remove_result(folder, self.stem)  # where the JSON is, the clouds beside it belong to it
        write_clouds(folder, self.stem, painted, scores)
        target = folder / f"{self.stem}.json"
        write_json(target, self.record)
        self._folder = folder
        return target

    def _colors(self, scores: Scores) -> NDArray[np.uint8]:
        from dusnet.colors.color_maps import heat_colors
        from dusnet.colors.deviation_bands import DeviationBands

        if self.comparison is not None and scores.deviation is not None:
            allowed = self.comparison.tolerance
            colors = DeviationBands(allowed.plus, allowed.minus).colors(scores.deviation)
        else:
            span = self.color_range
            colors = heat_colors(np.asarray(scores.point_scores, dtype=np.float32), span.low, span.high)
        if scores.stray is not None:
            colors[scores.stray] = STRAY_COLOR
        return colors

    def without_arrays(self) -> Result:
        """The result of a scan that is written, without the scan and its scores in memory."""
        made = self.model_copy()
        made._cloud = made._scores = None
        return made

    def row(self) -> dict[str, Any]:
        """The line of `summary.csv`: values by column, None where one is not known."""
        return {name: value(self) for name, value in COLUMNS.items()}

    def to_frame(self) -> pandas.DataFrame:
        """The points as a table of pandas: x, y, z, `anomaly_score`, and `distance` and `deviation` where known.

        Raises:
            MissingDependency: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependency("pandas is not installed; install it with `pip install pandas`.") from error
        columns = dict(zip("xyz", self.cloud.points.T, strict=True)) | {"anomaly_score": self.point_scores}
        for name, values in (("distance", self.distances), ("deviation", self.deviation)):
            if values is not None:
                columns[name] = values
        return pandas.DataFrame(columns)


def _of_worst(name: str, place: int | None = None) -> Callable[[Result], Any]:
    """What reads a field of the worst defect, or one number of it; None where there is no defect."""

    def value(result: Result) -> Any:
        found = getattr(result.defects[0], name) if result.defects else None
        return found if found is None or place is None else found[place]

    return value


COLUMNS: dict[str, Callable[[Result], Any]] = {
    "stem": lambda result: result.stem,
    "scan": lambda result: result.scan.file,
    "verdict": lambda result: result.verdict.status.value,
    "reasons": lambda result: " ".join(result.verdict.codes),
    "object_score": lambda result: result.object_score if math.isfinite(result.object_score) else None,
    "threshold": lambda result: result.threshold,
    "is_anomalous": lambda result: None if result.is_anomalous is None else str(result.is_anomalous).lower(),
    "regions": lambda result: result.region_count,
    "worst_kind": lambda result: kind.value if (kind := _of_worst("kind")(result)) is not None else None,
    **{f"worst_{axis}": _of_worst("center", place) for place, axis in enumerate("xyz")},
    **{f"worst_{extent}": _of_worst("size", place) for place, extent in enumerate(("length", "width", "depth"))},
    "worst_peak_score": _of_worst("peak_score"),
    "worst_peak_deviation": _of_worst("peak_deviation"),
    "unit": lambda result: result.unit,
    "points": lambda result: result.points,
    "alignment_residual": lambda result: None if result.alignment is None else result.alignment.residual,
    "seconds": lambda result: result.seconds,
    "warnings": lambda result: len(result.warnings),
    "model": lambda result: result.model.id,
    "model_sha256": lambda result: result.model.sha256,
    "scan_sha256": lambda result: result.scan.sha256,
    "timestamp": lambda result: result.timestamp,
}
"""The columns of `summary.csv`, and what is in them."""


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _defects(cloud: PointCloud, scores: Scores) -> tuple[tuple[Defect, ...], tuple[str, ...]]:
    """The defects, worst first, and what to remark where none are listed."""
    if scores.point_threshold is None:
        return (), ("The model has no limit for points, so no regions are listed.",)
    if not np.isfinite(scores.point_scores).all():
        return (), ("Some point scores are NaN or infinite, so no regions are listed.",)
    found = find_defects(cloud.points, scores)
    if scores.is_anomalous and not found:
        least = minimum_region(len(cloud))
        return (), (f"No connected region of at least {least} points is above the point limit; look at the colours.",)
    return tuple(Defect.of(region, number) for number, region in enumerate(found, start=1)), ()


def _bands(comparison: parts.Comparison) -> tuple[parts.Band, ...]:
    from dusnet.colors.deviation_bands import DeviationBands

    bands = DeviationBands(comparison.tolerance.plus, comparison.tolerance.minus)
    return tuple(parts.Band(**band) for band in bands.record())


def _versions() -> dict[str, str]:
    import torch

    from dusnet import __version__

    return {
        "dusnet": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: NumPy numbers become Python's, paths text, and NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
