"""Whether training scans belong together: one size, one part, and no scan twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.scan_sizes import size_of, size_problem
from dusnet.geometry.surface import DiscSurface
from dusnet.geometry.visibility import Eye
from dusnet.progress import Progress
from dusnet.registration import Aligner
from dusnet.registration.sweep import trimmed
from dusnet.words import listed

Array = NDArray[np.float64]

APART = 0.02
"""Mean distance of nine in ten points of a scan from the others, fraction of the radius, above which it shows another
part. Scans of one part reach 0.010 with 2 % variation (0.016 with 1500 points); those of another part as large at least
0.025 (all pairs of 16 parts), and views of one side of a part without a whole scan anywhere up to 0.15."""
_KEEP = 0.9
_COMPARED = 3000
_PIVOTS = 3
"""Scans of the whole part that the others are brought to in search of one that they all fit."""
_SAME = 2e-5
"""Fraction of the radius within which the distances of two scans' points from their middle agree if they are the same
points: more than the rounding of single precision, less than the noise of any scanner."""


def scan_names(clouds: Sequence[PointCloud]) -> list[str]:
    """What to call training scans in a message: the file, or the number where there is none."""
    return [f"scan {number}" if cloud.path is None else str(cloud.path) for number, cloud in enumerate(clouds, start=1)]


def require_one_size(clouds: Sequence[PointCloud]) -> None:
    """Raise `BadInput` when scans differ in size as scans of one part in one unit do not."""
    problem = size_problem(scan_names(clouds), [size_of(cloud.points) for cloud in clouds])
    if problem is not None:
        raise BadInput(f"{problem}. Train with scans of one part in one unit: convert or leave out the odd ones.")


def same_points(clouds: Sequence[PointCloud]) -> list[tuple[int, int]]:
    """Pairs of scans that hold the same points, in any order and pose."""
    marks = [_distances(cloud.points) for cloud in clouds]
    return [
        (one, other)
        for one, other in combinations(range(len(clouds)), 2)
        if len(marks[one]) == len(marks[other])
        and float(np.abs(marks[one] - marks[other]).max()) <= _SAME * float(marks[one][-1])
    ]


def copies_words(clouds: Sequence[PointCloud]) -> str | None:
    """A sentence about scans that are there more than once, or None."""
    names, pairs = scan_names(clouds), same_points(clouds)
    if not pairs:
        return None
    again = sorted({other for _, other in pairs})
    first = sorted({one for one, _ in pairs} - set(again))
    alone = len(clouds) - len(again)
    return (
        f"{listed([names[index] for index in again])} {'holds' if len(again) == 1 else 'hold'} the same points as "
        f"{listed([names[index] for index in first])}: copies tell nothing about how good parts differ, so the limit "
        f"rests on {alone} different {'scan' if alone == 1 else 'scans'}; give scans of different parts."
    )


def bring_together(
    clouds: Sequence[PointCloud],
    aligned: Sequence[Array],
    residuals: Sequence[float],
    scale: float,
    aligner_of: Callable[[Array], Aligner],
    *,
    progress: Progress,
) -> list[Array]:
    """Aligned training scans, all of one part.

    Where every scan lies on the first one, that is what comes back. Where one does not, the first one may show too
    little, so scans of the whole part are tried in its place. Scans of single sides need not fit each other: where
    there is no other scan, nothing can be said for sure, and the user is told. Whichever scan the others are brought
    to, all end in the pose of the first one: its coordinates are the frame of the part.

    Args:
        clouds: the training scans.
        aligned: each brought to the first one, (N, 3) in the unit of the scans.
        residuals: of these alignments, fractions of the scale; 0 for the first.
        scale: bounding radius, the unit of the scans.
        aligner_of: makes what brings scans to one of them.
        progress: where to report.

    Returns:
        The points of every scan, (N, 3), in the pose of the first one.

    Raises:
        BadInput: some scans do not show the part that scans of the whole part show.
    """
    if max(residuals) <= APART:
        return list(aligned)
    whole = [number for number, cloud in enumerate(clouds) if not Eye.all_of(cloud.points)[0].one_sided]
    groups = [_fitting(aligned, 0, scale)]
    for pivot in [number for number in whole if number != 0][:_PIVOTS]:
        if len(groups[-1]) == len(clouds) or (min(groups[-1]) in whole and 2 * len(groups[-1]) > len(clouds)):
            break
        aligned = _brought_to(clouds, pivot, aligner_of(clouds[pivot].points))
        groups.append(_fitting(aligned, pivot, scale))
    if len(groups[-1]) < len(clouds):
        problem = _other_part(scan_names(clouds), max(groups, key=len))
        if whole:
            raise BadInput(problem)
        progress.log(problem)
    return list(aligned)


def _brought_to(clouds: Sequence[PointCloud], pivot: int, aligner: Aligner) -> list[Array]:
    """The points of all scans as they lie on the pivot, which is not the first scan, in the pose of the first."""
    to_pivot = [
        np.eye(4) if number == pivot else aligner.align(cloud.points).matrix for number, cloud in enumerate(clouds)
    ]
    home = np.linalg.inv(to_pivot[0])
    others = zip(clouds[1:], to_pivot[1:], strict=True)
    return [clouds[0].points, *(cloud.transformed(home @ matrix).points for cloud, matrix in others)]


def _fitting(aligned: Sequence[Array], pivot: int, scale: float) -> set[int]:
    """The scans that lie on the pivot, or on others that do; one of a pair may show more than the other."""
    few = [points[thin_to(points, _COMPARED)] / scale for points in aligned]
    inside, waiting = {pivot}, set(range(len(aligned))) - {pivot}
    while waiting:
        union = np.concatenate([few[number] for number in sorted(inside)])
        joining = {number for number in waiting if _apart(few[number], union) <= APART}
        if not joining:
            break
        inside, waiting = inside | joining, waiting - joining
    return inside


def _apart(one: Array, other: Array) -> float:
    """How far nine in ten points of a cloud are from another, of the two directions the nearer one."""
    return min(
        float(trimmed(DiscSurface.of(there).distance(here), _KEEP)) for here, there in ((one, other), (other, one))
    )


def _other_part(names: Sequence[str], best: set[int]) -> str:
    """The sentences about scans of which most, or none, fit each other.

    Args:
        names: of all scans.
        best: the largest group that fits.
    """
    fitting = [name for number, name in enumerate(names) if number in best]
    odd = [name for number, name in enumerate(names) if number not in best]
    advice = (
        "Train with scans of one part. Scans of different sides must overlap to be aligned: merge the sides of a part "
        "into one scan, or train a model per side."
    )
    if 2 * len(best) > len(names) and len(names) > 2:
        verb = "does" if len(odd) == 1 else "do"
        return (
            f"{listed(odd)} {verb} not fit the other {len(best)} scans in any pose: another part, or a side that they "
            f"do not show. {advice}"
        )
    together = f"{fitting[0]} does" if len(fitting) == 1 else f"{listed(fitting)} fit each other but do"
    return f"The scans do not show one part: {together} not fit {listed(odd)} in any pose. {advice}"


def _distances(points: Array) -> Array:
    """Distances from the middle, ascending: equal for the same points in another order and pose."""
    distance: Array = np.sort(np.linalg.norm(points - points.mean(axis=0), axis=1))
    return distance
