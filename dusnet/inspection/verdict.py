"""From a score to a decision that a line can act on: OK, NG, or RECHECK with the reasons."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import ConfigDict, Field

from dusnet.cloud import Points
from dusnet.geometry.scan_sizes import size_words, true_unit
from dusnet.units import METRES, UNIT_WORDS

if TYPE_CHECKING:
    from dusnet.detectors.base import Scores


ABOVE = "score_above_threshold"
DEEP = "deviation_above_limit"
LARGE = "area_above_limit"
FINDINGS = (ABOVE, DEEP, LARGE)
"""Codes that speak against the part."""
LIMIT_TOO_HIGH = "limit_too_high"


class Status(str, Enum):
    """What to do with the part."""

    OK = "OK"
    NG = "NG"
    RECHECK = "RECHECK"


@dataclass(frozen=True)
class Reason:
    """Why a verdict is what it is.

    Attributes:
        code: stable word for programs: `score_above_threshold`, `deviation_above_limit`, `area_above_limit`,
            `no_threshold`, `score_not_finite`, `alignment_residual_high`, `alignment_ambiguous`, `too_few_points`,
            `part_not_seen`, `unit_doubtful` or `limit_too_high`.
        text: one sentence for people.
    """

    code: Annotated[str, Field(strict=True, description="A stable word for programs.")]
    text: Annotated[str, Field(strict=True, description="A sentence for people.")]

    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def is_doubt(self) -> bool:
        """Whether it speaks against the score, and not against the part."""
        return self.code not in FINDINGS


@dataclass(frozen=True)
class Verdict:
    """A decision and its reasons; an OK has none."""

    status: Status
    reasons: tuple[Reason, ...] = ()

    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def codes(self) -> tuple[str, ...]:
        """The reason codes."""
        return tuple(reason.code for reason in self.reasons)

    def with_findings(self, findings: tuple[Reason, ...]) -> Verdict:
        """The verdict where the part passes limits of the user's own, too: an OK becomes NG, a doubt stays one."""
        if not findings:
            return self
        status = Status.RECHECK if self.status is Status.RECHECK else Status.NG
        return Verdict(status, (*self.reasons, *findings))


@dataclass(frozen=True)
class Expectations:
    """What a scan is expected to look like. None leaves a check out.

    Attributes:
        residual: largest alignment residual among good scans, fraction of the frame's scale; 0 where only the limits'
            floors count.
        points: least number of points of a training scan.
        scale: bounding radius of the training scans in the model's unit.
        unseen: largest share of the part that a training scan leaves out in one piece.
        coverage: share of the part, 0 to 1, that a scan must show; it then takes the place of `unseen`.
        limit_too_high: whether no small defect exceeds the limit, so that a score below it says little.
        source: what the expectations come from, for the reader of a reason.
        unit: that the scan is read in.
        cad_unit: that the CAD model is read in, where the expectations come from one.
    """

    residual: float | None = None
    points: int | None = None
    scale: float | None = None
    unseen: float | None = None
    coverage: float | None = None
    limit_too_high: bool = False
    source: str = "training scans"
    unit: str | None = None
    cad_unit: str | None = None


@dataclass(frozen=True)
class Limits:
    """How far a scan may be from the expectations before its score is not believed.

    Attributes:
        residual_factor: times the residual that training scans reach beside each other. Right poses, damaged or not,
            reach 1.5 times (docs/registration.md).
        residual_floor: a residual up to this fraction of the frame's scale is believed, whatever training scans reach:
            the noise of a scanner.
        residual_unknown: the same where nobody knows what good scans reach: they may differ by 2 %.
        fitness: share of the points near the model below which the next two replace the two above.
        unfit_factor: as `residual_factor`.
        unfit_floor: as `residual_floor`.
        pose_margin: how much worse the next best pose must fit, unless a symmetry of the part makes the two the same.
            Views that fit either end of a part have 1.04 to 1.08, others at least 1.3.
        point_fraction: share of the points of a training scan.
        minimum_points: points that every scan needs.
        scale_factor: ratio of sizes, either way.
        unseen_margin: share of the part that a scan may leave out beyond what training scans leave out.
        view_margin: the same of a scan of one side, what the part hides from the scanner set aside. Of 232
            good views of 22 parts two leave out more, of 165 views of a broken part 131.
    """

    residual_factor: float = 2.5
    residual_floor: float = 0.0025
    residual_unknown: float = 0.008
    fitness: float = 0.93
    unfit_factor: float = 1.2
    unfit_floor: float = 0.006
    pose_margin: float = 1.15
    point_fraction: float = 0.1
    minimum_points: int = 100
    scale_factor: float = 3.0
    unseen_margin: float = 0.05
    view_margin: float = 0.03


