"""Defects as an inspector reads them: regions of a scan with what they look like, and material that is not there.

Missing material has no points. Its place and size come from the good surface; its score from the points around it, to
which detectors give the gap beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import Points
from dusnet.inspection.measures import Extent, MeasuredScan, lost_places
from dusnet.inspection.own_limits import NO_LIMITS, OwnLimits
from dusnet.inspection.regions import DefectKind, Region, extents, find_regions, region_at, surface_area, usual_spacing

if TYPE_CHECKING:
    from dusnet.detectors.base import Scores

PIECE_REACH = 5.0
"""Places of missing material belong together within this many of their own spacings."""
LEAST_PLACES = 3
RIM_REACH = 2.0
"""A point is on the rim of missing material when its nearest place is at most this many times farther from it than
from the nearest point of the scan."""
RIM_SHARE = 0.3
"""A region with this share of its points on rims is that of missing material."""
LEAST_RIM = 5
"""Points of a region on the rim of a hole from which on some of it is that hole's."""
LOST_SHARE = 0.4
"""Area of bare places over that of the inward displaced region around them from which on they are missing material."""
UNMOVED = 0.25
"""A score this many times larger than the points' own deviation explains comes from places without points."""
ONE_SIDED = 0.6
"""Mean deviation over mean absolute deviation from which on a region lies on one side of the surface."""
WIDE = 0.5
"""Share of the scan's diagonal from which on a displaced region is a deformation of the part."""


@dataclass(frozen=True)
class _Hole:
    """Places of a good part, (K, 3), that are `bare`, (K,), away from the nearest point of the scan."""

    places: Points
    bare: NDArray[np.float64]

    def beside(self, region: Points) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Distance of points to the hole and whether they are on its rim, (n,) each."""
        from scipy.spatial import cKDTree

        distance, nearest = cKDTree(self.places).query(region)
        return distance, distance <= RIM_REACH * self.bare[nearest]


def find_defects(points: Points, scores: Scores, own: OwnLimits = NO_LIMITS) -> list[Region]:
    """The defects of a scan, worst first: none of one that is not anomalous, at least one of one that is.

    Args:
        points: the scan, (N, 3) float64, its own unit and pose.
        scores: what a detector answered, with a point limit.
        own: limits of the user's own in the unit of the scan; what passes them is listed, anomalous or not.

    Returns:
        Regions sorted by `severity`.
    """
    scan = MeasuredScan.of(points, scores)
    found = [] if scores.is_anomalous is False else _above_point_limit(points, scores, scan)
    if own:
        found += _beyond(points, scores, own, found, scan)
    return sorted(found, key=lambda region: (-region.severity, -region.peak_score))


def _beyond(
    points: Points, scores: Scores, own: OwnLimits, listed: list[Region], scan: MeasuredScan | None
) -> list[Region]:
    """What passes limits of the user's own and is not listed yet, points below the point limit included."""
    found = []
    if scores.is_anomalous is False:
        defects = _above_point_limit(points, replace(scores, is_anomalous=None), scan)
        found = [region for region in defects if own.passed_by(region)]
    if own.deviation is None or scores.deviation is None or scan is None:
        return found
    known = np.concatenate([np.empty(0, np.intp), *(region.indices for region in [*listed, *found])])
    assert scores.point_threshold is not None
    beyond = []
    for deep in find_regions(points, np.abs(scores.deviation), own.deviation):
        if np.isin(deep.indices, known).any():
            continue
        region = region_at(
            points, scores.point_scores, scores.point_threshold, deep.indices, deviation=scores.deviation
        )
        excess = scores.deviation[deep.indices].mean() > 0.0
        kind = DefectKind.PROTRUSION if excess else DefectKind.DEPRESSION
        beyond.append(replace(region, kind=kind, severity=max(region.severity, 0.0)))
    return found + [region for region in _measured(points, scores, beyond, scan) if own.passed_by(region)]


