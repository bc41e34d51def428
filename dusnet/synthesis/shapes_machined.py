"""Parts that are milled, cut, forged or moulded."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from dusnet.synthesis.solids import (
    Polygon,
    Sizes,
    block,
    disc,
    extrude,
    rectangle,
    regular,
    ring,
    smooth_curve,
    sweep,
    threaded,
    union,
)


def bracket(size: Sizes) -> Manifold:
    """An angle bracket of 90 mm with two ribs, two slots and four holes."""
    width, base, back, thick = size(70.0), size(80.0), size(90.0), size(8.0)
    foot = extrude(rectangle(base, width), thick, rounded=8.0).translate((base / 2.0, 0.0, 0.0))
    wall = extrude(rectangle(back, width), thick, rounded=8.0).translate((-back / 2.0, 0.0, 0.0))
    wall = wall.rotate((0.0, 90.0, 0.0))
    corner = block(thick, width, thick, at=(thick / 2.0, 0.0, 0.0))
    edge = block(3 * thick, width, 2 * thick, at=(1.5 * thick, 0.0, 0.0)) ^ (foot + wall + corner)
    rib = extrude([(thick * 0.5, thick * 0.5), (base * 0.62, thick * 0.5), (thick * 0.5, back * 0.62)], 7.0)
    rib = rib.rotate((90.0, 0.0, 0.0)).translate((0.0, 3.5, 0.0))
    ribs = rib.translate((0.0, width * 0.42, 0.0)) + rib.translate((0.0, -width * 0.42, 0.0))
    hole = size(5.5)
    foot_holes = [disc(hole, 40.0, at=(base * 0.78, sign * width * 0.28, -10.0)) for sign in (-1.0, 1.0)]
    slot = extrude(rectangle(26.0, 2.0 * hole), 40.0, rounded=hole * 0.98)
    slot = slot.rotate((0.0, 90.0, 0.0)).translate((-10.0, 0.0, 0.0))
    wall_slots = [slot.translate((0.0, sign * width * 0.2, back * 0.66)) for sign in (-1.0, 1.0)]
    return union([foot, wall, corner, edge, ribs]) - union([*foot_holes, *wall_slots])


def _involute_outline(teeth: int, module: float) -> Polygon:
    """Outline of a spur gear: involute flanks, pressure angle 20 degrees, addendum 1, dedendum 1.25 modules."""
    pitch = teeth * module / 2.0
    base = pitch * np.cos(np.deg2rad(20.0))
    tip, root = pitch + module, pitch - 1.25 * module
    radii = np.linspace(max(base, root), tip, 8)

    def turn(radius: float | np.ndarray) -> np.ndarray:
        roll = np.arccos(np.clip(base / np.asarray(radius), -1.0, 1.0))
        return np.tan(roll) - roll

    half = np.pi / (2.0 * teeth) + float(turn(pitch)) - turn(radii)
    points: list[tuple[float, float]] = []
    for i in range(teeth):
        middle = 2.0 * np.pi * i / teeth
        flank = [(root, middle - half[0] - 0.01), *zip(radii, middle - half, strict=True)]
        flank += [*zip(radii[::-1], middle + half[::-1], strict=True), (root, middle + half[0] + 0.01)]
        points += [(float(r * np.cos(a)), float(r * np.sin(a))) for r, a in flank]
    return points


def gear(size: Sizes) -> Manifold:
    """A spur gear of 100 mm, 22 involute teeth, with a hub, five openings and a keyway."""
    module, width, hub, bore = size(4.2), size(20.0), size(20.0), size(10.0)
    rim = 22 * module / 2.0 - 2.6 * module
    body = extrude(_involute_outline(22, module), width)
    pocket = (disc(rim, width) - disc(hub, width)).translate((0.0, 0.0, width * 0.7))
    other = (disc(rim, width) - disc(hub, width)).translate((0.0, 0.0, -width * 0.7))
    openings = ring(disc((rim - hub) * 0.32, 60.0, at=((hub + rim) / 2.0, 0.0, -10.0)), 5)
    raised = disc(hub, width + 8.0)
    shaft = disc(bore, 80.0, at=(0.0, 0.0, -20.0)) + block(5.0, 8.0, 80.0, at=(0.0, bore, -20.0))
    return (body - union([pocket, other, openings])) + raised - shaft


def bolt(size: Sizes) -> Manifold:
    """A hexagon bolt M20 x 80 with a chamfered head, a washer face, a shank and a thread."""
    shank, length, head, flats = size(10.0), size(80.0), size(13.0), size(30.0)
    plain = size(28.0)
    chamfer = disc(flats * 0.75, head + 2.0, top=flats * 0.48).translate((0.0, 0.0, 0.0))
    hexagon = extrude(regular(6, flats), head) ^ chamfer
    washer = disc(flats * 0.47, 1.2).translate((0.0, 0.0, -1.2))
    rod = disc(shank, plain + 2.0).translate((0.0, 0.0, -plain - 1.0))
    thread = threaded(shank, 1.7, 3.4, length - plain + 1.0).rotate((180.0, 0.0, 0.0)).translate((0.0, 0.0, -plain))
    return union([hexagon, washer, rod, thread])


def housing(size: Sizes) -> Manifold:
    """An electronics housing of 120 mm, open at the top, with posts, ribs, cable openings and mounting ears."""
    x, y, z, wall = size(110.0), size(76.0), size(40.0), size(3.0)
    outer = extrude(rectangle(x, y), z, rounded=10.0)
    inner = extrude(rectangle(x - 2 * wall, y - 2 * wall), z, rounded=7.5).translate((0.0, 0.0, wall))
    post = disc(5.0, z * 0.75, at=(x / 2 - 12.0, y / 2 - 12.0, wall / 2)) - disc(
        2.2, 99.0, at=(x / 2 - 12.0, y / 2 - 12.0, 12.0)
    )
    posts = union([post, post.mirror((1, 0, 0)), post.mirror((0, 1, 0)), post.mirror((1, 0, 0)).mirror((0, 1, 0))])
    ear = extrude([(-9.0, -11.0), (14.0, -11.0), (14.0, 11.0), (-9.0, 11.0)], 5.0, rounded=6.0)
    ear = (ear - disc(3.2, 20.0, at=(6.0, 0.0, -5.0))).translate((x / 2, 0.0, 0.0))
    ears = (ear + ear.mirror((1, 0, 0))) - inner
    vents = union([block(3.5, 40.0, 16.0, at=(i * 9.0, -y / 2, z * 0.35)) for i in (-2, -1, 0, 1, 2)])
    cable = disc(6.5, 30.0).rotate((90.0, 0.0, 0.0)).translate((x * 0.2, y / 2 + 15.0, z * 0.5))
    rib = block(2.4, y - wall, 9.0, at=(-x * 0.12, 0.0, wall / 2))
    return (outer - inner) + posts + ears + rib - union([vents, cable])


def elbow(size: Sizes) -> Manifold:
    """A 90 degree pipe elbow of 120 mm with a bolted flange on each end; both walls."""
    radius, bend, wall, rim = size(21.0), size(58.0), size(4.0), size(38.0)
    arc = [
        (bend - bend * float(np.cos(a)), 0.0, 12.0 + bend * float(np.sin(a))) for a in np.linspace(0.0, np.pi / 2.0, 25)
    ]
    path = np.array(
        [(0.0, 0.0, -14.0), (0.0, 0.0, 0.0), *arc, (bend + 12.0, 0.0, 12.0 + bend), (bend + 26.0, 0.0, 12.0 + bend)]
    )
    plate = disc(rim, 9.0, at=(0.0, 0.0, -14.0)) - ring(disc(4.5, 30.0, at=(rim - 8.0, 0.0, -25.0)), 4, start=45.0)
    far = plate.translate((0.0, 0.0, 14.0)).rotate((0.0, -90.0, 0.0)).translate((bend + 26.0, 0.0, 12.0 + bend))
    longer = path.copy()
    longer[0, 2] -= 5.0
    longer[-1, 0] += 5.0
    return union([sweep(path, radius, segments=64), plate, far]) - sweep(longer, radius - wall, segments=64)


def hook(size: Sizes) -> Manifold:
    """A crane hook of 150 mm: eye, shank, a bowl that thickens at its lowest point and a tapering tip."""
    mouth, thick, shank = size(34.0), size(13.0), size(42.0)
    angles = np.deg2rad(np.linspace(38.0, -150.0, 12))
    curve = [(mouth * float(np.cos(a)), 0.0, mouth * float(np.sin(a))) for a in angles]
    points = [(0.0, 0.0, mouth + shank), (0.0, 0.0, mouth + shank * 0.35), *curve, (-mouth * 1.12, 0.0, mouth * 0.05)]
    path = smooth_curve(points, steps=6)

    def radius(t: float) -> float:
        return thick * float(np.interp(t, [0.0, 0.25, 0.6, 0.85, 1.0], [0.72, 0.78, 1.1, 0.75, 0.35]))

    body = sweep(path, radius, squash=(1.15, 0.85), segments=48)
    eye = disc(size(23.0), 16.0) - disc(size(12.5), 40.0, at=(0.0, 0.0, -10.0))
    eye = eye.translate((0.0, 0.0, -8.0)).rotate((90.0, 0.0, 0.0)).translate((0.0, 0.0, mouth + shank + 17.0))
    bore = disc(12.5, 60.0, at=(0.0, 0.0, -30.0)).rotate((90.0, 0.0, 0.0)).translate((0.0, 0.0, mouth + shank + 17.0))
    return (body - bore) + eye


def tap(size: Sizes) -> Manifold:
    """A basin tap of 140 mm: foot, column, swan-neck spout with an open end, and a cross handle."""
    column, height, reach, pipe = size(17.0), size(70.0), size(95.0), size(10.0)
    foot = disc(size(27.0), 6.0) + disc(24.0, 5.0, at=(0.0, 0.0, 6.0), top=column)
    body = disc(column, height)
    collar = disc(column * 1.15, 7.0, at=(0.0, 0.0, height - 4.0))
    neck = disc(8.0, 14.0, at=(0.0, 0.0, height))
    path = smooth_curve(
        [
            (0.0, 0.0, height * 0.55),
            (reach * 0.30, 0.0, height * 0.85),
            (reach * 0.65, 0.0, height * 1.0),
            (reach * 0.93, 0.0, height * 0.82),
            (reach, 0.0, height * 0.50),
        ],
        steps=8,
    )
    spout = sweep(path, lambda t: pipe * (1.25 - 0.25 * t), segments=48)
    outlet = disc(pipe * 0.72, 22.0).translate((reach, 0.0, height * 0.50 - 10.0))
    top = height + 14.0
    arm = sweep(
        np.array([(0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (20.0, 0.0, 0.0), (26.0, 0.0, 0.0)]),
        np.array([4.5, 4.5, 6.0, 4.0]),
    )
    arms = ring(arm, 4, start=45.0).translate((0.0, 0.0, top + 6.0))
    cap = disc(11.0, 13.0, at=(0.0, 0.0, top), top=8.0)
    return union([foot, body, collar, neck, spout, arms, cap]) - outlet


def rod(size: Sizes) -> Manifold:
    """A connecting rod of 160 mm: two eyes and an I-section between them."""
    length, big, small, thick = size(105.0), size(27.0), size(16.0), size(20.0)
    shank = extrude([(0.0, -15.0), (length, -10.0), (length, 10.0), (0.0, 15.0)], thick * 0.8).translate(
        (0, 0, thick * 0.1)
    )
    near, far = big + 2.0, length - small - 2.0
    recess = extrude([(near, -8.5), (far, -5.5), (far, 5.5), (near, 8.5)], thick, rounded=3.0)
    recesses = recess.translate((0.0, 0.0, thick * 0.65)) + recess.translate((0.0, 0.0, -thick * 0.65))
    ears = union([block(14.0, 12.0, thick * 0.8, at=(-4.0, s * (big + 3.0), thick * 0.1)) for s in (-1.0, 1.0)])
    screws = union(
        [disc(3.0, 40.0).rotate((0.0, 90.0, 0.0)).translate((-20.0, s * (big + 4.0), thick / 2)) for s in (-1.0, 1.0)]
    )
    eyes = disc(big, thick) + disc(small, thick, at=(length, 0.0, 0.0))
    bores = disc(big - 8.0, 60.0, at=(0.0, 0.0, -20.0)) + disc(small - 7.0, 60.0, at=(length, 0.0, -20.0))
    return union([shank, eyes, ears]) - union([recesses, bores, screws])
