"""Parts that are turned, blown or thrown: vessels and discs."""

from __future__ import annotations

import numpy as np
from manifold3d import Manifold

from dusnet.synthesis.solids import Sizes, disc, revolve, ring, shell, smooth_curve, sweep, union
from dusnet.synthesis.surface import Floats


def outline(*points: tuple[float, float], base: float) -> list[tuple[float, float]]:
    """From the middle of the bottom out to `base` and up a smooth curve through `points`."""
    curve: Floats = smooth_curve([(base, 0.0), *points], steps=10)
    return [(0.0, 0.0), *((float(r), float(z)) for r, z in curve)]


def bottle(size: Sizes, thickness: float = 2.2) -> Manifold:
    """A narrow-necked bottle, 180 mm high, with a ring under its mouth; both walls."""
    height, body, neck, wall = size(180.0), size(32.0), size(13.0), size(thickness)
    shoulder = size(0.62) * height
    curve = outline(
        (body * 0.97, 0.02 * height),
        (body, 0.06 * height),
        (body, 0.30 * height),
        (body, 0.55 * height),
        (body * 0.93, shoulder),
        (neck * 1.35, 0.78 * height),
        (neck, 0.85 * height),
        (neck, height),
        base=body * 0.86,
    )
    vessel, cavity = shell(curve, wall)
    collar = revolve(
        [
            (neck * 0.8, 0.90 * height),
            (neck + 3.0, 0.905 * height),
            (neck + 3.0, 0.925 * height),
            (neck * 0.8, 0.93 * height),
        ]
    )
    return vessel + (collar - cavity)


def bowl(size: Sizes, thickness: float = 3.5) -> Manifold:
    """A bowl of 150 mm with a foot ring; both walls."""
    rim, height, foot, wall = size(75.0), size(58.0), size(30.0), size(thickness)
    curve = outline(
        (foot * 1.25, 0.06 * height),
        (rim * 0.72, 0.30 * height),
        (rim * 0.92, 0.64 * height),
        (rim, height),
        base=foot * 1.02,
    )
    vessel, _ = shell(curve, wall)
    stand = revolve([(foot - 4.0, -size(7.0)), (foot, -7.0), (foot * 1.03, 1.0), (foot - 4.0, 1.0)])
    return vessel + stand


def cup(size: Sizes, thickness: float = 3.5) -> Manifold:
    """A mug of 95 mm with an ear-shaped handle; both walls."""
    radius, height, wall = size(41.0), size(95.0), size(thickness)
    reach, grip = size(31.0), size(6.0)
    curve = outline(
        (radius * 0.98, 0.04 * height),
        (radius, 0.12 * height),
        (radius, 0.5 * height),
        (radius, height),
        base=radius * 0.88,
    )
    vessel, cavity = shell(curve, wall)
    path = smooth_curve(
        [
            (radius - 3.0, 0.0, 0.80 * height),
            (radius + 0.55 * reach, 0.0, 0.83 * height),
            (radius + reach, 0.0, 0.62 * height),
            (radius + 0.85 * reach, 0.0, 0.38 * height),
            (radius + 0.35 * reach, 0.0, 0.23 * height),
            (radius - 3.0, 0.0, 0.20 * height),
        ],
        steps=8,
    )
    handle = sweep(path, grip, squash=(1.25, 0.75))
    return vessel + (handle - cavity)


def vase(size: Sizes, thickness: float = 3.5) -> Manifold:
    """A vase of 170 mm with a belly, a waist and a flared lip; both walls."""
    height, belly, waist, lip, wall = size(170.0), size(52.0), size(20.0), size(36.0), size(thickness)
    curve = outline(
        (belly * 0.80, 0.10 * height),
        (belly, 0.33 * height),
        (belly * 0.78, 0.56 * height),
        (waist, 0.78 * height),
        (waist * 1.12, 0.88 * height),
        (lip, height),
        base=belly * 0.55,
    )
    return shell(curve, wall)[0]


def funnel(size: Sizes) -> Manifold:
    """A funnel of 120 mm with a hanging lug; open at both ends."""
    rim, stem, wall = size(55.0), size(8.0), size(2.5)
    cone, pipe = size(60.0), size(55.0)
    outer = [(stem, 0.0), (stem * 1.25, pipe), (rim, pipe + cone), (rim, pipe + cone + 8.0)]
    inner = [(r - wall, z) for r, z in outer]
    body = revolve([*outer, *reversed(inner)])
    lug = disc(9.0, 3.0, at=(rim + 6.0, 0.0, pipe + cone + 4.0)) - disc(4.5, 9.0, at=(rim + 7.0, 0.0, pipe + cone))
    cavity = disc(rim - wall, 20.0, at=(0.0, 0.0, pipe + cone))
    return body + (lug - cavity)


def flange(size: Sizes) -> Manifold:
    """A welding-neck flange of 150 mm with six bolt holes, a raised face and a bore."""
    outer, thickness, bore, neck, height = size(75.0), size(16.0), size(27.0), size(34.0), size(46.0)
    circle, hole, face = size(57.0), size(8.0), size(46.0)
    body = revolve(
        [
            (bore, -3.0),
            (face, -3.0),
            (face, 0.0),
            (outer, 0.0),
            (outer, thickness),
            (neck + 10.0, thickness),
            (neck + 4.0, thickness + 6.0),
            (neck, height),
            (bore, height),
        ]
    )
    return body - ring(disc(hole, 60.0, at=(circle, 0.0, -10.0)), 6)


def pulley(size: Sizes) -> Manifold:
    """A two-groove V-belt pulley of 120 mm with a hub, four openings and a keyed bore."""
    outer, width, groove, hub, bore = size(60.0), size(34.0), size(10.0), size(20.0), size(9.0)
    half = width / 2.0
    profile = [(bore, -half), (outer, -half)]
    for middle in (-half / 2.0, half / 2.0):
        profile += [
            (outer, middle - 6.5),
            (outer - groove, middle - 2.5),
            (outer - groove, middle + 2.5),
            (outer, middle + 6.5),
        ]
    profile += [(outer, half), (bore, half)]
    body = revolve(profile)
    rim = outer - groove - 6.0
    web = 6.0
    pocket = revolve([(hub, web), (rim, web), (rim + 1.0, half + 1.0), (hub, half + 1.0)])
    other = pocket.mirror((0.0, 0.0, 1.0))
    openings = ring(disc(8.0, 40.0, at=((hub + rim) / 2.0, 0.0, -20.0)), 4)
    key = Manifold.cube((5.0, 6.0, width + 4.0), True).translate((0.0, bore + 0.5, 0.0))
    return body - union([pocket, other, openings, key])


def handwheel(size: Sizes) -> Manifold:
    """A valve handwheel of 140 mm: rim, five curved spokes and a square-bored hub."""
    radius, grip, hub, height = size(62.0), size(7.5), size(15.0), size(22.0)
    angles = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    rim = revolve([(radius + grip * float(np.cos(a)), 16.0 + grip * float(np.sin(a))) for a in angles])
    path = smooth_curve(
        [(hub * 0.6, 0.0, 9.0), (0.45 * radius, -5.0, 6.0), (0.72 * radius, -2.0, 9.0), (radius, 0.0, 16.0)], steps=8
    )
    spokes = ring(sweep(path, size(5.0), squash=(1.3, 0.8), segments=28), 5)
    core = disc(hub, height, top=hub * 0.85)
    square = Manifold.cube((12.0, 12.0, 90.0), True)
    return union([rim, spokes, core]) - square
