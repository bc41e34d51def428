"""A virtual scanner: single views or whole parts, density, noise, outliers, missing patches and pose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dusnet.cloud import Frame, PointCloud
from dusnet.geometry.visibility import unhidden
from dusnet.io import Mesh
from dusnet.synthesis.surface import Floats, LabelledSurface, random_direction

Pose = Literal["fixed", "near", "any"]


def visible_points(points: Floats, viewpoint: Floats, *, exponent: float = 3.0) -> NDArray[np.bool_]:
    """Which points a viewer sees, without a mesh; see `dusnet.geometry.visibility.unhidden`.

    Args:
        points: (N, 3), any unit.
        viewpoint: position of the viewer, outside of the part, (3,).
        exponent: log10 of the sphere's radius over the distance of the farthest point; a larger one sees deeper into
            concave places, too large a one sees through the surface.

    Returns:
        (N,) bool.
    """
    local = points - viewpoint
    distance = np.linalg.norm(local, axis=1)
    if not distance.min() > 0.0:
        raise ValueError("the viewpoint lies on a point of the cloud")
    seen = np.zeros(len(points), dtype=bool)
    seen[unhidden(local, distance, 2.0 * (float(distance.max()) * 10.0**exponent))] = True
    return seen


def view(surface: LabelledSurface, direction: Floats, *, closed: bool = True) -> LabelledSurface:
    """What a scanner sees of the surface from one side, five bounding radii from the middle of the part.

    Args:
        surface: dense surface.
        direction: from the part to the scanner, (3,).
        closed: the surface bounds a solid and its normals point outwards, so that what faces away is hidden; an open
            sheet is seen from both sides.
    """
    return surface.select(_seen_from(surface, direction / np.linalg.norm(direction), closed))


def _seen_from(surface: LabelledSurface, direction: Floats, closed: bool, exponent: float = 3.0) -> NDArray[np.bool_]:
    frame = Frame.of(surface.points)
    viewpoint = -frame.translation + 5.0 * frame.scale * direction
    if not closed:
        return visible_points(surface.points, viewpoint, exponent=exponent)
    # In front of everything that a closed surface hides there is another part of it that faces the viewer.
    facing = np.einsum("ij,ij->i", viewpoint - surface.points, surface.normals) > 0.0
    facing[facing] = visible_points(surface.points[facing], viewpoint, exponent=exponent)
    return facing


@dataclass(frozen=True)
class Reach:
    """Which places of a part a scanner that goes all around it can see; the inside of a narrow bottle is none.

    Attributes:
        points: samples of the nominal surface, (N, 3) float64, mm.
        normals: (N, 3) float64.
        seen: (N,) bool.
    """

    points: Floats
    normals: Floats
    seen: NDArray[np.bool_]

    @classmethod
    def of(cls, surface: LabelledSurface, *, closed: bool = True) -> Reach:
        """Look at a surface of a few thousand points from 26 evenly spread sides."""
        index = np.arange(26) + 0.5
        polar, turn = np.arccos(1.0 - 2.0 * index / 26), np.pi * (1.0 + np.sqrt(5.0)) * index
        seen = np.zeros(len(surface), dtype=bool)
        for direction in np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1):
            seen |= _seen_from(surface, direction, closed, exponent=2.7)
        # Gaps between sparse samples let single views through a wall: hence the careful exponent above, and the
        # majority of a neighbourhood decides.
        placed = np.hstack([surface.points, 0.1 * Frame.of(surface.points).scale * surface.normals])
        near = cKDTree(placed).query(placed, k=min(12, len(placed)))[1]
        return cls(surface.points, surface.normals, seen[near].mean(axis=1) > 0.5)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(np.hstack([self.points, 0.1 * Frame.of(self.points).scale * self.normals]))

    def sees(self, points: Floats, normals: Floats) -> NDArray[np.bool_]:
        """Which points of the part can be seen: those where the nearest sample that faces the same way is.

        Args:
            points: (N, 3), mm.
            normals: (N, 3), unit.

        Returns:
            (N,) bool.
        """
        placed = np.hstack([points, 0.1 * Frame.of(self.points).scale * normals])
        return np.asarray(self.seen[self._tree.query(placed)[1]])

    def visible_faces(self, mesh: Mesh) -> Mesh:
        """The faces of a specimen that can be seen: those where the nearest sample that faces the same way is.

        A large face stays where its middle or any of its corners can be seen.
        """
        radius = Frame.of(self.points).scale
        corners = mesh.vertices[mesh.faces]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-300)
        middle = corners.mean(axis=1)

        def seen(points: Floats, faces: NDArray[np.intp]) -> NDArray[np.bool_]:
            return self.sees(points, normals[faces])

        keep = seen(middle, np.arange(len(middle)))
        size = np.linalg.norm(corners - middle[:, None], axis=2).max(axis=1)
        large = np.flatnonzero(~keep & (size > 0.1 * radius))
        for corner in range(3) if len(large) else ():
            keep[large] |= seen(0.1 * middle[large] + 0.9 * corners[large, corner], large)
        return replace(mesh, faces=mesh.faces[keep])


def thin_out(
    points: Floats, count: int, generator: np.random.Generator, *, even: bool = False, gap: float | None = None
) -> NDArray[np.int64]:
    """Indices of `count` points: random ones, or as far from each other as they can be (blue noise).

    Args:
        points: (N, 3).
        count: how many to keep; all are kept where N is smaller.
        generator: source of randomness.
        even: choose points that keep a distance from each other; count is then met to the point by filling up or
            dropping random ones.
        gap: the largest distance that is tried, the unit of the points; found from the points where None. A good guess
            saves time and drops fewer points.

    Returns:
        Ascending indices, (min(N, count),) int64.
    """
    if len(points) <= count:
        return np.arange(len(points))
    order = generator.permutation(len(points))
    if not even:
        return np.sort(order[:count])
    kept = _spaced(points[order], count, gap)
    rest = np.setdiff1d(np.arange(len(points)), kept, assume_unique=True)
    chosen = np.concatenate([generator.permutation(kept), rest])[:count]
    return np.sort(order[chosen])


def _spaced(points: Floats, count: int, guess: float | None) -> NDArray[np.int64]:
    """At least `count` points with the largest minimum distance that a few trials find; earlier points win."""
    tree = cKDTree(points)
    if guess is None:
        spacing = float(np.median(tree.query(points[:2000], k=2)[0][:, 1]))
        # Random points have a median nearest distance of 0.47 / sqrt(density); darts pack at most 0.7 / gap^2.
        gap, shrink = float(np.sqrt(0.7 * len(points) / count)) * spacing / 0.47, 0.93
    else:
        gap, shrink = guess, 0.98
    for _ in range(100):  # without a guess the last gap is a thousandth of the first
        kept = _dart_throwing(len(points), tree.query_pairs(gap, output_type="ndarray"))
        if len(kept) >= count:
            return kept
        gap *= shrink
    return np.arange(len(points))


def _dart_throwing(count: int, pairs: NDArray[np.intp]) -> NDArray[np.int64]:
    """Indices that stay when points are taken in order, each unless a neighbour was taken; `pairs` are neighbours."""
    early, late = pairs.min(axis=1), pairs.max(axis=1)
    open_, kept = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
    while open_.any():
        won = open_.copy()
        won[late] = False
        kept |= won
        open_ &= ~won
        open_[late[won[early]]] = False
        still = open_[early] & open_[late]
        early, late = early[still], late[still]
    return np.flatnonzero(kept)


def random_pose(kind: Pose, generator: np.random.Generator, radius: float) -> Floats:
    """A rigid (4, 4) motion.

    Args:
        kind: "fixed" does not move, "near" turns by at most 5 degrees and shifts by at most 3 % of the radius (where a
            fixture puts a part), "any" turns at random and shifts by up to a radius.
        generator: source of randomness.
        radius: bounding radius of the part, mm.
    """
    matrix = np.eye(4)
    if kind == "fixed":
        return matrix
    axis, shift = random_direction(generator), random_direction(generator)
    length = generator.uniform()
    if kind == "near":
        matrix[:3, :3] = Rotation.from_rotvec(axis * np.deg2rad(5.0) * generator.uniform()).as_matrix()
        matrix[:3, 3] = shift * 0.03 * radius * length
    else:
        matrix[:3, :3] = Rotation.random(rng=generator).as_matrix()
        matrix[:3, 3] = shift * radius * length
    return matrix


@dataclass(frozen=True)
class Scanner:
    """How a scanner scans.

    Attributes:
        points: mean number of points of a scan.
        spread: the number varies uniformly by this share from scan to scan.
        noise: standard deviation of the isotropic Gaussian noise, fraction of the bounding radius.
        outliers: share of points (of the scan's number) added anywhere in the enlarged bounding box; they are no
            defects, so their label is False.
        missing: share of points lost in up to three round patches; no defects either.
        pose: see `random_pose`.
        even: even point distances (structured light) instead of independent random points.
    """

    points: int = 10_000
    spread: float = 0.15
    noise: float = 0.001
    outliers: float = 0.0
    missing: float = 0.0
    pose: Pose = "near"
    even: bool = False


def scan(
    surface: LabelledSurface,
    generator: np.random.Generator,
    scanner: Scanner,
    *,
    direction: Floats | None = None,
    radius: float | None = None,
    closed: bool = True,
) -> PointCloud:
    """Scan a surface; ground truth follows the points through everything.

    Args:
        surface: dense surface, at least twice as many points as the scan shall have.
        generator: source of randomness.
        scanner: how.
        direction: from the part to the scanner for a single view, (3,); None scans from all sides.
        radius: bounding radius that fractions refer to, mm; measured on `surface` where None.
        closed: see `view`.

    Returns:
        The scan with its labels, points in random order.
    """
    frame = Frame.of(surface.points)
    center, radius = -frame.translation, frame.scale if radius is None else radius
    seen = surface if direction is None else view(surface, direction, closed=closed)
    count = round(scanner.points * generator.uniform(1.0 - scanner.spread, 1.0 + scanner.spread))
    if scanner.missing > 0.0:
        seen = seen.select(_without_patches(seen.points, scanner.missing, generator))
    seen = seen.select(thin_out(seen.points, count, generator, even=scanner.even))
    placed = seen.points + generator.normal(scale=1.0, size=seen.points.shape) * (scanner.noise * radius)
    labels = seen.labels
    extra = round(scanner.outliers * len(placed))
    if extra:
        stray = center + generator.uniform(-1.2, 1.2, size=(extra, 3)) * (np.ptp(surface.points, axis=0) / 2.0)
        placed, labels = np.vstack([placed, stray]), np.concatenate([labels, np.zeros(extra, dtype=bool)])
    matrix = random_pose(scanner.pose, generator, radius)
    placed = (placed - center) @ matrix[:3, :3].T + center + matrix[:3, 3]
    order = generator.permutation(len(placed))
    return PointCloud(placed[order], labels=labels[order])


def _without_patches(points: Floats, share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Mask of the points outside of up to three round patches that together hold `share` of the points."""
    keep = np.ones(len(points), dtype=bool)
    target = round(share * len(points))
    parts = generator.dirichlet(np.ones(3)) * target
    for size in parts.round().astype(int):
        left = np.flatnonzero(keep)
        around = points[generator.choice(left)]
        near = np.argsort(((points[left] - around) ** 2).sum(axis=1), kind="stable")[:size]
        keep[left[near]] = False
    return keep
