"""The outer surface of a mesh of several bodies: what a scanner could touch, without faces inside of the material."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dusnet.errors import BadInput
from dusnet.geometry.bodies import Body, Faces, Floats, Split, join_vertices, split_bodies
from dusnet.geometry.solids import Solid, solids_of, unite
from dusnet.io import Mesh

_MOST_BODIES = 5000  # beyond, comparing every body with every other takes too long
_SPACINGS = 2.0  # of single precision: two faces that should touch are up to 1.8 apart after rounding
_LEAST = 2e-7  # of the size: what distances are computed to
_MOST = 1e-3
_DIGITS = {4: 7e-8, 5: 7e-8, 6: 7e-8, 7: 1e-9}  # of decimal numbers, and how exactly they are met (single precision)
_LARGEST, _SMALLEST = 1e15, 1e-15  # a coordinate and a size, in any unit
_RESOLVED = 1e-9  # of the largest coordinate: of a smaller part, numbers keep too few digits
_THIN = 1e-9  # of area times size: a body with less volume is a sheet
_WHOLE = 1e-6  # share of a body that may lie outside of another one that contains it, by rounding
_EDGE = 16.0  # of the squared closing distance times the size: what two bodies that meet in an edge share when grown
_LOOKS = 4  # places of a sheet that say whether it lies inside of the material
_MOST_LOOKS = 400


@dataclass(frozen=True)
class OuterSurface:
    """What is left of a mesh when its bodies are united.

    Attributes:
        mesh: the outer surface; the mesh itself, to the bit, where no two bodies touch.
        bodies: how many pieces the mesh has.
        united: how many of them touched or overlapped another one and were united with it.
        left_out: how many lay inside of the material of others, or were copies, and were left out.
        not_united: how many are not closed, so that they could not be united; 0 where there is nothing to unite.
        skin: of the closed bodies alone, united, all faces looking out of the material; None where none is closed.
        solids: the closed bodies with their cavities, each as it was, looking out of the material.
        reach: gaps between bodies up to twice this length were closed.
    """

    mesh: Mesh
    bodies: int
    united: int = 0
    left_out: int = 0
    not_united: int = 0
    skin: Mesh | None = None
    solids: tuple[Mesh, ...] = ()
    reach: float = 0.0

    def summary(self, name: str) -> str:
        """How many bodies were united, in one sentence; empty where none was.

        Args:
            name: of the file.
        """
        if not self.united:
            return ""
        return f"{name} has {self.bodies} bodies: {self.united} that touch or overlap were united."

    def notes(self, name: str) -> tuple[str, ...]:
        """What everybody who uses the surface should know.

        Args:
            name: of the file.
        """
        found = []
        if self.left_out:
            some = "1 piece was" if self.left_out == 1 else f"{self.left_out} pieces were"
            found.append(
                f"{some} left out of {name}: what lies inside of the material of other bodies, or is there twice, is "
                "no outer surface."
            )
        if self.not_united:
            found.append(
                f"{self.not_united} of the {self.bodies} pieces of {name} could not be united with the others, because "
                "they are not closed: faces inside of the material may count as surface, so that a missing piece may "
                "not show; unite the bodies in the CAD program."
            )
        return tuple(found)


@dataclass(frozen=True)
class _Union:
    """Solids after those that touch were united.

    Attributes:
        vertices: (V, 3).
        faces: (F, 3), looking outwards.
        united: solids that were united with another one.
        inside: solids that were left out.
    """

    vertices: Floats
    faces: Faces
    united: int
    inside: int


def outer_surface(mesh: Mesh) -> OuterSurface:
    """Unite the bodies of a mesh, as CAD programs export them, and leave out what is inside of the material.

    Bodies that touch or overlap become one. Faces that should touch may be apart by the rounding of the file: gaps up
    to twice the `closing_distance` are closed. A closed cavity of one body stays surface. A body inside of another
    one's material, and a copy of another body, is left out. Sheets and bodies that are not closed stay as they are
    unless they lie inside of the material.

    Args:
        mesh: of any number of bodies.

    Returns:
        The surface with the counts of what was done.

    Raises:
        BadInput: see `require_measurable`.
    """
    require_measurable(mesh)
    if not np.abs(mesh.vertices).max() <= _LARGEST:
        mesh = _without_unused(mesh)
    vertices, faces, kept = join_vertices(mesh.vertices, mesh.faces)
    if not len(faces):
        return OuterSurface(mesh, 0)
    size = float(np.linalg.norm(np.ptp(vertices[faces.reshape(-1)], axis=0)))
    split = split_bodies(vertices, faces, mesh.faces[kept], least_area=_THIN * size**2, most=_MOST_BODIES)
    solid = [body for body in split.bodies if _has_volume(body, size)]
    sheets = [body for body in split.bodies if not _has_volume(body, size)]
    if not solid:
        return OuterSurface(mesh, split.count, not_united=_cannot_unite(split))
    reach = closing_distance(vertices[np.unique(faces)])
    solids = solids_of(vertices, solid, reach)
    found = _united(vertices, solids, size)
    skin = _without_unused(Mesh(found.vertices, found.faces, mesh.path))
    looks = len(sheets) * _LOOKS <= _MOST_LOOKS
    inside = [_share_inside(sheet, vertices, skin, 2.0 * reach) if looks else 0.0 for sheet in sheets]
    left = [sheet for sheet, share in zip(sheets, inside, strict=True) if share < 1.0]
    doubtful = [
        sheet for sheet, share in zip(sheets, inside, strict=True) if share < 1.0 and (share > 0.0 or not sheet.closed)
    ]
    gone = found.inside + len(sheets) - len(left)
    if found.united or gone or split.no_area:
        rest = np.concatenate([np.zeros((0, 3), dtype=np.int64), *(sheet.faces for sheet in left)])
        parts = np.vstack([skin.vertices, vertices]), np.vstack([skin.faces, rest + len(skin.vertices)])
        mesh = _without_unused(Mesh(*parts, mesh.path))
    alone = tuple(_without_unused(Mesh(vertices, one.faces, mesh.path)) for one in solids)
    return OuterSurface(mesh, split.count, found.united, gone, len(doubtful), skin, alone, reach)


def require_measurable(mesh: Mesh) -> None:
    """Refuse coordinates that cannot be computed with.

    Raises:
        BadInput: the mesh has no faces or a single one, no size, or coordinates that are not finite or larger than
            any part.
    """
    name = str(mesh.path) if mesh.path is not None else "the mesh"
    if len(mesh.faces) < 2:
        many = "a single triangle" if len(mesh.faces) else "no faces"
        raise BadInput(f"{name} has no surface of a part: it holds {many}; export the whole part as a mesh.")
    corners = mesh.vertices[np.unique(mesh.faces)]
    if not np.isfinite(corners).all():
        raise BadInput(f"{name} has vertices with NaN or infinite coordinates; export it again.")
    largest = float(np.abs(corners).max())
    if largest > _LARGEST:
        raise BadInput(f"{name} has a coordinate of {largest:.2g}, which no part has; it is damaged, export it again.")
    size = float(np.ptp(corners, axis=0).max())
    if not size > max(_SMALLEST, _RESOLVED * largest):
        raise BadInput(f"{name} has no surface: it is {size:.2g} across; it is damaged, export it again.")


def _has_volume(body: Body, size: float) -> bool:
    return body.closed and abs(body.volume) > _THIN * body.area * size


def _cannot_unite(split: Split) -> int:
    if split.count < 2:
        return 0
    return sum(not body.closed for body in split.bodies) if split.bodies else split.count


def closing_distance(vertices: Floats) -> float:
    """How far each of two faces that should touch is moved towards the other one: the rounding of the file.

    Twice the spacing of single-precision numbers at the largest coordinate; the last digit of coordinates that all have
    five to seven digits, as text files have; no less than what distances are computed to, and no more than a thousandth
    of the size.

    Args:
        vertices: (V, 3), at least two different ones.
    """
    largest = float(np.abs(vertices).max())
    size = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    distance = max(_SPACINGS * float(np.spacing(np.float32(largest))), _LEAST * size)
    values = np.abs(vertices[vertices != 0.0])
    power = np.ceil(np.log10(values))
    for digits, tolerance in _DIGITS.items():
        scaled = values * 10.0 ** (digits - power)
        if (np.abs(scaled - np.round(scaled)) <= tolerance * scaled).all():
            if digits > min(_DIGITS):  # the numbers of fewer digits are meant so
                distance = max(distance, 10.0 ** (float(power.max()) - digits))
            break
    return min(distance, _MOST * size)


def _united(vertices: Floats, solids: list[Solid], size: float) -> _Union:
    """Unite all solids that share material."""
    touching = []
    gone: set[int] = set()
    for first, second in _near(solids):
        one, other = solids[first], solids[second]
        common = (one.grown ^ other.grown).volume()
        if common <= _EDGE * one.reach**2 * size:
            continue  # they meet in an edge or a corner at most
        touching.append((first, second))
        less = first if one.volume < other.volume else second
        if less not in gone and common >= (1.0 - _WHOLE) * solids[less].grown.volume():
            gone.add(less)
    if not touching:
        return _Union(vertices, np.vstack([solid.faces for solid in solids]), 0, 0)
    links = np.array(touching)
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(solids), len(solids)))
    group = connected_components(graph, directed=False)[1]
    left = [number for number in range(len(solids)) if number not in gone]
    points, faces, start, united = [vertices], [], len(vertices), 0
    for name in np.unique(group):
        members = [solids[number] for number in left if group[number] == name]
        if len(members) == 1:
            faces.append(members[0].faces)
            continue
        united += len(members)
        corners, triangles = unite(members)
        points.append(corners)
        faces.append(triangles + start)
        start += len(corners)
    return _Union(np.vstack(points), np.vstack(faces), united, len(gone))


def _near(solids: list[Solid]) -> list[tuple[int, int]]:
    """Pairs of solids whose bounding boxes meet."""
    low, high = np.array([solid.low for solid in solids]), np.array([solid.high for solid in solids])
    found: list[tuple[int, int]] = []
    for number in range(len(solids) - 1):
        meet = (low[number] <= high[number + 1 :]).all(axis=1) & (low[number + 1 :] <= high[number]).all(axis=1)
        found += [(number, number + 1 + int(other)) for other in np.flatnonzero(meet)]
    return found


def _share_inside(sheet: Body, vertices: Floats, solid: Mesh, offset: float) -> float:
    """The share of some places of a sheet, its largest faces, that lie in or on the material of a solid."""
    corners = vertices[sheet.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(cross, axis=1)
    chosen = np.argsort(-doubled, kind="stable")[:_LOOKS]
    step = offset * cross[chosen] / np.maximum(doubled[chosen], 1e-300)[:, None]
    middle = corners[chosen].mean(axis=1)
    turns = winding_numbers(np.vstack([middle - step, middle + step]), solid.vertices, solid.faces)
    return float((turns.reshape(2, -1).max(axis=0) > 0.5).mean())


def winding_numbers(points: Floats, vertices: Floats, faces: Faces) -> Floats:
    """How often a closed surface goes around places: 1 inside, 0 outside.

    The solid angles of Van Oosterom and Strackee ("The solid angle of a plane triangle", 1983).

    Args:
        points: (N, 3).
        vertices: (V, 3).
        faces: (F, 3), looking outwards.

    Returns:
        (N,) float64.
    """
    found = np.zeros(len(points))
    for number, point in enumerate(points):
        away = vertices - point
        length = np.linalg.norm(away, axis=1)
        a, b, c = (away[faces[:, corner]] for corner in range(3))
        x, y, z = (length[faces[:, corner]] for corner in range(3))
        above = np.einsum("fi,fi->f", a, np.cross(b, c))
        dots = [np.einsum("fi,fi->f", first, second) for first, second in ((a, b), (b, c), (c, a))]
        below = x * y * z + dots[0] * z + dots[1] * x + dots[2] * y
        found[number] = np.arctan2(above, below).sum() / (2.0 * np.pi)
    return found


def _without_unused(mesh: Mesh) -> Mesh:
    used, back = np.unique(mesh.faces, return_inverse=True)
    return Mesh(mesh.vertices[used], back.reshape(-1, 3).astype(np.int64), mesh.path)