def scale_ratio(points: Points, scale: float) -> float:
    """Size of a scan divided by the size of the training scans.

    The size of the scan is measured from the middle of its bounding box, up to the farthest 1 % of the points in every
    direction, so that stray points do not count. A scan in metres of a part trained in millimetres gives about 0.001.

    Args:
        points: (N, 3) float64, the scan's unit.
        scale: bounding radius of the training scans, the model's unit.
    """
    center = np.quantile(points, (0.005, 0.995), axis=0).mean(axis=0)
    radius = np.linalg.norm(points - center, axis=1)
    return float(np.quantile(radius, 0.99)) / scale


def decide(
    scores: Scores,
    points: Points,
    *,
    expected: Expectations = Expectations(),
    limits: Limits = Limits(),
) -> Verdict:
    """The verdict on one scan.

    RECHECK when the score cannot be believed or there is nothing to compare it with, whatever the score is; else NG
    when the object score is greater than the limit; else RECHECK when the limit is too high for small defects;
    else OK. A RECHECK whose score is above the threshold says that too.

    Args:
        scores: what the detector answered; `is_anomalous` decides, or where it is None, the threshold.
        points: the scan, (N, 3) float64, its own unit.
        expected: what the model knows about good scans.
        limits: how far from it is too far.
    """
    doubts = [
        reason
        for reason in (
            _score_doubt(scores),
            _alignment_doubt(scores, expected, limits),
            _pose_doubt(scores, limits),
            _point_doubt(len(points), expected, limits),
            _coverage_doubt(scores, expected, limits),
            _unit_doubt(points, expected, limits),
        )
        if reason is not None
    ]
    high = _above(scores)
    findings = (
        [
            Reason(
                ABOVE,
                f"The score {scores.object_score:.4g} is above the limit {scores.threshold:.4g}."
                if scores.threshold is not None
                else f"The score {scores.object_score:.4g} counts as anomalous.",
            )
        ]
        if high
        else []
    )
    if doubts:
        return Verdict(Status.RECHECK, (*doubts, *findings))
    if high:
        return Verdict(Status.NG, tuple(findings))
    if expected.limit_too_high:
        return Verdict(Status.RECHECK, (Reason(LIMIT_TOO_HIGH, limit_words(scores.threshold)),))
    return Verdict(Status.OK)


def limit_words(threshold: float | None) -> str:
    """What a limit that is too high for small defects means, in one sentence."""
    shown = "" if threshold is None else f" {threshold:.4g}"
    return (
        f"The limit{shown} is too high for small defects: no simulated bump of 2 % of the part's radius exceeds it, "
        "so a score below it does not mean that the part is good; train with more scans that show the same of the part."
    )


def leaves_out_more(scores: Scores, expected: Expectations, limits: Limits = Limits()) -> bool:
    """Whether a scan leaves out more of the part than scans of its kind do; False where one of both is not known."""
    if scores.unseen is None or expected.unseen is None:
        return False
    if scores.view:
        return scores.unseen - scores.hidden > expected.unseen + limits.view_margin
    return scores.unseen > expected.unseen + limits.unseen_margin


def unjudged(unseen: float) -> str:
    """What a scan leaves out and nobody minds, a share of the part, in one sentence."""
    return f"{unseen:.0%} of the part is not in the scan, and nothing is said about that."


def _above(scores: Scores) -> bool | None:
    if not math.isfinite(scores.object_score):
        return None
    if scores.is_anomalous is not None:
        return bool(scores.is_anomalous)
    return None if scores.threshold is None else scores.object_score > scores.threshold


def _score_doubt(scores: Scores) -> Reason | None:
    if not math.isfinite(scores.object_score):
        return Reason("score_not_finite", f"The score is {scores.object_score}, which is no number to judge by.")
    if _above(scores) is None:
        return Reason("no_threshold", "The model has no limit; calibrate it or give a threshold.")
    return None


