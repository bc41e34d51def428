"""One scan of one specimen: a part with its own variation, perhaps a defect, seen by the scanner."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from manifold3d import Manifold

from dusnet.cloud import Frame, PointCloud
from dusnet.errors import BadInput
from dusnet.geometry.outer_surface import OuterSurface, outer_surface, require_measurable
from dusnet.io import Mesh, read_mesh, sample_mesh
from dusnet.synthesis.defects import apply_defect, require_kinds
from dusnet.synthesis.fractures import SOLID_KINDS, damage_solid, surface_area
from dusnet.synthesis.scanner import Reach, scan
from dusnet.synthesis.settings import BenchmarkSettings
from dusnet.synthesis.shapes import PARTS, make_part
from dusnet.synthesis.solids import as_solid
from dusnet.synthesis.surface import Floats, LabelledSurface, random_direction
from dusnet.synthesis.variation import SmoothField, smooth_field

GOOD = "good"
_DENSITY = 4
"""Points of the dense surface per point of a scan."""
_REACH_POINTS = 6000  # samples of the nominal surface that are looked at
_NEARLY_ALL = 0.85
"""Of a part that a scanner can see at least this share of, nothing is taken away: the rest is mostly uncertainty."""
_ATTEMPTS = 10  # tries to make a scan that shows its defect
_LEAST_SHARE = 0.005  # of the points of a scan that its defect must have
_MOST_SHARE = (0.08, 0.25)
"""A defect that is less or more of its scan is put elsewhere; after the last attempt the most fitting one stays."""


@dataclass(frozen=True)
class PartClass:
    """A class of the benchmark.

    Attributes:
        name: of the class.
        mesh: its nominal surface, mm.
        visible: the faces of it that a scanner can see from somewhere.
        radius: bounding radius of the nominal surface, mm.
        remake: makes a specimen with other dimensions, given a generator and the jitter; None where there is no way.
        reach: what a scanner can see of it, or None where that is (nearly) everything.
        closed: whether the surface bounds a solid.
        notes: what everybody who uses the part should know.
    """

    name: str
    mesh: Mesh
    visible: Mesh
    radius: float
    remake: Callable[[np.random.Generator, float], Mesh] | None
    reach: Reach | None
    closed: bool
    notes: tuple[str, ...] = ()


def load_parts(settings: BenchmarkSettings) -> list[PartClass]:
    """The parts and meshes that the settings name.

    Raises:
        BadInput: a part or kind is unknown, a mesh cannot be used, or two classes have the same name.
    """
    require_kinds(settings.chosen_kinds)
    names = tuple(PARTS) if "all" in settings.parts else settings.parts
    parts = [_part(name, make_part(name, np.random.default_rng(0), 0.0), partial(make_part, name)) for name in names]
    for path in settings.meshes:
        parts.append(mesh_part(path.stem, outer_surface(own_mesh(path))))
    seen: set[str] = set()
    for part in parts:
        if part.name in seen:
            raise BadInput(f"two classes would be named {part.name!r}; rename the mesh or leave one of them out.")
        seen.add(part.name)
    return parts


def _part(name: str, mesh: Mesh, remake: Callable[[np.random.Generator, float], Mesh] | None) -> PartClass:
    radius = Frame.of(mesh.vertices[np.unique(mesh.faces)]).scale
    closed = as_solid(mesh) is not None
    samples = LabelledSurface.clean(*sample_mesh(mesh, _REACH_POINTS, np.random.default_rng(0)))
    found = Reach.of(samples, closed=closed)
    reach = found if float(found.seen.mean()) < _NEARLY_ALL else None
    return PartClass(name, mesh, _visible(reach, mesh), radius, remake, reach, closed)


def mesh_part(name: str, outer: OuterSurface) -> PartClass:
    """A mesh as a class of the benchmark.

    Args:
        name: of the class.
        outer: the outer surface of the mesh.
    """
    file = name if outer.mesh.path is None else outer.mesh.path.name
    return replace(_part(name, outer.mesh, None), notes=remarks(outer, file))


def remarks(outer: OuterSurface, file: str) -> tuple[str, ...]:
    """What everybody who uses the outer surface of a mesh file should know, with what was united."""
    summary = outer.summary(file)
    return (*([summary] if summary else []), *outer.notes(file))


def own_surfaces(meshes: Sequence[Path], taken: Collection[str]) -> dict[str, OuterSurface]:
    """The outer surfaces of a user's own meshes as classes of a dataset, by the stems of their files.

    Args:
        meshes: their files.
        taken: names of the other classes.

    Raises:
        BadInput: a mesh cannot be used, or two classes would have the same name.
    """
    found: dict[str, OuterSurface] = {}
    for path in meshes:
        if path.stem in taken or path.stem in found:
            raise BadInput(f"two classes would be named {path.stem!r}; rename the mesh or leave one of them out.")
        found[path.stem] = outer_surface(own_mesh(path))
    return found


def _visible(reach: Reach | None, mesh: Mesh) -> Mesh:
    return mesh if reach is None else reach.visible_faces(mesh)


def own_mesh(path: Path) -> Mesh:
    """Read a mesh of the user's own.

    Raises:
        BadInput: it cannot be read, has no surface, or coordinates that no part has.
    """
    mesh = read_mesh(path)
    require_measurable(mesh)
    extent = float(np.linalg.norm(np.ptp(mesh.vertices[np.unique(mesh.faces)], axis=0)))
    if not surface_area(mesh) > 1e-6 * extent**2:
        raise BadInput(f"{path} has no surface to sample, its faces have no area; export the mesh again.")
    return mesh


def fingerprint(mesh: Mesh) -> str:
    """Sixteen digits that change when the surface does."""
    digest = hashlib.sha256(np.ascontiguousarray(mesh.vertices, dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(mesh.faces, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


def entropy(seed: int, part: str, split: str, index: int) -> tuple[int, int, int, int]:
    """What the random numbers of one scan are made from, for `numpy.random.default_rng`.

    Args:
        seed: of the benchmark.
        part: name of the class.
        split: "train", "good" or the kind of defect.
        index: of the scan in its split.
    """
    words = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") for text in (part, split)]
    return seed, words[0], words[1], index


def make_scan(
    part: PartClass, kind: str, generator: np.random.Generator, settings: BenchmarkSettings, *, train: bool
) -> PointCloud:
    """Produce one specimen and scan it.

    Args:
        part: the class.
        kind: "good" or a kind of defect.
        generator: source of all randomness.
        settings: of the benchmark.
        train: a training scan sees the part from all sides.

    Returns:
        The scan with its labels.
    """
    single = settings.test_view == "single" and not train
    mesh, visible = part.mesh, part.visible
    if part.remake is not None and settings.jitter:
        mesh = part.remake(generator, settings.jitter)
        visible = _visible(part.reach, mesh)
    count = settings.points * _DENSITY
    clean = LabelledSurface.clean(*sample_mesh(visible, count, generator))
    field = smooth_field(generator, clean.points, settings.variation * part.radius)
    solid = as_solid(mesh) if kind in SOLID_KINDS else None
    best, best_excess = None, np.inf
    most = _MOST_SHARE[kind in ("broken", "bending")]
    for _ in range(_ATTEMPTS):
        surface = _specimen(part, clean, field, solid, kind, generator, settings, len(clean) / surface_area(visible))
        cloud = scan(
            surface,
            generator,
            settings.scanner,
            direction=_direction(surface, generator) if single else None,
            radius=part.radius,
            closed=part.closed,
        )
        share = 0.0 if cloud.labels is None else float(cloud.labels.mean())
        excess = 1.0 if kind == GOOD else max(_LEAST_SHARE / max(share, 1e-6), share / most)
        if excess < best_excess:
            best, best_excess = cloud, excess
        if excess <= 1.0:
            break
    assert best is not None
    return best


def _specimen(
    part: PartClass,
    clean: LabelledSurface,
    field: SmoothField,
    solid: Manifold | None,
    kind: str,
    generator: np.random.Generator,
    settings: BenchmarkSettings,
    density: float,
) -> LabelledSurface:
    """The surface of one specimen: its variation and, unless it is good, one defect."""
    if kind == GOOD:
        return field.apply(clean)
    if solid is not None:
        depth = generator.uniform(*settings.amplitude) * part.radius
        damaged = damage_solid(
            kind, solid, clean, generator, radius=part.radius, depth=depth, density=density, reach=part.reach
        )
        return field.apply(damaged)
    return apply_defect(kind, field.apply(clean), generator, radius=part.radius, amplitude=settings.amplitude)


def _direction(surface: LabelledSurface, generator: np.random.Generator) -> Floats:
    """Where a single view looks from: anywhere, but within about 60 degrees of a defect's normal."""
    direction = random_direction(generator)
    if surface.labels.any():
        facing = surface.normals[surface.labels].mean(axis=0)
        if float(np.linalg.norm(facing)) > 0.3:
            direction = direction + 1.2 * facing / np.linalg.norm(facing)
    return direction / np.linalg.norm(direction)
