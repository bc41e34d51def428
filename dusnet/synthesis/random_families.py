"""Families of random solids: each function draws one solid of its kind, in any unit and position."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from manifold3d import CrossSection, JoinType, Manifold

from dusnet.io import Mesh
from dusnet.synthesis import solids
from dusnet.synthesis.draws import MOST_DRAWS, Draws, moved, random_turn
from dusnet.synthesis.solids import (
    Polygon,
    as_solid,
    block,
    extrude,
    regular,
    revolve,
    ring,
    shell,
    smooth_curve,
    sweep,
    union,
)
from dusnet.synthesis.surface import Floats

_AROUND = 40  # corners of a circle: the solids are sampled, not looked at from near
disc = partial(solids.disc, segments=32)


def _wavy(g: Draws, angles: Floats, amplitude: float, highest: int) -> Floats:
    """A smooth closed function of the angle around 1."""
    value = np.ones_like(angles)
    for order in range(2, highest + 1):
        value += amplitude / (order - 1) * g.normal() * np.cos(order * angles + g.uniform(0.0, 2.0 * np.pi))
    return np.clip(value, 0.35, None)


def outline(g: Draws) -> Polygon:
    """A random simple polygon around the origin, about 1 in radius: star-shaped, smooth or with corners."""
    if g.chance(0.35):
        angles = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
        radius = _wavy(g, angles, g.size(0.05, 0.3), int(g.integers(3, 7)))
    elif g.chance(0.4):
        return regular(int(g.integers(3, 9)), 1.8)
    else:
        corners = int(g.integers(4, 10))
        gaps = g.uniform(0.6, 1.4, corners)
        angles = 2.0 * np.pi * np.cumsum(gaps) / gaps.sum()
        radius = g.sizes(0.45, 1.0, corners)
    squeeze = g.size(0.4, 1.0)
    return [(float(r * np.cos(a)), float(squeeze * r * np.sin(a))) for r, a in zip(radius, angles, strict=True)]


def primitive(g: Draws) -> Manifold:
    """A simple body of about 1 in size around the origin, stretched at random."""
    kind = int(g.integers(7))
    if kind == 0:
        body = Manifold.cube((1.4, 1.4, 1.4), True)
    elif kind == 1:
        body = Manifold.cylinder(1.6, 0.7, -1.0, _AROUND, True)
    elif kind == 2:
        body = Manifold.cylinder(1.6, 0.8, g.size(0.05, 0.6), _AROUND, True)
    elif kind == 3:
        body = Manifold.sphere(0.9, _AROUND)
    elif kind == 4:
        tube = g.size(0.12, 0.35)
        body = CrossSection.circle(tube, 24).translate((0.95 - tube, 0.0)).revolve(_AROUND)
    elif kind == 5:
        height = g.size(0.4, 1.6)
        body = extrude(outline(g), height, rounded=g.size(0.0, 0.1)).translate((0.0, 0.0, -height / 2.0))
    else:
        body = extrude(regular(int(g.integers(3, 9)), 1.4), 1.6).translate((0.0, 0.0, -0.8))
    return body.scale(tuple((g.changes(3) * np.exp(g.uniform(-0.5, 0.35, 3))).tolist()))


def assembly(g: Draws) -> Manifold:
    """Bodies joined at each other's surfaces, some of them as cut-outs, turned freely or along the axes."""
    square = g.chance(0.6)
    total = primitive(g)
    for _ in range(int(g.integers(1, 6))):
        body = primitive(g)
        corners = total.to_mesh64().vert_properties[:, :3]
        place = corners[int(g.integers(len(corners)))] * g.uniform(0.4, 0.95)
        turn = np.eye(3)[g.permutation(3)] if square else random_turn(g)
        turn = turn * np.sign(np.linalg.det(turn))
        placed = moved(body.scale((s := g.size(0.35, 0.9), s, s)), turn, place)
        total = total - placed if g.chance(0.3) else total + placed
        if g.chance(0.25):
            total = total + total.mirror((1.0, 0.0, 0.0))
    return total