def _measured(points: Points, scores: Scores, regions: list[Region], scan: MeasuredScan) -> list[Region]:
    """Regions with their measures; those that are pieces of one defect become one, and slits stay as they are."""
    assert scores.point_threshold is not None
    slits = [region for region in regions if region.kind is DefectKind.MISSING_MATERIAL]
    found: list[tuple[Region, Extent]] = []
    owner: dict[DefectKind | None, NDArray[np.intp]] = {}
    for region in regions:
        if region.kind is DefectKind.MISSING_MATERIAL:
            continue
        owned = owner.setdefault(region.kind, np.full(len(points), -1, dtype=np.intp))
        whole, place = region, int(owned[region.indices].max())
        if place < 0:
            place = len(found)
        else:
            other = found[place][0]
            indices = np.union1d(other.indices, region.indices)
            made = region_at(points, scores.point_scores, scores.point_threshold, indices, deviation=scan.deviation)
            whole = replace(made, kind=region.kind, severity=other.severity + region.severity)
        found[place : place + 1] = [(whole, scan.extent(whole))]
        owned[found[place][1].index] = place
    return slits + [scan.measured(region, extent) for region, extent in found]


def _above_point_limit(points: Points, scores: Scores, scan: MeasuredScan | None) -> list[Region]:
    """Regions above the point limit, with what they look like; of an anomalous scan at least one."""
    assert scores.point_threshold is not None
    threshold = scores.point_threshold
    regions = find_regions(points, scores.point_scores, threshold, deviation=scores.deviation)
    if not regions and scores.is_anomalous:  # a speck, or a defect that is lower than the point limit
        threshold = min(threshold, 0.5 * float(np.median(scores.point_scores) + scores.point_scores.max()))
        scores = replace(scores, point_threshold=threshold)
        regions = find_regions(
            points, scores.point_scores, threshold, deviation=scores.deviation, limit=1, min_points=1
        )
    holes = _holes(points, scores.missing) if regions else []
    whole: list[Region] = []
    rims: list[list[Region]] = [[] for _ in holes]
    for region in regions:
        shares = _dealt_out(points[region.indices], holes)
        if not shares:
            whole.append(region)
        elif len(shares) == 1:
            rims[next(iter(shares))].append(region)
        for number, mine in shares.items() if len(shares) > 1 else ():
            part = region_at(points, scores.point_scores, threshold, region.indices[mine], deviation=scores.deviation)
            rims[number].append(part)
    found = []
    places = scores.places
    spacing = usual_spacing(points) if holes else 0.0
    for hole, around in zip(holes, rims, strict=True):
        if around and _is_lost(hole.places, around, scores):
            found.append(_missing(threshold, hole, around, places, spacing))
        else:
            whole += around
    diagonal = float(np.linalg.norm(np.ptp(points, axis=0)))
    told = [replace(region, kind=guess_kind(region, scores, diagonal)) for region in whole]
    return found + (told if scan is None else _measured(points, scores, told, scan))


def pieces(missing: NDArray[Any] | None) -> list[Points]:
    """Connected pieces of missing material, (K, 3) each, of at least `LEAST_PLACES` places."""
    from scipy.spatial import cKDTree

    from dusnet.geometry.neighbors import connected

    if missing is None or len(missing) < LEAST_PLACES:
        return []
    spacing = float(np.median(cKDTree(missing).query(missing, k=2)[0][:, 1]))
    number = connected(missing, PIECE_REACH * spacing)
    grouped = [missing[number == one] for one in range(int(number.max()) + 1)]
    return [piece for piece in grouped if len(piece) >= LEAST_PLACES]


