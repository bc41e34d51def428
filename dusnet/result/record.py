"""What is stored of a result: the keys of `STEM.json`, typed, and what follows from them alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dusnet.inspection import result_parts as parts
from dusnet.inspection.result_files import SCORED
from dusnet.inspection.result_parts import Defect
from dusnet.inspection.verdict import Verdict
from dusnet.result.finding import finding_of

SCHEMA_VERSION: Literal[2] = 2
MAX_DEFECTS = 50
PART_NUMBER, COMMENT = "part_number", "comment"
"""Names in `metadata` that pages and the summary know."""


def _with_zone(timestamp: str) -> str:
    if datetime.fromisoformat(timestamp).tzinfo is None:
        raise ValueError("time without a zone")
    return timestamp


class Record(parts.RecordPart):
    """The keys of `STEM.json`; in the file, some have the name that is their alias here."""

    generator: Literal["dusnet"] | None = Field(
        default=None,
        description="The mark of a file that dusnet wrote; files of before this key was introduced have none.",
    )
    schema_version: Literal[2] = Field(description="Grows when a key changes its meaning or goes away.")
    object_score: parts.Score = Field(description="One number for the scan; a fraction of the part's radius.")
    threshold: parts.Maybe = Field(description="Object score above which the scan is anomalous.")
    point_threshold: parts.Maybe = Field(description="Point score above which a point belongs to a region.")
    is_anomalous: parts.Truth | None = Field(description="Whether the object score is greater than the threshold.")
    verdict: Verdict
    threshold_source: parts.ThresholdSource | None = Field(
        description="Where the threshold comes from; null when nobody said."
    )
    own_limits: parts.AcceptedDefect | None = Field(
        default=None, description="Limits of the user's own that the defects were held against; null for none."
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
    part_frame: parts.PartFrame | None = Field(
        default=None,
        description="The frame of the part, and how the scan lies in it; null where scans are not registered.",
    )
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
    metadata: dict[parts.Text, Any] = Field(
        description="What the caller said of the part; `part_number` and `comment` are in the summary, too."
    )

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema (2020-12) of `STEM.json`."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **cls.model_json_schema(),
            "title": "dusnet result",
            "description": "What `dusnet score` writes for one scan. Lengths are in `unit`. NaN and infinity are null.",
        }

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
    def finding(self) -> str:
        """What was found, in one sentence: `NG: dent of -1.4 mm, 20 mm across, on the left side; limit 0.5 mm`."""
        return f"{self.verdict.status.value}: {finding_of(self)}."

    @property
    def seconds(self) -> float | None:
        """How long the scan took, None where nobody measured."""
        return self.timings.get("total", sum(self.timings.values())) if self.timings else None
