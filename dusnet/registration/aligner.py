"""The aligner: one reference, many scans, each brought to the reference by a rigid motion."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dusnet.cloud import PointCloud
from dusnet.config import RegistrationSettings
from dusnet.geometry.sampling import thin_to
from dusnet.geometry.surface import DiscSurface
from dusnet.geometry.visibility import Eye
from dusnet.registration.costs import EQUAL, FIT, cost_of, ordered, pose_costs
from dusnet.registration.icp import icp, transform
from dusnet.registration.ransac import Features, ransac
from dusnet.registration.reference import Reference
from dusnet.registration.sweep import SAME, distinct, rank, sweep, trimmed

Array = NDArray[np.float64]

_KEEP = 0.9  # share of the scan, nearest first, that the residual is the mean of: a defect must not decide
_REFERENCE_SHARE = 20  # the reference keeps at most this many times `settings.points`
_SEARCH_POINTS = 200  # evenly spread scan points that starting poses are ranked on and coarse ICP moves
_SEARCH_SCALES = ((128, 0.3, 8), (48, 0.15, 10))  # poses that coarse ICP follows, its reach and iterations
_FEATURE_POSES = 100  # starting poses per set of feature matches
_FINE_SCALES = ((8, 0.1, 400), (3, 0.04, 1000))  # poses that fine ICP follows, its reach and points
_FINE_ITERATIONS = 15  # steps of fine ICP at most
_SYMMETRIC = 0.03  # a motion that leaves 90 % of the reference this near to it is a symmetry of the part
_HOPELESS = 0.02  # cost above which a pose is not polished; right poses of damaged parts are below half of it
_POLISH_REACH = 0.02  # reach of the last ICP, fraction of the scale
_POLISH_ITERATIONS = 30  # steps of the last ICP at most
_SETTLED = 2000  # points that move a scan which nearly lies where it should
_HYPOTHESES = 8  # poses per family of starting poses and side of the scan that fine ICP follows
_WIDE = 48  # poses of the sweep that are kept: those beyond `_HYPOTHESES` are followed where the best ones fit badly
_NEAR_FITNESS = 0.97  # share of points near the reference below which a pose is not near: right poses reach more
_TRUST = 1.25  # cost, in units of what good scans reach, up to which a pose is believed without a look at others
_FINE_BETTER = 0.99  # ratio of costs from which on a turn by a few degrees is taken


@dataclass(frozen=True)
class Alignment:
    """How a scan was brought to the reference.

    Attributes:
        matrix: (4, 4) float64 rigid motion, scan -> reference, both in the unit of the files.
        residual: mean distance of the 90 % of the scan's points that are nearest to the reference, as a fraction of
            the class's scale. The distance is to the surface (small discs around the reference points), so that
            neither the density of the scan nor that of the reference enters.
        fitness: share of the scan's points within 0.05 of the scale of the reference, 0 to 1.
        method: what was used in the end: "none", "icp" or "global".
        cost: mean distance in which no point counts for more than 0.05 of the scale: what poses are compared by.
        symmetric: whether another pose of (nearly) equal cost was found that is the same by a symmetry of the part.
        margin: cost of the best pose that is found and is not the same by symmetry, divided by `cost`; near 1 the scan
            alone cannot tell the two; infinite where none was found.
    """

    matrix: Array
    residual: float
    fitness: float
    method: str
    cost: float = float("nan")
    symmetric: bool = False
    margin: float = float("inf")

    @classmethod
    def measured(cls, matrix: Array, distances: Array, method: str) -> Alignment:
        """The alignment whose points are these distances, (N,) fractions of the scale, from the reference."""
        residual = float(trimmed(distances, _KEEP))
        return cls(matrix, residual, float((distances <= FIT).mean()), method, float(cost_of(distances)))


class Aligner:
    """Aligns scans to one reference. The same scan, settings and seed give the same bits.

    Args:
        reference: (M, 3) float64, in the unit of the files; large coordinates (UTM) are fine.
        settings: method and effort.
        scale: bounding radius of the class in the unit of the files; all lengths of the method are fractions of it.
        seed: of the subsampling and of RANSAC.
        usual: cost that good scans reach, None where nobody knows. A pose of more than `_TRUST` times this is compared
            with others, however near it is.

    Raises:
        BadInput: the reference has too few points, or they are identical, on one line, or not finite.
    """

    def __init__(
        self, reference: Array, settings: RegistrationSettings, *, scale: float, seed: int, usual: float | None = None
    ) -> None:
        if not (np.isfinite(scale) and scale > 0.0):
            raise ValueError(f"scale must be a positive length, got {scale}")
        PointCloud(reference).require_usable()
        self._settings, self._scale, self._seed, self._usual = settings, float(scale), seed, usual
        generator = np.random.default_rng(seed)
        self._drawn = _drawn(len(reference), settings.points * _REFERENCE_SHARE, generator)
        points = np.asarray(reference, dtype=np.float64)[self._drawn]
        self._center = (points.min(axis=0) + points.max(axis=0)) / 2.0
        self._reference = Reference(DiscSurface.of((points - self._center) / self._scale))

    @property
    def _surface(self) -> DiscSurface:
        return self._reference.surface

    def align(self, points: Array) -> Alignment:
        """The motion that brings `points`, (N, 3) float64 in the unit of the files, to the reference.

        Raises:
            BadInput: the scan has too few points, or they are identical, on one line, or not finite.
            MissingDependency: a search over all poses needs feature matches and Open3D is absent.
        """
        PointCloud(points).require_usable()
        generator = np.random.default_rng(self._seed)
        scan, center = self._normalised(points, generator)
        stay = _shift((center - self._center) / self._scale)
        method = self._settings.method
        if method == "none":
            return self._result(scan, stay, center, "none")
        found = None
        if method != "global":
            starts = np.stack([stay, _shift(self._surface.points.mean(axis=0))])
            found = self._best(scan, starts, center, "icp")
            if method == "icp":
                return found
            if self.believes(found):
                return self._turned(scan, center, found)
        return self._turned(scan, center, self._search(scan, center, found, generator))

    def candidates(self, points: Array, count: int, within: float = _TRUST) -> list[Alignment]:
        """Poses of nearly equal fit, best first.

        A part that a turn nearly maps to itself has one pose per turn, and noise decides which of them costs least.

        Args:
            points: as for `align`.
            count: how many poses at most.
            within: ratio to the cost of the first one up to which a pose is taken; by default the one up to which a
                pose is believed without a look at others.

        Returns:
            What `align` answers, then other poses that the search over all of them ends in, in ascending order of
            their costs. They differ by more than ICP undoes, and their `symmetric` and `margin` compare with nothing.
            The settings "none" and "icp" look for no other pose.

        Raises:
            BadInput, MissingDependency: as `align`.
        """
        first = self.align(points)
        if count == 1 or self._settings.method in ("none", "icp"):
            return [first]
        scan, center = self._normalised(points, np.random.default_rng(self._seed))
        few = scan[thin_to(scan, _SEARCH_POINTS)]
        poses = np.concatenate(
            [self._follow(few, sweep(scan, eye, self._reference.views), _WIDE) for eye in Eye.all_of(scan)]
        )
        for _, reach, number in _FINE_SCALES:
            part = scan[:: max(1, len(scan) // number)]
            poses = distinct(part, poses[ordered(pose_costs(self._surface, part, poses))], len(poses))
            poses = icp(part, self._surface, poses, reach, _FINE_ITERATIONS, tolerance=1e-3)
        costs = pose_costs(self._surface, scan, poses)
        order = ordered(costs)[: _HYPOTHESES + count]
        poses = icp(scan, self._surface, poses[order], _POLISH_REACH, _POLISH_ITERATIONS, tolerance=1e-5)
        ends = [self._result(scan, pose, center, "global") for pose in poses]
        found = [first]
        for number in ordered(np.array([one.cost for one in ends])):
            other = ends[number]
            if other.cost > within * first.cost or len(found) == count:
                break
            if not any(self._same(scan, center, one, other) for one in found):
                found.append(other)
        return found

    def expecting(self, usual: float | None, accept_residual: float | None = None) -> Aligner:
        """The same aligner where good scans reach the cost `usual`, perhaps with another `accept_residual`."""
        other = copy(self)
        other._usual = usual
        if accept_residual is not None:
            other._settings = self._settings.model_copy(update={"accept_residual": accept_residual})
        return other

    def without(self, left_out: NDArray[np.bool_]) -> Aligner:
        """The same aligner without some points of the reference, (M,); the normals are those of all."""
        other, kept = copy(self), ~left_out[self._drawn]
        other._reference, other._drawn = Reference(self._surface.select(kept)), self._drawn[kept]
        return other

    def settle(self, points: Array) -> Alignment:
        """The motion that brings points, (N, 3), to the reference from nearby; no other pose is tried."""
        scan, center = self._normalised(points, np.random.default_rng(self._seed))
        pose = _shift((center - self._center) / self._scale)
        if self._settings.method == "none":
            return self._result(scan, pose, center, "none")
        part = scan[:: max(1, len(scan) // _SETTLED)]
        pose = icp(part, self._surface, pose[None], _POLISH_REACH, _POLISH_ITERATIONS, tolerance=1e-4)[0]
        return self._result(scan, pose, center, "icp")

    def measure(self, points: Array, *, not_beside: NDArray[np.bool_] | None = None) -> Alignment:
        """How points, (N, 3), lie on the reference where they are; they need not suffice for a pose.

        With `not_beside`, (M,), those whose nearest reference point is one of these do not count.
        """
        scan = (points - self._center) / self._scale
        if not_beside is not None:
            _, nearest = self._surface.nearest(scan, np.inf)
            counted = ~not_beside[self._drawn][nearest]
            scan = scan[counted] if counted.any() else scan
        return Alignment.measured(np.eye(4), self._surface.distance(scan), "none")

    def believes(self, found: Alignment) -> bool:
        """Whether a pose fits so well that no other one is looked for."""
        return self.near(found) and (self._usual is None or found.cost <= _TRUST * self._usual)

    def near(self, found: Alignment) -> bool:
        """Whether a scan lies on the reference as closely as the settings ask for; it may be wrong by little."""
        return self.fits(found) and found.fitness >= _NEAR_FITNESS

    def fits(self, found: Alignment, size: float = 1.0) -> bool:
        """Whether most of a scan lies on the reference, whatever is wrong with the rest.

        Args:
            found: how the scan was brought there.
            size: bounding radius of the scan, fraction of the scale; a small one is near to a big part anywhere.
        """
        return found.residual <= self._settings.accept_residual * min(1.0, size)

    def _normalised(self, points: Array, generator: np.random.Generator) -> tuple[Array, Array]:
        """The points of a scan that take part, about their mean and in units of the scale, (n, 3), and that mean."""
        points = _draw(np.asarray(points, dtype=np.float64), self._settings.points, generator)
        center = points.mean(axis=0)
        return (points - center) / self._scale, center

    def _search(self, scan: Array, center: Array, local: Alignment | None, generator: np.random.Generator) -> Alignment:
        """The best pose of all, `local` included.

        Features are matched only where the sweep neither convinces nor ends as well as the local pose: two searches
        that come to the same end independently are believed. Where a pose is near but fits worse than good scans do,
        more poses of the sweep are followed to their ends.
        """
        few = scan[thin_to(scan, _SEARCH_POINTS)]
        eyes = Eye.all_of(scan)
        ends = [self._follow(few, sweep(scan, eye, self._reference.views), _WIDE) for eye in eyes]
        chosen = _HYPOTHESES
        found = self._best(scan, np.concatenate([poses[:chosen] for poses in ends]), center, "global")
        best = found if local is None else self._better(local, found)
        known = [found] if local is None else [found, local]
        agreed = max(each.cost for each in known) <= EQUAL * min(each.cost for each in known)
        if not (self.near(found) or (local is not None and agreed)):
            matched = [
                ransac(Features.of(scan, eye), self._reference.features, _FEATURE_POSES, generator) for eye in eyes
            ]
            turned = np.concatenate([self._follow(few, poses, chosen) for poses in matched])
            if len(turned):
                best = self._better(best, self._best(scan, turned, center, "global"))
        others = np.concatenate([poses[chosen:] for poses in ends])
        if len(others) and self.near(best) and not (self.believes(best) or self._same(scan, center, local, found)):
            best = self._better(best, self._best(scan, others, center, "global", wide=True))
        return best

    def _turned(self, scan: Array, center: Array, found: Alignment) -> Alignment:
        """The best of a pose and of those that most of the part cannot tell from it: the rest of the scan decides."""
        if not (self.near(found) and self._reference.turns):
            return found
        pose = self._pose(found, center)
        others = self._reference.turns.promising(scan, pose)
        if len(others):
            found = self._better(found, self._best(scan, np.concatenate([pose[None], others]), center, "global"))
        turned = self._reference.turns.turned_finely(scan, self._pose(found, center))
        if turned is None:
            return found
        finely = self._result(scan, turned, center, found.method)
        if finely.cost >= _FINE_BETTER * found.cost:
            return found
        return replace(finely, symmetric=found.symmetric, margin=found.margin * found.cost / finely.cost)

    def _pose(self, found: Alignment, center: Array) -> Array:
        """The pose, (4, 4), of which `_result` made an alignment."""
        pose = np.eye(4)
        pose[:3, :3] = found.matrix[:3, :3]
        pose[:3, 3] = (found.matrix[:3, :3] @ center + found.matrix[:3, 3] - self._center) / self._scale
        return pose

    def _better(self, first: Alignment, second: Alignment) -> Alignment:
        """The one of less cost; a pose that is near is left only for one that fits clearly better."""
        return second if second.cost * (EQUAL if self.near(first) else 1.0) < first.cost else first

    def _same(self, scan: Array, center: Array, one: Alignment | None, other: Alignment) -> bool:
        """Whether two searches came to the same pose."""
        if one is None:
            return False
        points = scan * self._scale + center
        moved = transform(np.stack([one.matrix, other.matrix]), points)
        return bool(np.linalg.norm(moved[0] - moved[1], axis=1).mean() <= SAME * self._scale)

    def _follow(self, few: Array, poses: Array, count: int) -> Array:
        """Different poses, at most `count`, that coarse ICP reaches from the best of the starting `poses`."""
        for keep, reach, iterations in _SEARCH_SCALES:
            poses = rank(few, self._reference.table, poses, keep)
            poses = icp(few, self._reference.table, poses, reach, iterations, tolerance=1e-3)
        return distinct(few, rank(few, self._reference.table, poses, len(poses)), count)

    def _best(self, scan: Array, poses: Array, center: Array, method: str, *, wide: bool = False) -> Alignment:
        """The best alignment that fine ICP reaches from `poses`: ever fewer of them on ever more points.

        With `wide` all of them take part, and twice as many as otherwise in the second round.
        """
        for (keep, reach, count), more in zip(_FINE_SCALES, (len(poses), 2 * _FINE_SCALES[1][0]), strict=True):
            part = scan[:: max(1, len(scan) // count)]
            poses = distinct(part, poses[ordered(pose_costs(self._surface, part, poses))], more if wide else keep)
            poses = icp(part, self._surface, poses, reach, _FINE_ITERATIONS, tolerance=1e-3)
        costs = pose_costs(self._surface, scan, poses)
        order = ordered(costs)
        poses, costs = poses[order], costs[order]
        iterations = _POLISH_ITERATIONS if costs[0] < _HOPELESS else 0
        winner = icp(scan, self._surface, poses[:1], _POLISH_REACH, iterations, tolerance=1e-5)[0]
        return self._compared(self._result(scan, winner, center, method), scan, winner, poses[1:], costs[1:] / costs[0])

    def _compared(self, found: Alignment, scan: Array, winner: Array, rivals: Array, ratios: Array) -> Alignment:
        """`found` with what the other poses, whose costs are `ratios` of its own, say of its certainty."""
        gaps = np.linalg.norm(transform(rivals, scan) - transform(winner[None], scan), axis=2).mean(axis=1)
        other = gaps > SAME
        turned = transform(rivals[other] @ np.linalg.inv(winner), self._reference.few)
        moved = self._surface.distance(turned.reshape(-1, 3)).reshape(turned.shape[:2])
        equal = np.quantile(moved, _KEEP, axis=1) <= _SYMMETRIC
        ratios = ratios[other]
        return replace(
            found,
            symmetric=bool((equal & (ratios <= EQUAL)).any()),
            margin=float(ratios[~equal].min(initial=np.inf)),
        )

    def _result(self, scan: Array, pose: Array, center: Array, method: str) -> Alignment:
        distances = self._surface.distance(transform(pose[None], scan)[0])
        matrix = np.eye(4)
        if method != "none":
            left, _, right = np.linalg.svd(pose[:3, :3])  # removes the rounding that many small turns have piled up
            matrix[:3, :3] = left @ right
            matrix[:3, 3] = pose[:3, 3] * self._scale + self._center - matrix[:3, :3] @ center
        return Alignment.measured(matrix, distances, method)


def _draw(points: Array, count: int, generator: np.random.Generator) -> Array:
    """`count` of the points, each at most once, or all of them."""
    return points[_drawn(len(points), count, generator)]


def _drawn(number: int, count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Which of a number of points are drawn: `count`, each at most once, or all of them."""
    return np.arange(number) if number <= count else generator.choice(number, count, replace=False)


def _shift(offset: Array) -> Array:
    pose = np.eye(4)
    pose[:3, 3] = offset
    return pose
