"""The parts that a result is made of, each typed once: for the JSON, its schema, and reading it back.

Lengths are in the unit of the scan, places in its pose, unless a part says otherwise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    WithJsonSchema,
)

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.inspection.regions import DefectKind, Region
from dusnet.inspection.sides import SideName
from dusnet.io import printable, rigid_motion

if TYPE_CHECKING:
    from dusnet.detectors.base import Scores


def _known(value: Any) -> Any:
    """None for a number that is NaN or infinite, which JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rigid(matrix: Any) -> Any:
    """Refuses a matrix that would stretch or mirror what it moves: anybody can write a result file."""
    try:
        rigid_motion(matrix, "the matrix")
    except BadInput as error:
        raise ValueError(str(error)) from error
    return matrix


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Maybe = Annotated[Number | None, BeforeValidator(_known)]
"""A number, or None where it is unknown, NaN or infinite."""
Score = Annotated[
    float,
    Field(strict=True),
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(_known),
    WithJsonSchema({"type": ["number", "null"]}),
]
"""A number that can be NaN or infinite in Python, and is null in JSON then."""
Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
Text = Annotated[str, Field(strict=True)]
Truth = Annotated[bool, Field(strict=True)]
Vector = Annotated[tuple[Number, ...], Field(min_length=3, max_length=3)]
Axes = Annotated[tuple[Vector, ...], Field(min_length=3, max_length=3)]
Matrix = Annotated[
    tuple[Annotated[tuple[Number, ...], Field(min_length=4, max_length=4)], ...], Field(min_length=4, max_length=4)
]
Motion = Annotated[Matrix, AfterValidator(_rigid)]
Color = Annotated[tuple[Annotated[int, Field(strict=True, ge=0, le=255)], ...], Field(min_length=3, max_length=3)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class RecordPart(BaseModel):
    """A part of a result: its values do not change, and other keys than its own are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __eq__(self, other: object) -> bool:
        """Whether the keys of the JSON have equal values, whatever arrays belong to them."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # some hold dictionaries


class Bounds(RecordPart):
    """The box around a defect, along the axes of the scan."""

    low: Vector = Field(description="Smallest x, y and z; the scan's unit.")
    high: Vector = Field(description="Largest x, y and z; the scan's unit.")


class PartFrame(RecordPart):
    """The frame of the part: a place of the part has the same coordinates there in every scan, whatever its pose."""

    of: Literal["first training scan", "CAD model", "given"] = Field(description="Whose coordinates they are.")
    matrix: Motion = Field(description="Rigid motion from the scan to the frame; the scan's unit.")

    @classmethod
    def behind(
        cls,
        alignment: NDArray[np.float64],
        of: Literal["first training scan", "CAD model"],
        given: NDArray[np.float64] | None = None,
    ) -> PartFrame:
        """The frame of a scan that was aligned.

        Args:
            alignment: (4, 4) from the scan to the first training scan or to the CAD model. It scales where these are in
                another unit than the scan; the frame does not.
            of: which of them.
            given: rigid motion from there to a frame of the user's own, (4, 4) in the unit of the training scans or
                of the CAD model, or None.
        """
        whole = np.array(alignment if given is None else given @ alignment, dtype=np.float64)
        whole[:3] /= np.cbrt(np.linalg.det(whole[:3, :3]))
        return cls(of=of if given is None else "given", matrix=tuple(tuple(row) for row in whole.tolist()))

    @property
    def motion(self) -> NDArray[np.float64]:
        """The matrix, (4, 4) float64."""
        return np.array(self.matrix, dtype=np.float64)

    def places(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of the scan, (..., 3), in the frame."""
        motion = self.motion
        moved: NDArray[np.float64] = points @ motion[:3, :3].T + motion[:3, 3]
        return moved


class Defect(RecordPart):
    """A connected region above the point limit, or material that is missing."""

    id: Annotated[int, Field(strict=True, ge=1)] = Field(description="1 is the worst.")
    kind: DefectKind | None = Field(description="What it looks like; null without signed deviations.")
    center: Vector = Field(
        description="Middle of the defect's area, or of that of missing material; the scan's unit and pose."
    )
    center_in_part: Vector | None = Field(
        default=None,
        description="The same place in the frame of the part; the scan's unit. Null where the frame is not known.",
    )
    size: Vector = Field(description="Extents along `axes`, longest first; the scan's unit.")
    axes: Axes = Field(description="The principal axes that `size` is measured along, unit vectors, right-handed.")
    bounds: Bounds
    point_count: Count = Field(description="Points of the scan in the region; of missing material those on its rim.")
    peak_score: Score = Field(description="Highest point score.")
    peak_point: Vector = Field(description="Where it is; the scan's unit and pose.")
    peak_point_in_part: Vector | None = Field(
        default=None, description="The same in the frame of the part; the scan's unit. Null as `center_in_part`."
    )
    mean_score: Score = Field(description="Mean point score.")
    area: Score = Field(description="Of the good surface that the defect covers; the scan's unit squared.")
    severity: Score = Field(
        description="What regions are sorted by: the sum over the points of (score - point limit) times area; "
        "of missing material, plus the mean excess of these points times its area."
    )
    peak_deviation: Maybe = Field(
        description="How far the defect lies from the good surface around it at most; the scan's unit, "
        "positive is excess material."
    )
    mean_deviation: Maybe = Field(description="Mean deviation; the scan's unit.")
    volume: Maybe = Field(
        default=None,
        description="Between the scan and the good surface; the scan's unit cubed, positive is excess material.",
    )
    gap: Maybe = Field(
        description="Of missing material: the largest distance from where it should be to the scan; the scan's unit."
    )
    side: SideName | None = Field(
        default=None,
        description="The side that shows it best, along the axes of the frame of the part or, where that is not known, "
        "of the scan. Absent in results of earlier versions.",
    )
    _indices: NDArray[np.intp] = PrivateAttr(default_factory=lambda: np.empty(0, dtype=np.intp))

    @property
    def indices(self) -> NDArray[np.intp]:
        """Which points of the scan, ascending; empty in a result that was read from its file."""
        return self._indices

    @classmethod
    def of(cls, region: Region, number: int, frame: PartFrame | None = None, *, side: SideName | None = None) -> Defect:
        """A region as a result lists it; `number` is its id, `frame` that of the part where it is known."""
        made = cls(
            id=number,
            kind=region.kind,
            center=_vector(region.center),
            center_in_part=None if frame is None else _vector(frame.places(region.center)),
            size=_vector(region.size),
            axes=tuple(_vector(axis) for axis in region.axes),
            bounds=Bounds(low=_vector(region.low), high=_vector(region.high)),
            point_count=region.point_count,
            peak_score=region.peak_score,
            peak_point=_vector(region.peak_point),
            peak_point_in_part=None if frame is None else _vector(frame.places(region.peak_point)),
            mean_score=region.mean_score,
            area=region.area,
            severity=region.severity,
            peak_deviation=region.peak_deviation,
            mean_deviation=region.mean_deviation,
            volume=region.volume,
            gap=region.gap,
            side=side,
        )
        made._indices = region.indices
        return made


def _vector(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())


class ThresholdGiven(RecordPart):
    """The threshold is the caller's own, or there is none."""

    kind: Literal["none", "given"]


class GoodScans(RecordPart):
    """How many good scans decide on a threshold."""

    simulated: Count = Field(description="Simulated good scans that decide.")
    left_out: Count = Field(description="Training scans scored by a model of the others.")
    added: Count = Field(description="Good scans added after training.")


class ThresholdCalibrated(RecordPart):
    """The threshold keeps a false-alarm rate among good scans."""

    kind: Literal["calibration"]
    false_alarm: Number = Field(description="The rate that was asked for, 0 to 1.")
    supported: Truth = Field(description="Whether it is one that the good scans can promise.")
    good_scans: GoodScans
    source: Text = Field(description="Where they came from.")


ThresholdSource = Annotated[ThresholdGiven | ThresholdCalibrated, Field(discriminator="kind")]


class AcceptedDefect(RecordPart):
    """What the user accepts, whatever good scans score; null for no limit."""

    deviation: Maybe = Field(description="Of the deepest defect, either way; the scan's unit.")
    area: Maybe = Field(description="Of the largest defect; the scan's unit squared.")


class HighStatistics(RecordPart):
    """Mean and quantiles of values whose high ones count; empty where there are no values."""

    mean: Maybe = None
    median: Maybe = None
    p95: Maybe = None
    p99: Maybe = None
    max: Maybe = None

    @classmethod
    def of(cls, values: NDArray[Any]) -> HighStatistics:
        """Those of values, (N,)."""
        return cls(**_statistics(values, {"median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}))


class SignedStatistics(RecordPart):
    """Mean and quantiles of values of either sign; empty where there are no values."""

    mean: Maybe = None
    min: Maybe = None
    p1: Maybe = None
    median: Maybe = None
    p99: Maybe = None
    max: Maybe = None

    @classmethod
    def of(cls, values: NDArray[Any]) -> SignedStatistics:
        """Those of values, (N,)."""
        return cls(**_statistics(values, {"min": 0.0, "p1": 0.01, "median": 0.5, "p99": 0.99, "max": 1.0}))


def _statistics(values: NDArray[Any], shares: dict[str, float]) -> dict[str, float]:
    exact = np.asarray(values, dtype=np.float64)
    if not len(exact):
        return {}
    found = np.quantile(exact, list(shares.values())).tolist()
    return {"mean": float(exact.mean()), **dict(zip(shares, found, strict=True))}


class Fit(RecordPart):
    """How the scan was brought to the reference."""

    method: Text = Field(description="Which search found the pose.")
    residual: Maybe = Field(description="Trimmed mean distance to the reference; fraction of the part's radius.")
    training_residual: Maybe = Field(description="The same of good scans.")
    fitness: Maybe = Field(description="Share of the scan near the reference, 0 to 1.")
    symmetric: Truth = Field(description="Whether a symmetry of the part gives an equally good pose.")
    margin: Maybe = Field(description="How many times worse the best other pose fits; null where none was found.")
    matrix: Matrix = Field(description="From scan to reference.")

    @classmethod
    def of(cls, scores: Scores, training_residual: float | None) -> Fit | None:
        """How a scan was aligned, None where it was not; `training_residual` is that of good scans."""
        alignment = scores.alignment
        if alignment is None:
            return None
        return cls(
            method=alignment.method,
            residual=float(alignment.residual),
            training_residual=training_residual,
            fitness=float(alignment.fitness),
            symmetric=bool(alignment.symmetric),
            margin=float(alignment.margin),
            matrix=np.asarray(alignment.matrix).tolist(),
        )


class RecognisedPart(RecordPart):
    """Which of the parts that a model knows a scan was taken for."""

    name: Text = Field(description="The part.")
    likeness: dict[Text, Maybe] = Field(
        description="Cosine similarity of the scan to every part that it was compared with, -1 to 1."
    )

    @classmethod
    def of(cls, scores: Scores) -> RecognisedPart | None:
        """Which part the scores are of, None where the model knows one only."""
        return None if scores.part is None else cls(name=scores.part, likeness=dict(scores.likeness))


class ModelFile(RecordPart):
    """The model that scored the scan, or the CAD model that it was compared with."""

    id: Text = Field(description="File name of the model.")
    sha256: Text | None = Field(description="Hash of the file.")


class ScanFile(RecordPart):
    """The file of the scan; both null for a scan from memory."""

    file: Text | None = Field(description="File name of the scan.")
    sha256: Text | None = Field(description="Hash of the file as it was read.")

    @classmethod
    def of(cls, cloud: PointCloud) -> ScanFile:
        """The file of a cloud."""
        if cloud.path is None:
            return cls(file=None, sha256=None)
        return cls(file=printable(cloud.path.name), sha256=cloud.sha256)


class Files(RecordPart):
    """Names of the files beside the JSON."""

    scored: Text
    reconstruction: Text | None


class ColorRange(RecordPart):
    """The point scores of the first and the last colour."""

    low: Number
    high: Number
    source: Text = Field(description="point_threshold: from 0 to twice of it; scan: from its median to its maximum.")

    @classmethod
    def of(cls, scores: Scores) -> ColorRange:
        """0 to twice the point limit, the same for all scans of a model; without one the scan's own."""
        limit = scores.point_threshold
        if limit is not None and limit > 0 and math.isfinite(limit):
            return cls(low=0.0, high=2.0 * float(limit), source="point_threshold")
        finite = np.asarray(scores.point_scores, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            return cls(low=0.0, high=1.0, source="scan")
        low, high = float(np.median(finite)), float(finite.max())
        return cls(low=low, high=high if high > low else low + 1.0, source="scan")


class Band(RecordPart):
    """One colour of a comparison with a CAD model."""

    above: Maybe = Field(description="Lower limit, excluded; null for none; the scan's unit.")
    up_to: Maybe = Field(description="Upper limit; null for none; the scan's unit.")
    color: Color = Field(description="sRGB.")


class CadFile(RecordPart):
    """The CAD model of a comparison. Results of earlier versions do not count its bodies."""

    file: Text
    sha256: Text
    unit: Text = Field(description="Of the mesh.")
    triangles: Count
    watertight: Truth = Field(description="Of the surface that was compared with: whether it has an inside.")
    bodies: Count = Field(
        default=0,
        description="Pieces of the mesh that hang together; with the three that follow absent in results of earlier "
        "versions.",
    )
    united: Count = Field(
        default=0, description="Of them, those that touched or overlapped others and were united with them."
    )
    left_out: Count = Field(default=0, description="Of them, those inside of the material of others, or there twice.")
    not_united: Count = Field(
        default=0, description="Of them, those that could not be united because they are not closed."
    )


class AllowedDeviation(RecordPart):
    """The tolerance of a comparison."""

    plus: Number = Field(description="Allowed excess; the scan's unit.")
    minus: Number = Field(description="Allowed lack; the scan's unit.")
    default: Truth = Field(description="Whether one or both were not chosen.")


class OutOfTolerance(RecordPart):
    """Shares of the points, 0 to 1."""

    share: Share = Field(description="Share of the points.")
    excess: Share
    missing: Share


class Comparison(RecordPart):
    """With what and how `dusnet compare` compared a scan."""

    cad: CadFile
    tolerance: AllowedDeviation
    rms: Number = Field(description="Root mean square of the deviation; the scan's unit.")
    out_of_tolerance: OutOfTolerance
    noise: Number = Field(description="Standard deviation of the scan's noise; the scan's unit.")