def guess_kind(region: Region, scores: Scores, diagonal: float) -> DefectKind | None:
    """What a region looks like, None without deviations.

    Args:
        region: of the scan.
        scores: of the whole scan.
        diagonal: of the scan's bounding box, the scan's unit.
    """
    if scores.deviation is None or scores.point_threshold is None:
        return None
    one_way, typical = _deviation([region], scores)
    if _unmoved([region], typical, scores):
        return DefectKind.MISSING_MATERIAL
    if region.size[0] > WIDE * diagonal or abs(one_way) < ONE_SIDED * typical:
        return DefectKind.DEFORMATION
    return DefectKind.PROTRUSION if one_way > 0 else DefectKind.DEPRESSION


def _deviation(regions: list[Region], scores: Scores) -> tuple[float, float]:
    """Mean and mean absolute deviation, weighted with what the scores are above the threshold."""
    indices = np.concatenate([region.indices for region in regions])
    deviation = np.asarray(scores.deviation, dtype=np.float64)[indices]
    weight = np.asarray(scores.point_scores, dtype=np.float64)[indices] - scores.point_threshold
    return float((weight * deviation).sum() / weight.sum()), float((weight * np.abs(deviation)).sum() / weight.sum())


def _unmoved(regions: list[Region], typical: float, scores: Scores) -> bool:
    """Whether the points lie where they should, so that their scores come from what is not there."""
    if scores.score_length is None:
        return False
    return typical < UNMOVED * _mean_score(regions) * scores.score_length


def _is_lost(places: Points, around: list[Region], scores: Scores) -> bool:
    """Whether places without points are missing material, and not a surface that the points show elsewhere."""
    if scores.deviation is None:
        return True
    one_way, typical = _deviation(around, scores)
    if _unmoved(around, typical, scores):
        return True
    # A dent moves all of its surface and leaves only its deepest places bare; a break leaves most of them bare.
    return one_way < 0 and surface_area(places) >= LOST_SHARE * sum(region.area for region in around)


def _holes(points: Points, missing: NDArray[Any] | None) -> list[_Hole]:
    from scipy.spatial import cKDTree

    found = pieces(missing)
    tree = cKDTree(points) if found else None
    return [_Hole(places, tree.query(places)[0]) for places in found] if tree is not None else []


def _dealt_out(region: Points, holes: list[_Hole]) -> dict[int, NDArray[np.bool_]]:
    """Which points of a region belong to which hole, by its number; empty where the region is no rim.

    Holes beside each other have one connected rim, and each point of it belongs to the nearer one.
    """
    if not holes:
        return {}
    distance, on_rim = (np.stack(values) for values in zip(*(hole.beside(region) for hole in holes), strict=True))
    claimed = on_rim.sum(axis=1) >= min(LEAST_RIM, len(region))
    if not claimed.any() or on_rim.any(axis=0).mean() < RIM_SHARE:
        return {}
    owner = np.where(claimed[:, None], distance, np.inf).argmin(axis=0)
    return {int(number): owner == number for number in np.unique(owner)}


def _missing(threshold: float, hole: _Hole, around: list[Region], surface: Points | None, spacing: float) -> Region:
    """Missing material and the regions around it as one."""
    surface = hole.places if surface is None else surface
    chosen, areas = lost_places(hole.places, hole.bare, surface, spacing)
    places, area = surface[chosen], float(areas.sum())
    size, axes = extents(places)
    mean_score = _mean_score(around)
    return replace(
        max(around, key=lambda region: region.peak_score),
        center=areas @ places / area if area > 0.0 else places.mean(axis=0),
        size=size,
        axes=axes,
        low=places.min(axis=0),
        high=places.max(axis=0),
        point_count=sum(region.point_count for region in around),
        mean_score=mean_score,
        area=area,
        severity=sum(region.severity for region in around) + (mean_score - threshold) * area,
        peak_deviation=None,
        mean_deviation=None,
        indices=np.sort(np.concatenate([region.indices for region in around])),
        gap=float(hole.bare.max()),
        kind=DefectKind.MISSING_MATERIAL,
    )


def _mean_score(regions: list[Region]) -> float:
    points = sum(region.point_count for region in regions)
    return sum(region.mean_score * region.point_count for region in regions) / points
