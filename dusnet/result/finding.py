"""What was found on a part, in one sentence: the first that a page or a line says of a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dusnet.inspection.regions import DefectKind
from dusnet.inspection.verdict import ABOVE, DEEP, LARGE, Status
from dusnet.units import squared
from dusnet.words import counted, plain

if TYPE_CHECKING:
    from dusnet.inspection.result_parts import Comparison, Defect
    from dusnet.result.record import Record

KIND_WORDS = {
    DefectKind.PROTRUSION: "bump",
    DefectKind.DEPRESSION: "dent",
    DefectKind.MISSING_MATERIAL: "missing material",
    DefectKind.DEFORMATION: "deformation",
}
"""What a defect looks like, as an inspector calls it."""
_END = ".:;"


def kind_words(kind: DefectKind | None) -> str:
    """What a defect looks like: `dent`; `defect` where nobody can say."""
    return "defect" if kind is None else KIND_WORDS[kind]


def finding_of(result: Record) -> str:
    """What was found, without the verdict and without a full stop.

    Of an NG the worst defect, its place, and the limit that it passes; of an OK the largest deviation; of a RECHECK
    the first reason why nothing can be said, what is not in the scan before all others.
    """
    if result.verdict.status is Status.RECHECK:
        return _doubt(result)
    if result.verdict.status is Status.OK:
        return "; ".join(["no defect", *_largest(result)])
    worst = deciding_defect(result)
    if worst is None:
        return "; ".join(["no single place stands out", *_limit(result, None)])
    others = result.region_count - 1
    more = f", and {counted(others, 'more defect')}" if others else ""
    return "; ".join([f"{defect_words(worst, result.unit)}{more}", *_limit(result, worst)])


def deciding_defect(result: Record) -> Defect | None:
    """The defect that the finding names, None where none is listed.

    That is the one that passes a limit in units of length by most, else one that passes a limit of the area, else the
    worst.
    """
    if not result.defects:
        return None
    compared, codes = result.comparison, result.verdict.codes
    if DEEP in codes:
        return max(result.defects, key=_depth)
    if compared is not None:
        return max(result.defects, key=lambda defect: _share(defect, compared))
    return max(result.defects, key=lambda defect: defect.area) if codes == (LARGE,) else result.defects[0]


def defect_words(defect: Defect, unit: str | None) -> str:
    """A defect in words: `dent of -1.41 mm, 20 mm across, on the left side`."""
    off = None if defect.kind is DefectKind.MISSING_MATERIAL else defect.peak_deviation
    depth = "" if off is None else f" of {_length(off, unit, signed=True)}"
    side = "" if defect.side is None else f", on the {defect.side} side"
    return f"{kind_words(defect.kind)}{depth}, {_length(defect.size[0], unit, digits=2)} across{side}"


def _length(value: float, unit: str | None, *, digits: int = 3, signed: bool = False) -> str:
    return f"{plain(value, digits, signed=signed)} {unit or ''}".strip()


def _depth(defect: Defect) -> float:
    """How far a defect is off, either way; 0 where unknown."""
    return defect.gap if defect.gap is not None else abs(defect.peak_deviation or 0.0)


def _share(defect: Defect, compared: Comparison) -> float:
    """The share of the tolerance that a defect uses."""
    found = defect.peak_deviation or 0.0
    return found / compared.tolerance.plus if found > 0.0 else -found / compared.tolerance.minus


def _limit(result: Record, worst: Defect | None) -> list[str]:
    """The limit that decided: a length or an area where one did, else how far the score is beyond its own."""
    codes, own, unit = result.verdict.codes, result.own_limits, result.unit
    found = []
    if DEEP in codes and own is not None and own.deviation is not None:
        gap = "" if worst is None or worst.gap is None else f"gap {_length(worst.gap, unit)}, "
        found.append(f"{gap}limit {_length(own.deviation, unit)}")
    if LARGE in codes and own is not None and own.area is not None:
        largest, of_area = max(defect.area for defect in result.defects), squared(unit)
        found.append(f"area {_length(largest, of_area)}, limit {_length(own.area, of_area)}")
    if not found and ABOVE in codes:
        found.append(_score(result) if result.comparison is None else tolerance_words(result.comparison, unit))
    return found


def tolerance_words(compared: Comparison, unit: str | None) -> str:
    """The limits of a comparison: `limit ±0.4 mm`, `limit +0.4 / -0.2 mm`."""
    plus, minus = compared.tolerance.plus, compared.tolerance.minus
    if plus == minus:
        return f"limit ±{_length(plus, unit)}"
    return f"limit {plain(plus, 3, signed=True)} / {_length(-minus, unit)}"


def _score(result: Record) -> str:
    """How the score lies to its limit: `score 3.0 times the limit`."""
    score, limit = result.object_score, result.threshold
    if limit is None:
        return f"score {plain(score, 3)}, which counts as anomalous"
    if limit <= 0.0:
        return f"score {plain(score, 3)}, limit {plain(limit, 3)}"
    ratio = score / limit
    if 0.95 <= ratio < 1.05:
        return f"score just {'above' if ratio > 1.0 else 'below'} the limit" if ratio != 1.0 else "score at the limit"
    return f"score {f'{ratio:.1f}' if 1.0 < ratio < 9.95 else plain(ratio, 2)} times the limit"


def _largest(result: Record) -> list[str]:
    """How far a good part is off."""
    found, compared, unit = result.deviation_statistics, result.comparison, result.unit
    if found is None or found.min is None or found.max is None:
        return [_score(result)]
    own = result.own_limits.deviation if result.own_limits is not None else None
    most = max(found.min, found.max, key=abs)
    plus, minus = (compared.tolerance.plus, compared.tolerance.minus) if compared is not None else (own, own)
    limit = "" if own is None else f", limit {_length(own, unit)}"
    limit = limit if compared is None else f", {tolerance_words(compared, unit)}"
    # A speck may lie beyond the limit: it is no defect, and beside the limit it would read as one.
    if plus is not None and minus is not None and (found.max > plus or found.min < -minus):
        ends = (0.0 if end is None else end for end in (found.p1, found.p99))
        within = " to ".join(plain(end, 3, signed=True) for end in ends)
        return [f"98 % of the points within {within} {unit or ''}".rstrip() + limit]
    return [f"largest deviation {_length(most, unit, signed=True)}{limit}"]


def _doubt(result: Record) -> str:
    """The first reason to doubt, up to where its explanation begins."""
    reasons = sorted(result.verdict.reasons, key=lambda reason: reason.code != "part_not_seen")
    doubts = [reason.text.replace("%", " %") for reason in reasons if reason.is_doubt]
    if not doubts:
        return "the score cannot be believed"
    ends = [place for mark in _END if (place := doubts[0].find(f"{mark} ")) > 0]
    first = doubts[0][: min(ends, default=len(doubts[0]))].rstrip(_END)
    return first[:1].lower() + first[1:]