def _profile(g: Draws) -> list[tuple[float, float]]:
    """(radius, height) of an outside from the bottom's middle to the rim, smooth or in steps."""
    count, height = int(g.integers(3, 7)), g.size(0.4, 3.0)
    heights = np.concatenate([[0.0], np.sort(g.sizes(0.1, 0.9, count - 2)), [1.0]]) * height
    radii = g.sizes(0.3, 1.0, count)
    if g.chance(0.65):
        knots = [(float(r), float(z)) for r, z in zip(radii, heights, strict=True)]
        curve = smooth_curve(knots, steps=6)
        curve[:, 0] = np.clip(curve[:, 0], 0.15, None)
        curve[:, 1] = np.maximum.accumulate(curve[:, 1] + 1e-4 * np.arange(len(curve)))
        return [(0.0, float(curve[0, 1])), *((float(r), float(z)) for r, z in curve)]
    steps: list[tuple[float, float]] = [(0.0, 0.0)]
    for radius, low, high in zip(radii, heights[:-1], heights[1:], strict=False):
        steps += [(float(radius), float(low)), (float(radius), float(high))]
    return steps


def lathe(g: Draws) -> Manifold:
    """A turned body, plain or bored, with flutes, flats, lugs or cross holes on it."""
    profile = _profile(g)
    top, widest = profile[-1][1], max(r for r, _ in profile)
    body = revolve([*profile, (0.0, top)], segments=_AROUND)
    if g.chance(0.4):
        bore = g.size(0.2, 0.75) * min(r for r, _ in profile[1:])
        deep = 0.0 if g.chance(0.5) else g.size(0.2, 0.6) * top
        body = body - disc(bore, 2.0 * top, at=(0.0, 0.0, deep - (0.5 * top if deep == 0.0 else 0.0)))
    if g.chance(0.3):
        flute = disc(g.size(0.08, 0.25) * widest, 3.0 * top, at=(widest * g.size(0.85, 1.05), 0.0, -top))
        body = body - ring(flute, int(g.integers(1, 9)))
    if g.chance(0.3):
        lug = block(1.3 * widest, 0.3 * widest, g.size(0.1, 0.5) * top)
        body = body + ring(lug.translate((0.65 * widest, 0.0, g.size(0.0, 0.4) * top)), int(g.integers(1, 7)))
    if g.chance(0.3):
        body = body - cross_hole(g, body)
    if g.chance(0.25):
        body = body.trim_by_plane((1.0, 0.0, 0.0), -g.size(0.2, 0.8) * widest)
    return body


def vessel(g: Draws) -> Manifold:
    """A thin-walled cup, dish, bell or pipe piece, round or not; sometimes with a handle, a spout or openings."""
    profile = _profile(g)
    top, widest = profile[-1][1], max(r for r, _ in profile)
    size = max(widest, top / 2.0)
    wall = g.size(0.03, 0.15) * size
    body, cavity = shell(profile, wall, segments=_AROUND)
    if g.chance(0.4):
        a, b = sorted(g.uniform(0.15, 0.9, 2))
        reach = widest * g.size(1.2, 1.7)
        knots = [
            (0.6 * widest, 0.0, a * top),
            (reach, 0.0, a * top),
            (reach, 0.0, b * top),
            (0.6 * widest, 0.0, b * top),
        ]
        path, thick = smooth_curve(knots, steps=8), g.size(0.06, 0.12) * size
        fitting = [radius for radius in (thick, 0.75 * thick, 0.5 * thick) if clear(path, radius)]
        if fitting:
            body = body + (sweep(path, fitting[0], segments=20) - cavity)
    if g.chance(0.3):
        body = body - ring(cross_hole(g, body, one_side=True), int(g.integers(1, 7)))
    if g.chance(0.3):
        foot = block(0.35 * widest, 0.25 * widest, 0.45 * top).translate((0.6 * widest, 0.0, -0.25 * top))
        body = body + (ring(foot, int(g.integers(2, 6))) - cavity)
    if g.chance(0.35):
        body = body.scale((1.0, g.size(0.45, 0.9), 1.0))
    if g.chance(0.2):
        body = body.trim_by_plane((*(g.normal(size=2) * 0.3).tolist(), -1.0), -g.size(0.6, 0.95) * top)
    return body


def cross_hole(g: Draws, body: Manifold, *, one_side: bool = False) -> Manifold:
    """A drill through a body across its z axis; from the axis outwards with `one_side`."""
    low, high = _corners(body)
    reach = float(np.linalg.norm(high - low))
    radius = g.size(0.04, 0.12) * reach * min(1.0, float((high - low).min()) / (0.5 * reach))
    drill = Manifold.cylinder(reach, radius, -1.0, 24, not one_side)
    drill = drill.rotate((0.0, 90.0, float(g.uniform(0.0, 360.0))))
    return drill.translate((0.0, 0.0, float(low[2] + g.size(0.2, 0.8) * (high[2] - low[2]))))


def _corners(body: Manifold) -> tuple[Floats, Floats]:
    box = np.asarray(body.bounding_box(), dtype=np.float64)
    return box[:3], box[3:]


