"""Household things with thin walls: worn, carried, put on a table."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from dusnet.synthesis.shapes_revolved import outline
from dusnet.synthesis.solids import (
    Sizes,
    block,
    disc,
    extrude,
    rectangle,
    ring,
    shell,
    smooth_curve,
    sweep,
    union,
)


def _ball(x: float, y: float, z: float) -> Manifold:
    """An ellipsoid around the origin with these half axes."""
    return Manifold.sphere(1.0, 96).scale((x, y, z))


def _dome(x: float, y: float, z: float, wall: float) -> Manifold:
    """The upper half of a hollow ellipsoid that stands on z = 0."""
    hollow = _ball(x, y, z) - _ball(x - wall, y - wall, z - wall)
    return hollow.trim_by_plane((0.0, 0.0, 1.0), 0.0)


def flat_bowl(size: Sizes) -> Manifold:
    """A wide, flat bowl of 200 mm without a foot; both walls."""
    rim, height, base, wall = size(100.0), size(48.0), size(38.0), size(1.7)
    curve = outline((base * 1.35, 0.05 * height), (rim * 0.8, 0.45 * height), (rim, height), base=base)
    return shell(curve, wall)[0]


def deep_bowl(size: Sizes) -> Manifold:
    """A deep round bowl of 140 mm that closes a little to its rim, on a low foot; both walls."""
    belly, height, foot, wall = size(70.0), size(72.0), size(30.0), size(1.5)
    curve = outline(
        (belly * 0.58, 0.12 * height),
        (belly * 0.84, 0.42 * height),
        (belly, 0.80 * height),
        (belly * 0.97, height),
        base=foot * 1.1,
    )
    return shell(curve, wall)[0] + (disc(foot, 7.0, at=(0.0, 0.0, -6.0)) - disc(foot - 4.0, 9.0, at=(0.0, 0.0, -9.0)))


def flared_vase(size: Sizes) -> Manifold:
    """A slim vase of 190 mm that opens like a trumpet; both walls."""
    height, stem, lip, wall = size(190.0), size(22.0), size(52.0), size(1.6)
    curve = outline(
        (stem * 1.25, 0.06 * height),
        (stem * 0.9, 0.30 * height),
        (stem, 0.55 * height),
        (stem * 1.4, 0.80 * height),
        (lip, height),
        base=stem * 1.3,
    )
    return shell(curve, wall)[0]


def round_vase(size: Sizes) -> Manifold:
    """A round-bellied vase of 175 mm with a short neck and two ears; both walls."""
    height, belly, neck, wall = size(175.0), size(52.0), size(19.0), size(1.6)
    curve = outline(
        (belly * 0.75, 0.10 * height),
        (belly, 0.40 * height),
        (belly * 0.76, 0.68 * height),
        (neck, 0.84 * height),
        (neck * 1.25, height),
        base=belly * 0.5,
    )
    vessel, cavity = shell(curve, wall)
    path = smooth_curve(
        [
            (neck - 1.0, 0.0, 0.90 * height),
            (neck + 15.0, 0.0, 0.93 * height),
            (neck + 25.0, 0.0, 0.80 * height),
            (belly * 0.80, 0.0, 0.64 * height),
        ]
    )
    return vessel + (ring(sweep(path, size(4.0)), 2) - cavity)


def cap(size: Sizes) -> Manifold:
    """A baseball cap of 190 mm: a dome, a button and a bent visor, of cloth 2 mm thick."""
    x, y, z, wall = size(88.0), size(76.0), size(82.0), size(2.0)
    reach, bend = size(64.0), size(130.0)
    turns = np.linspace(-1.0, 1.0, 41) * np.deg2rad(62.0)
    inner = [(0.94 * x * float(np.cos(a)), 0.94 * y * float(np.sin(a))) for a in turns]
    outer = [
        ((0.94 * x + reach * (1.0 - (a / turns[-1]) ** 2) ** 0.75) * float(np.cos(a)), 0.97 * y * float(np.sin(a)))
        for a in turns[::-1]
    ]
    brim = extrude([*inner, *outer], 200.0).translate((0.0, 0.0, -100.0))
    tube = disc(bend, 400.0, segments=192) - disc(bend - wall, 400.0, segments=192)
    sheet = tube.rotate((0.0, 90.0, 0.0)).translate((-150.0, 0.0, -bend + wall + 12.0))
    visor = (brim ^ sheet).trim_by_plane((0.0, 0.0, 1.0), -60.0)
    cavity = _ball(x - wall, y - wall, z - wall)
    skirt = (_ball(x, y, z) - cavity).trim_by_plane((0.0, 0.0, 1.0), -8.0)
    return skirt + (visor - cavity) + (disc(6.0, 4.0, at=(0.0, 0.0, z - 1.5), top=4.0))


def flat_cap(size: Sizes) -> Manifold:
    """A round cap of 180 mm with a low dome, a band and a short flat peak."""
    x, y, z, wall = size(92.0), size(86.0), size(50.0), size(2.0)
    band = size(26.0)
    dome = _dome(x, y, z, wall)
    low = (disc(1.0, band).scale((x, y, 1.0)) - disc(1.0, band).scale((x - wall, y - wall, 1.0))).translate(
        (0.0, 0.0, -band + 0.2)
    )
    peak = disc(1.0, wall).scale((x * 0.98, y * 0.8, 1.0)).translate((0.42 * x, 0.0, -band + 0.2))
    hole = disc(1.0, 2.0 * band).scale((x - wall, y - wall, 1.0)).translate((0.0, 0.0, -1.5 * band))
    return union([dome, low, peak - hole])


def beaker(size: Sizes) -> Manifold:
    """A tall cup of 130 mm without a handle, with a rolled lip and a waist; both walls."""
    height, foot, lip, wall = size(130.0), size(29.0), size(41.0), size(1.4)
    curve = outline(
        (foot * 1.02, 0.04 * height),
        (foot * 1.05, 0.35 * height),
        (foot * 1.22, 0.70 * height),
        (lip * 0.95, 0.95 * height),
        (lip, height),
        base=foot * 0.9,
    )
    return shell(curve, wall)[0]


def flask(size: Sizes) -> Manifold:
    """A flat bottle of 165 mm with an oval body, a shoulder and a threadless neck; both walls."""
    height, body, neck, wall = size(165.0), size(46.0), size(13.0), size(1.5)
    curve = outline(
        (body * 0.96, 0.03 * height),
        (body, 0.12 * height),
        (body, 0.55 * height),
        (body * 0.72, 0.72 * height),
        (neck, 0.82 * height),
        (neck, height),
        base=body * 0.88,
    )
    return shell(curve, wall)[0].scale((1.0, 0.62, 1.0))


def helmet(size: Sizes) -> Manifold:
    """A full-face helmet of 220 mm: a shell with an opening for the eyes, a chin bar and a raised crest."""
    x, y, z, wall = size(110.0), size(88.0), size(98.0), size(2.5)
    hollow = (_ball(x, y, z) - _ball(x - wall, y - wall, z - wall)).trim_by_plane((0.0, 0.0, 1.0), -0.50 * z)
    eyes = extrude(rectangle(2.2 * y, 0.62 * z), 120.0, rounded=0.25 * z).rotate((90.0, 0.0, 90.0))
    crest = extrude(rectangle(1.3 * x, 18.0), 400.0, rounded=8.5).translate((-0.1 * x, 0.0, 0.0))
    raised = (_ball(x + 5.0, y + 5.0, z + 5.0) - _ball(x - 1.0, y - 1.0, z - 1.0)) ^ crest
    return hollow + raised - eyes.translate((0.35 * x, 0.0, 0.02 * z))


def cycle_helmet(size: Sizes) -> Manifold:
    """A cycling helmet of 230 mm: an open shell with twelve slots."""
    x, y, z, wall = size(115.0), size(82.0), size(80.0), size(3.0)
    dome = (_ball(x, y, z) - _ball(x - wall, y - wall, z - wall)).trim_by_plane((0.0, 0.0, 1.0), -0.12 * z)
    slot = extrude(rectangle(0.42 * x, 13.0), 200.0, rounded=6.0)
    places = [(a * 0.30 * x, b * 0.30 * y) for a in (-1.75, 0.0, 1.75) for b in (-1.5, -0.5, 0.5, 1.5)]
    return dome - union([slot.translate((along, across, 0.0)) for along, across in places])


def spout(size: Sizes) -> Manifold:
    """A swan-neck tap of 200 mm: a hollow pipe, open at its end, on a base with a lever."""
    pipe, wall, height, reach = size(11.0), size(1.7), size(120.0), size(90.0)
    path = smooth_curve(
        [
            (0.0, 0.0, 20.0),
            (0.0, 0.0, 0.55 * height),
            (0.12 * reach, 0.0, 0.95 * height),
            (0.50 * reach, 0.0, 1.14 * height),
            (0.88 * reach, 0.0, 0.95 * height),
            (reach, 0.0, 0.62 * height),
        ],
        steps=10,
    )
    end = path[-1] + 3.0 * (path[-1] - path[-2])
    base = disc(25.0, 8.0) + disc(17.0, 34.0, at=(0.0, 0.0, 6.0), top=14.0)
    lever = sweep(
        smooth_curve([(0.0, 8.0, 30.0), (0.0, 24.0, 34.0), (0.0, 46.0, 48.0), (0.0, 62.0, 52.0)]),
        size(5.0),
        squash=(1.5, 0.8),
    )
    bore = sweep(np.vstack([path[8:], end]), pipe - wall, segments=48)
    return union([base, sweep(path, pipe, segments=48), lever]) - bore


def bucket(size: Sizes) -> Manifold:
    """A bucket of 220 mm with a rolled rim and a bail; both walls."""
    rim, foot, height, wall = size(92.0), size(64.0), size(165.0), size(1.9)
    vessel, cavity = shell([(0.0, 0.0), (foot, 0.0), (rim, height)], wall)
    edge = disc(rim + 4.0, 7.0, at=(0.0, 0.0, height - 7.0)) - cavity
    turns = np.deg2rad(np.linspace(0.0, 180.0, 49))
    bail = np.array(
        [((rim + 2.0) * np.cos(a), 0.35 * rim * np.sin(a), height - 3.0 + 0.75 * rim * np.sin(a)) for a in turns]
    )
    return union([vessel, edge, sweep(bail, size(3.2)) - cavity])


def headset(size: Sizes) -> Manifold:
    """Headphones of 190 mm: a flat band over two hollow ear cups."""
    radius, height, cup, wall = size(78.0), size(92.0), size(34.0), size(2.0)
    turns = np.deg2rad(np.linspace(-8.0, 188.0, 57))
    band = sweep(
        np.array([(radius * np.cos(a), 0.0, height * np.sin(a)) for a in turns]), size(7.0), squash=(0.45, 1.7)
    )
    shape = disc(cup, 24.0, top=cup * 0.8) - disc(cup - wall, 21.0, at=(0.0, 0.0, -0.1), top=cup * 0.8 - wall)
    cushion = Manifold.sphere(1.0, 64).scale((cup * 1.08, cup * 1.08, 7.0)) - disc(
        cup - wall - 3.0, 40.0, at=(0.0, 0.0, -20.0)
    )
    ear = (shape + cushion).rotate((0.0, 90.0, 0.0)).translate((radius - 16.0, 0.0, -18.0))
    return union([band, ear, ear.mirror((1.0, 0.0, 0.0))])


def shelf(size: Sizes) -> Manifold:
    """A shelf of 200 mm with five compartments and a closed back, of boards 3 mm thick."""
    x, y, z, board = size(130.0), size(45.0), size(200.0), size(3.2)
    frame = block(x, y, z)
    half = (z - 4.0 * board) / 3.0
    low = block(x - 2.0 * board, y, half, at=(0.0, -board, board))
    narrow = (x - 3.0 * board) / 2.0
    cells = [low]
    for level, ratio in ((1, 0.5), (2, 0.38)):
        height = board + level * (half + board)
        left, right = 2.0 * ratio * narrow, 2.0 * (1.0 - ratio) * narrow
        cells.append(block(left, y, half, at=(-x / 2 + board + left / 2, -board, height)))
        cells.append(block(right, y, half, at=(x / 2 - board - right / 2, -board, height)))
    return frame - union(cells)


def bag(size: Sizes) -> Manifold:
    """A carrier bag of 210 mm: four soft walls that narrow to the top, and two loops."""
    x, y, z, wall = size(62.0), size(30.0), size(140.0), size(1.7)
    outer = extrude(rectangle(2 * x, 2 * y), z, rounded=14.0)
    inner = extrude(rectangle(2 * (x - wall), 2 * (y - wall)), z, rounded=12.0).translate((0.0, 0.0, wall))

    def soft(points: np.ndarray) -> np.ndarray:
        moved = points.copy()
        t = np.clip(points[:, 2] / z, 0.0, 1.0)
        moved[:, 0] *= 1.0 - 0.06 * t + 0.05 * np.sin(np.pi * t)
        moved[:, 1] *= 1.0 - 0.35 * t + 0.22 * np.sin(np.pi * t)
        return moved

    body = (outer - inner).refine_to_length(5.0).warp_batch(soft)
    loop = smooth_curve(
        [
            (-0.45 * x, 0.64 * y, 0.90 * z),
            (-0.42 * x, 0.62 * y, 1.20 * z),
            (0.0, 0.58 * y, 1.46 * z),
            (0.42 * x, 0.62 * y, 1.20 * z),
            (0.45 * x, 0.64 * y, 0.90 * z),
        ]
    )
    handle = sweep(loop, size(3.0), squash=(1.4, 0.8))
    return union([body, handle, handle.mirror((0.0, 1.0, 0.0))])


def jar(size: Sizes) -> Manifold:
    """A jar of 185 mm with a groove below its wide mouth and two knobs; both walls."""
    height, body, mouth, wall = size(185.0), size(44.0), size(37.0), size(1.6)
    curve = outline(
        (body * 0.95, 0.03 * height),
        (body, 0.10 * height),
        (body, 0.66 * height),
        (body * 0.96, 0.78 * height),
        (mouth * 0.92, 0.88 * height),
        (mouth, height),
        base=body * 0.85,
    )
    vessel, cavity = shell(curve, wall)
    knob = Manifold.sphere(9.0, 48).translate((body + 4.0, 0.0, 0.62 * height))
    return vessel + (ring(knob, 2) - cavity)


def ashtray(size: Sizes) -> Manifold:
    """An ashtray of 120 mm with a broad rim and three notches; both walls."""
    radius, height, wall = size(60.0), size(30.0), size(1.6)
    vessel, _ = shell([(0.0, 0.0), (radius * 0.72, 0.0), (radius * 0.86, height * 0.6), (radius * 0.88, height)], wall)
    rim = disc(radius, wall, at=(0.0, 0.0, height - wall)) - disc(radius * 0.80, 20.0, at=(0.0, 0.0, height - 10.0))
    notch = disc(5.5, 40.0, segments=48).rotate((0.0, 90.0, 0.0)).translate((radius * 0.7, 0.0, height + 1.5))
    return vessel + rim - ring(notch, 3)


def eraser(size: Sizes) -> Manifold:
    """A blackboard eraser of 130 mm: a felt block under a curved wooden grip."""
    x, y, z = size(130.0), size(50.0), size(22.0)
    felt = extrude(rectangle(x, y), z, rounded=4.0)
    grip = (disc(38.0, 0.86 * x).rotate((0.0, 90.0, 0.0)).translate((-0.43 * x, 0.0, z - 14.0))) ^ block(
        x, 0.72 * y, 40.0, at=(0.0, 0.0, z - 1.0)
    )
    groove = sweep(np.array([(-x, 0.0, 0.0), (x, 0.0, 0.0)]), 4.0)
    grooves = groove.translate((0.0, 0.36 * y, z + 10.0)) + groove.translate((0.0, -0.36 * y, z + 10.0))
    return felt + grip - grooves


def microphone(size: Sizes) -> Manifold:
    """A hand microphone of 200 mm: a round head, a collar and a hollow, tapering handle, open below."""
    head, grip, length, wall = size(31.0), size(19.0), size(140.0), size(1.8)
    outer = disc(grip * 0.72, length, top=grip).translate((0.0, 0.0, -length))
    bore = disc(grip * 0.72 - wall, length - 8.0, top=grip - wall).translate((0.0, 0.0, -length - 0.1))
    collar = disc(head * 0.82, 9.0, at=(0.0, 0.0, -4.0))
    ball = _ball(head, head, head * 1.12).translate((0.0, 0.0, head * 0.95))
    switch = block(9.0, 6.0, 22.0, at=(0.0, grip * 0.95, -46.0))
    return union([outer, collar, ball, switch]) - bore


def tray(size: Sizes) -> Manifold:
    """A serving tray of 240 mm with a raised border and two grip openings; both walls."""
    x, y, z, wall = size(230.0), size(150.0), size(34.0), size(2.0)
    outer = extrude(rectangle(x, y), z, rounded=26.0)
    inner = extrude(rectangle(x - 2 * wall, y - 2 * wall), z, rounded=23.0).translate((0.0, 0.0, wall))
    grip = (
        extrude(rectangle(58.0, 13.0), 30.0, rounded=6.0).rotate((90.0, 0.0, 90.0)).translate((x / 2 - 15.0, 0.0, 20.0))
    )
    return outer - inner - grip - grip.mirror((1.0, 0.0, 0.0))


def dish(size: Sizes) -> Manifold:
    """A plate of 210 mm with a sunk middle, a sloping rim and a foot ring; both walls."""
    radius, height, wall = size(105.0), size(24.0), size(1.8)
    curve = [(0.0, 0.0), (radius * 0.58, 0.0), (radius * 0.68, height * 0.42), (radius, height)]
    stand = disc(radius * 0.5, 6.0, at=(0.0, 0.0, -5.0)) - disc(radius * 0.5 - 3.5, 8.0, at=(0.0, 0.0, -6.0))
    return shell(curve, wall)[0] + stand