def _alignment_doubt(scores: Scores, expected: Expectations, limits: Limits) -> Reason | None:
    if scores.alignment is None or expected.residual is None:
        return None
    residual, fitness = scores.alignment.residual, scores.alignment.fitness
    if fitness >= limits.fitness:
        floor = limits.residual_floor if expected.residual > 0.0 else limits.residual_unknown
        most = max(limits.residual_factor * expected.residual, floor)
    else:  # a wrong pose that nearly fits has a moderate residual, but never this many points near the model
        most = max(limits.unfit_factor * expected.residual, limits.unfit_floor)
    if residual <= most:  # NaN is not, and must not pass
        return None
    usual = f" (good scans reach {expected.residual:.4g})" if expected.residual > 0.0 else ""
    return Reason(
        "alignment_residual_high",
        f"The scan does not fit the model: its alignment residual {residual:.4g} exceeds {most:.4g}{usual} "
        f"and {fitness:.0%} of it lie near the model; check that it is the right part and scanned whole.",
    )


def _pose_doubt(scores: Scores, limits: Limits) -> Reason | None:
    if scores.alignment is None or scores.alignment.margin >= limits.pose_margin:
        return None
    return Reason(
        "alignment_ambiguous",
        f"The scan fits the model in another pose nearly as well ({scores.alignment.margin:.2f} times the distance); "
        "scan a side that only one pose can show.",
    )


def _point_doubt(count: int, expected: Expectations, limits: Limits) -> Reason | None:
    least = limits.minimum_points
    if expected.points is not None:
        least = max(least, math.ceil(limits.point_fraction * expected.points))
    if count >= least:
        return None
    return Reason("too_few_points", f"The scan has {count} points but at least {least} are needed; re-scan it.")


def _coverage_doubt(scores: Scores, expected: Expectations, limits: Limits) -> Reason | None:
    if scores.unseen is None:
        return None
    if expected.coverage is not None:
        if 1.0 - scores.unseen >= expected.coverage:
            return None
        words = f"The scan shows {1.0 - scores.unseen:.0%} of the part, less than the {expected.coverage:.0%} asked for"
        return Reason("part_not_seen", f"{words}; scan more of it.")
    if not leaves_out_more(scores, expected, limits):
        return None
    lost = f"{scores.unseen:.0%} of the part is not in the scan"
    if scores.view:
        lost = f"The scan shows one side, and {scores.unseen - scores.hidden:.0%} of the part is not in it there"
    return Reason(
        "part_not_seen",
        f"{lost}: it is missing or was not seen; look at the part, scan it "
        "from that side too, train with scans like this one, or say with --min-coverage how much a scan must show.",
    )


def _unit_doubt(points: Points, expected: Expectations, limits: Limits) -> Reason | None:
    if expected.scale is None or len(points) == 0:
        return None
    ratio = scale_ratio(points, expected.scale)
    if 1.0 / limits.scale_factor <= ratio <= limits.scale_factor:
        return None
    return Reason(
        "unit_doubtful",
        f"The scan is {_size_and_unit(ratio, expected)}",
    )


def _size_and_unit(ratio: float, expected: Expectations) -> str:
    """How the size of a scan compares that is `ratio` times as large as it should be, and which unit to try."""
    unit, cad = expected.unit, expected.cad_unit
    of_cad = true_unit(1.0 / ratio, cad) if cad is not None and ratio > 1.0 else None
    if cad is not None and of_cad is not None:
        size = size_words(METRES[of_cad] / METRES[cad])
        return f"{size} than the {expected.source}: is that in {UNIT_WORDS[of_cad]}? Try --cad-unit {of_cad}."
    of_scan = None if unit is None else true_unit(ratio, unit)
    if unit is None or of_scan is None:
        return f"{size_words(ratio)} than the {expected.source}: check the unit of the file."
    size, same = size_words(METRES[unit] / METRES[of_scan]), "" if cad is None else f" --cad-unit {cad}"
    return f"{size} than the {expected.source}: {UNIT_WORDS[of_scan]}? Try --unit {of_scan}{same}."


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """The exit code of `--gate` for a batch.

    1 when a part is NG, whatever the others are; else 2 when one is RECHECK or there is none at all; else 0.

    Example:
        >>> exit_code([Verdict(Status.OK), Verdict(Status.RECHECK), Verdict(Status.NG)])
        1
    """
    found = {verdict.status for verdict in verdicts}
    if Status.NG in found:
        return 1
    return 0 if found == {Status.OK} else 2