def toothed(g: Draws) -> Manifold:
    """A toothed prism (gear, ratchet, sprocket, lobed cam), plain or twisted, with hub, bore and windows."""
    teeth, depth = int(g.integers(3, 33)), g.size(0.06, 0.3)
    lean, duty = g.size(-0.4, 0.4), g.size(0.25, 0.55)
    spots = (np.array([0.0, duty * 0.3, duty * 0.7, duty]) + np.array([0.0, lean, lean, 0.0]) * duty * 0.7) / teeth
    flanks = [(1.0 - depth, s) if i in (0, 3) else (1.0, s) for i, s in enumerate(spots)]
    corners = [(r, 2.0 * np.pi * (k / teeth + s)) for k in range(teeth) for r, s in flanks]
    height = g.size(0.12, 0.9)
    section = CrossSection([np.array([(r * np.cos(a), r * np.sin(a)) for r, a in corners])])
    if g.chance(0.4):
        section = section.offset(-0.01, JoinType.Round, 2.0, 12).offset(0.01, JoinType.Round, 2.0, 12)
    twist = g.size(-40.0, 40.0) if g.chance(0.3) else 0.0
    body = section.extrude(height, 8 if twist else 0, twist)
    inner = 1.0 - depth
    if g.chance(0.6):
        hub = g.size(0.25, 0.5) * inner
        body = body + disc(hub, height * g.size(1.2, 2.5), at=(0.0, 0.0, -height * g.size(0.0, 0.4)))
    if g.chance(0.5):
        window = disc(g.size(0.08, 0.16) * inner, 3.0, at=(0.68 * inner, 0.0, -1.0))
        body = body - ring(window, int(g.integers(2, 7)))
    if g.chance(0.8):
        bore = g.size(0.08, 0.2) * inner
        hole = disc(bore, 9.0, at=(0.0, 0.0, -4.0))
        key = block(0.7 * bore, 0.7 * bore, 9.0, at=(bore, 0.0, -4.0))
        body = body - (hole + key if g.chance(0.5) else hole)
    return body


def plate(g: Draws) -> Manifold:
    """A plate of any outline with a hole pattern, and with ribs, posts, a second leaf or a rim on it."""
    thick, border = g.size(0.05, 0.2), outline(g)
    body = extrude(border, thick, rounded=g.size(0.0, 0.12))
    if g.chance(0.5):
        for angle in g.uniform(0.0, 180.0, int(g.integers(1, 4))):
            rib = block(1.6, g.size(0.05, 0.12), thick + g.size(0.15, 0.6)).rotate((0.0, 0.0, float(angle)))
            body = body + (rib ^ extrude(border, 3.0))
    if g.chance(0.5):
        for _ in range(int(g.integers(1, 5))):
            at = g.uniform(-0.5, 0.5, 2)
            radius, tall = g.size(0.08, 0.22), g.size(0.2, 0.9)
            post = disc(radius, tall, at=(float(at[0]), float(at[1]), 0.0), top=radius * g.size(0.5, 1.0))
            pin = disc(0.5 * radius, 3.0, at=(float(at[0]), float(at[1]), -1.0 if g.chance(0.5) else 0.5 * tall))
            body = (body + post) - (pin if g.chance(0.6) else Manifold())
    if g.chance(0.35):
        leaf = extrude(outline(g), thick * g.size(0.8, 1.3)).rotate((90.0, 0.0, 0.0))
        leaf = leaf.translate((0.0, g.size(-0.3, 0.3), g.size(0.3, 0.6)))
        body = body + leaf.trim_by_plane((0.0, 0.0, 1.0), 0.5 * thick)
    return body - _hole_pattern(g) if g.chance(0.75) else body


def _hole_pattern(g: Draws) -> Manifold:
    """Drills along z on a circle, on a grid, or anywhere."""
    radius, kind = g.size(0.04, 0.12), int(g.integers(3))
    hole = disc(radius, 6.0, at=(0.0, 0.0, -3.0))
    if g.chance(0.25):
        hole = block(2.2 * radius, 5.0 * radius, 6.0, at=(0.0, 0.0, -3.0))
    if kind == 0:
        return ring(hole.translate((g.size(0.25, 0.6), 0.0, 0.0)), int(g.integers(2, 9)))
    if kind == 1:
        pitch, across, along = g.size(0.28, 0.5), int(g.integers(1, 5)), int(g.integers(2, 5))
        spots = [
            ((i - across / 2 + 0.5) * pitch, (j - along / 2 + 0.5) * pitch) for i in range(across) for j in range(along)
        ]
    else:
        spots = [(float(x), float(y)) for x, y in g.uniform(-0.6, 0.6, (int(g.integers(1, 6)), 2))]
    return union([hole.translate((x, y, 0.0)) for x, y in spots])


def enclosure(g: Draws) -> Manifold:
    """A box of any outline, open at the top, with bosses, inner walls, windows and lugs."""
    border, tall = outline(g), g.size(0.3, 1.4)
    section = CrossSection([np.asarray(border)])
    section = section if section.area() > 0.0 else CrossSection([np.asarray(border)[::-1]])
    wall = g.size(0.03, 0.12)
    inside = section.offset(-wall, JoinType.Round, 2.0, 24)
    body = section.extrude(tall) - inside.extrude(2.0 * tall).translate((0.0, 0.0, wall * g.size(0.8, 1.6)))
    room = section.extrude(tall)
    for angle in g.uniform(0.0, 180.0, int(g.integers(0, 3))):
        inner = block(3.0, wall, tall * g.size(0.3, 0.9)).rotate((0.0, 0.0, float(angle)))
        body = body + (inner ^ room)
    for x, y in g.uniform(-0.45, 0.45, (int(g.integers(0, 4)), 2)):
        boss = disc(g.size(0.1, 0.18), tall * g.size(0.4, 0.95), at=(float(x), float(y), 0.0))
        body = (body + (boss ^ room)) - disc(0.06, 9.0, at=(float(x), float(y), 0.3 * tall))
    if g.chance(0.5):
        lug = extrude(regular(int(g.integers(4, 9)), 0.45), wall * 1.5).translate((g.size(0.85, 1.0), 0.0, 0.0))
        lugs = ring(lug, int(g.integers(2, 5)), start=float(g.uniform(0.0, 90.0)))
        body = body + (lugs - inside.extrude(9.0).translate((0.0, 0.0, -1.0)))
    return body - cross_hole(g, body, one_side=True) if g.chance(0.5) else body


def blob(g: Draws, *, size: float = 1.0) -> Manifold:
    """A body bounded by a smooth random radial function, smooth or bumpy."""
    ball = Manifold.sphere(1.0, 56).to_mesh64()
    directions = np.asarray(ball.vert_properties[:, :3], dtype=np.float64)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    radius = np.zeros(len(directions))
    rough = g.size(0.8, 2.2)
    for frequency in g.uniform(1.0, 6.0, 14):
        wave = g.normal(size=3)
        wave *= frequency / np.linalg.norm(wave)
        radius += frequency**-rough * g.normal() * np.cos(directions @ wave + g.uniform(0.0, 2.0 * np.pi))
    radius = np.exp(g.size(0.18, 0.4) * radius / max(float(radius.std()), 1e-6))
    points = directions * np.clip(radius, 0.45, 2.2)[:, None] * np.exp(g.uniform(-0.5, 0.3, 3))
    solid = as_solid(Mesh(size * points, np.asarray(ball.tri_verts, dtype=np.int64)))
    return solid if solid is not None else Manifold()


def clear(path: Floats, radius: float) -> bool:
    """Whether a tube of this radius along a path, (K, 3), neither folds at a bend nor meets itself."""
    steps = np.diff(path, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    cosine = np.sum(steps[1:] * steps[:-1], axis=1) / (lengths[1:] * lengths[:-1])
    half = np.tan(np.arccos(np.clip(cosine, -1.0, 1.0)) / 2.0)
    if (np.minimum(lengths[1:], lengths[:-1]) < 2.2 * radius * half).any():
        return False
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    far = np.abs(along[:, None] - along[None]) > np.pi * radius
    apart = np.linalg.norm(path[:, None] - path[None], axis=2)
    return not (apart[far] < 2.1 * radius).any()


def creature(g: Draws) -> Manifold:
    """Bodies with limbs, fins and heads grown out of each other, mirrored or not: toys and figures."""
    total = blob(g)
    mirrored = g.chance(0.6)
    for _ in range(int(g.integers(2, 6))):
        corners = total.to_mesh64().vert_properties[:, :3]
        root = np.asarray(corners[int(g.integers(len(corners)))], dtype=np.float64)
        out = root / max(float(np.linalg.norm(root)), 1e-6)
        if g.chance(0.3):
            limb = blob(g, size=g.size(0.3, 0.6)).translate(tuple((root + 0.15 * out).tolist()))
        else:
            side = np.cross(out, g.normal(size=3))
            length = g.size(0.5, 1.5)
            start, end = g.size(0.12, 0.35), g.size(0.05, 0.3)
            flat = (1.0, g.size(0.3, 1.0))
            for bend in (0.45, 0.3, 0.2, 0.1, 0.0):
                turn = root + (0.45 * out + bend * side) * length
                knots = [root - 0.4 * out, root, turn, root + (out + 0.5 * bend * side) * length]
                path = smooth_curve([tuple(k.tolist()) for k in knots], steps=6)
                if clear(path, max(start, end)):
                    break
            else:
                path = np.linspace(root - 0.4 * out, root + length * out, 4)
            limb = sweep(path, np.linspace(start, end, len(path)), squash=flat, segments=20)
        total = total + limb
        if mirrored and g.chance(0.8):
            total = total + limb.mirror((1.0, 0.0, 0.0))
    return total


def bent_tube(g: Draws) -> Manifold:
    """A bent rod or pipe of round or flat section, with collars at its ends and side branches."""
    end, solid_bend = g.size(0.6, 1.3), g.chance(0.6)
    for _ in range(MOST_DRAWS):
        knots = np.cumsum(g.normal(size=(int(g.integers(3, 6)), 3)) * (1.0, 1.0, 0.6 * solid_bend), axis=0)
        size = float(np.linalg.norm(np.ptp(knots, axis=0)))
        path = smooth_curve([tuple(k) for k in knots.tolist()], steps=8)
        thick = g.size(0.05, 0.15) * size
        if clear(path, thick * max(1.0, end)):
            break
    flat = (1.0, 1.0) if g.chance(0.6) else (1.0, g.size(0.4, 0.9))
    body = sweep(path, lambda t: thick * (1.0 + (end - 1.0) * t), squash=flat, segments=28)
    tangents = [path[0] - path[1], path[-1] - path[-2]]
    for tip, tangent in zip((path[0], path[-1]), tangents, strict=True):
        if g.chance(0.5):
            along = tangent / np.linalg.norm(tangent)
            collar = np.stack([tip - along * thick * g.size(0.3, 0.8), tip])
            body = body + sweep(collar, thick * g.size(1.4, 2.2), segments=int(g.choice([4, 6, 28])))
    if g.chance(0.35):
        middle = path[int(g.integers(4, len(path) - 4))]
        body = body + sweep(np.stack([middle, middle + g.normal(size=3) * 0.3 * size]), 0.8 * thick, segments=28)
    if g.chance(0.5):
        reach = np.vstack([path[0] + 0.5 * tangents[0], path[1:-1], path[-1] + 0.5 * tangents[1]])
        share = g.size(0.5, 0.8)
        bore = sweep(reach, lambda t: share * thick * (1.0 + (end - 1.0) * t), squash=flat, segments=28)
        body = body - bore
    return body


def wheel(g: Draws) -> Manifold:
    """A ring or disc with uneven or curved spokes, blades or pockets about a hub: fans, reels, impellers."""
    rim, height, count = g.size(0.06, 0.2), g.size(0.1, 0.6), int(g.integers(2, 10))
    hub = disc(g.size(0.12, 0.35), height * g.size(0.8, 2.0))
    curl, thick = g.size(-0.5, 0.5), g.size(0.03, 0.12)
    path = smooth_curve(
        [(0.0, 0.0, 0.5 * height), (0.5, curl * 0.5, 0.5 * height), (1.0 - 0.5 * rim, curl, 0.5 * height)]
    )
    blade = sweep(path, thick, squash=(1.0, g.size(0.8, 0.45 * height / thick + 0.9)), segments=20)
    body = hub + ring(blade.rotate((g.size(-30.0, 30.0), 0.0, 0.0)), count)
    if g.chance(0.7):
        band = disc(1.08, height) - disc(1.08 - rim, 3.0, at=(0.0, 0.0, -1.0))
        body = body + band
    elif g.chance(0.6):
        body = body + disc(g.size(0.7, 1.1), 0.25 * height)
    if g.chance(0.6):
        body = body - disc(0.08, 9.0, at=(0.0, 0.0, -4.0))
    return body


FAMILIES: dict[str, tuple[Callable[[Draws], Manifold], float]] = {
    "assembly": (assembly, 0.2),
    "lathe": (lathe, 0.1),
    "vessel": (vessel, 0.14),
    "toothed": (toothed, 0.08),
    "plate": (plate, 0.11),
    "enclosure": (enclosure, 0.08),
    "blob": (blob, 0.05),
    "creature": (creature, 0.11),
    "bent_tube": (bent_tube, 0.08),
    "wheel": (wheel, 0.05),
}
"""Family -> its function and its share."""
