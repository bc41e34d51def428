"""Small cast toys: closed bodies of 22 to 38 mm, two thirds of them flat, with fine relief.

Their sizes and proportions are those of the parts of Real3D-AD as its records give them (class sizes 22-38 mm, eight of
twelve with a thickness of .1 to .4 of the length); their forms are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dusnet.io import Mesh
from dusnet.synthesis.level_sets import Field, surface_net
from dusnet.synthesis.relief import Relief, grain, knobs, ribs, scales
from dusnet.synthesis.surface import Floats

_CELL = 0.022
"""Edge of the cells of a toy's mesh, fraction of half its length."""


@dataclass(frozen=True)
class Toy:
    """A toy.

    Attributes:
        field: its body, lying flat: z is up when it rests on one of its two sides.
        half: half of the extents of a box around the middle that holds it, (3,) mm.
        relief: what is finer than the body; of both sides unless it says otherwise.
    """

    field: Field
    half: Floats
    relief: Relief

    def mesh(self) -> Mesh:
        """The surface of the body without its relief, about 10,000 to 60,000 triangles."""
        return surface_net(self.field, -self.half, self.half, _CELL * float(self.half.max()))


# Bodies ---------------------------------------------------------------------------------------------------------------


def _ellipsoid(
    x: float, y: float, z: float, at: tuple[float, float, float] = (0.0, 0.0, 0.0), turn: float = 0.0
) -> Field:
    """Half axes, middle, turn about z in degrees; the distance is an approximation that is exact on the surface."""
    axes, c, s = np.array([x, y, z]), np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    matrix = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def field(points: Floats) -> Floats:
        local = (points - np.array(at)) @ matrix
        near = np.linalg.norm(local / axes, axis=1)
        slope = np.linalg.norm(local / axes**2, axis=1)
        return np.asarray(near * (near - 1.0) / np.maximum(slope, 1e-9))

    return field


def _capsule(
    start: tuple[float, float, float], end: tuple[float, float, float], radius: float, far: float | None = None
) -> Field:
    """A rod with round ends, `far` thick at its end where that differs."""
    a, b = np.array(start), np.array(end)
    last = radius if far is None else far

    def field(points: Floats) -> Floats:
        t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0)
        return np.asarray(np.linalg.norm(points - a - t[:, None] * (b - a), axis=1) - radius - t * (last - radius))

    return field


def _box(x: float, y: float, z: float, rounded: float, at: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Field:
    """Half extents, radius of the edges, middle."""

    def field(points: Floats) -> Floats:
        beyond = np.abs(points - np.array(at)) - (np.array([x, y, z]) - rounded)
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=1)
        return np.asarray(outside + np.minimum(beyond.max(axis=1), 0.0) - rounded)

    return field


def _union(soft: float, *fields: Field) -> Field:
    """Bodies grown together with fillets of about `soft` mm (smooth minimum, I. Quilez)."""

    def field(points: Floats) -> Floats:
        total = fields[0](points)
        for one in fields[1:]:
            other = one(points)
            mix = np.clip(0.5 + 0.5 * (other - total) / soft, 0.0, 1.0)
            total = other * (1.0 - mix) + total * mix - soft * mix * (1.0 - mix)
        return total

    return field


def _common(soft: float, *fields: Field) -> Field:
    """What is in all bodies, with edges rounded by about `soft` mm."""
    negative = _union(soft, *[lambda p, f=f: -f(p) for f in fields])
    return lambda points: -negative(points)


def _without(soft: float, body: Field, *gone: Field) -> Field:
    return _common(soft, body, *[lambda p, f=f: -f(p) for f in gone])


def _mirrored(field: Field) -> Field:
    """A body and its mirror image across y = 0: the points of one side ask for both."""

    def both(points: Floats) -> Floats:
        folded = points.copy()
        folded[:, 1] = np.abs(folded[:, 1])
        return field(folded)

    return both


def _pillow(outline: Callable[[Floats], Floats], thick: float, edge: float, power: float = 2.0) -> Field:
    """A flat body: full thickness `thick` (half of it above z = 0) from `edge` mm inside of the outline on.

    Args:
        outline: angle (N,) -> radius (N,) mm.
        thick: mm.
        edge: mm.
        power: 2 is a round edge, more is a steeper one.
    """

    def field(points: Floats) -> Floats:
        radius = np.hypot(points[:, 0], points[:, 1])
        depth = np.clip((outline(np.arctan2(points[:, 1], points[:, 0])) - radius) / edge, -3.0, 1.0)
        inner = 1.0 - np.maximum(depth, 0.0)
        height = 0.5 * thick * (1.0 - inner**power) ** (1.0 / power)
        return np.where(depth > 0.0, np.abs(points[:, 2]) - height, np.abs(points[:, 2]) - edge * depth)

    return field


def _lobes(radius: float, depth: float, count: int, sharp: float = 1.0) -> Callable[[Floats], Floats]:
    """An outline with `count` lobes; `sharp` above 1 makes narrow lobes."""

    def outline(angle: Floats) -> Floats:
        wave = (0.5 + 0.5 * np.cos(count * angle)) ** sharp
        return np.asarray(radius * (1.0 - depth + depth * wave))

    return outline


# Toys -----------------------------------------------------------------------------------------------------------------


def _glider() -> Toy:
    wing = _ellipsoid(4.2, 15.0, 1.3, (1.0, 0.0, 0.6))
    tail = _ellipsoid(2.6, 6.2, 1.0, (-13.0, 0.0, 0.8))
    body = _ellipsoid(17.0, 5.0, 5.2, (0.0, 0.0, 0.8))
    cabin = _ellipsoid(5.0, 2.8, 2.5, (6.0, 0.0, 4.6))
    return Toy(
        _union(1.2, body, wing, tail, cabin), np.array([18.0, 16.0, 8.0]), grain(11, 0.0021) + ribs(2, 0.10, 0.0021, 1)
    )


def _bar() -> Toy:
    body = _box(16.5, 9.5, 3.6, 2.2)
    cushion = _ellipsoid(14.0, 7.5, 5.0)
    return Toy(_union(1.5, body, cushion), np.array([17.5, 11.0, 6.0]), grain(12, 0.0014) + ribs(0, 0.16, 0.0035, 3))


def _roadster() -> Toy:
    body = _union(2.0, _box(17.0, 7.5, 3.4, 2.6), _ellipsoid(8.0, 6.5, 6.0, (-2.0, 0.0, 2.5)))
    wheels = [_mirrored(_ellipsoid(3.6, 1.9, 3.6, (x, 8.0, -2.4))) for x in (-10.0, 10.0)]
    arches = [_mirrored(_ellipsoid(4.6, 1.0, 4.6, (x, 8.6, -2.4))) for x in (-10.0, 10.0)]
    return Toy(_union(0.4, _without(0.5, body, *arches), *wheels), np.array([18.0, 11.0, 9.0]), grain(13, 0.0017))


def _chick() -> Toy:
    body = _union(2.0, _ellipsoid(10.5, 7.0, 7.5), _ellipsoid(4.4, 3.8, 4.4, (8.0, 0.0, 5.5)))
    tail = _ellipsoid(5.5, 3.4, 5.0, (-9.0, 0.0, 3.5), 0.0)
    beak = _capsule((11.0, 0.0, 5.5), (14.0, 0.0, 4.6), 1.4, 0.4)
    wing = _mirrored(_ellipsoid(5.5, 1.4, 3.6, (-1.0, 6.6, 0.8), -8.0))
    foot = _box(5.0, 4.0, 1.0, 0.8, (0.0, 0.0, -7.4))
    return Toy(
        _union(0.9, body, tail, wing, beak, foot), np.array([15.5, 9.5, 11.0]), grain(14, 0.0024) + scales(0.10, 0.0021)
    )


def _brilliant() -> Toy:
    def field(points: Floats) -> Floats:
        turn = np.deg2rad(45.0 * np.arange(8))
        sides = np.stack([np.cos(turn), np.sin(turn)])
        flat = points[:, :2] @ sides
        skew = points[:, :2] @ np.stack([np.cos(turn + 0.39), np.sin(turn + 0.39)])
        crown = (0.75 * skew + 0.66 * points[:, 2:] - 12.2).max(axis=1)
        below = (0.62 * flat - 0.78 * points[:, 2:] - 9.2).max(axis=1)
        return np.maximum.reduce([flat.max(axis=1) - 13.6, crown, below, points[:, 2] - 6.4, -points[:, 2] - 11.0])

    return Toy(field, np.array([15.0, 15.0, 11.5]), grain(15, 0.0007))


def _drake() -> Toy:
    body = _union(2.5, _ellipsoid(13.0, 9.0, 7.5, (0.0, 0.0, -4.0)), _ellipsoid(6.0, 5.4, 5.6, (7.0, 0.0, 7.0)))
    bill = _ellipsoid(3.6, 2.8, 1.0, (13.5, 0.0, 6.0))
    wing = _mirrored(_ellipsoid(7.0, 1.6, 4.0, (-3.0, 8.4, -2.5), -10.0))
    tail = _ellipsoid(4.0, 4.0, 1.8, (-13.0, 0.0, 0.0))
    return Toy(_union(0.9, body, bill, wing, tail), np.array([18.5, 12.5, 14.0]), grain(16, 0.0017))


def _carp() -> Toy:
    body = _ellipsoid(15.0, 8.0, 2.0, (2.0, 0.0, 0.0))
    fins = [_ellipsoid(5.5, 2.2, 1.1, (-15.0, y, 0.0), turn) for y, turn in ((4.4, -40.0), (-4.4, 40.0))]
    back = _ellipsoid(6.0, 2.4, 1.0, (1.0, 8.4, 0.0), -6.0)
    belly = _ellipsoid(3.4, 2.0, 0.9, (-3.0, -8.0, 0.0), 25.0)
    stalk = _ellipsoid(6.0, 2.4, 1.3, (-11.0, 0.0, 0.0))
    return Toy(
        _union(0.8, body, stalk, *fins, back, belly),
        np.array([20.5, 12.5, 3.5]),
        grain(17, 0.0014) + scales(0.12, 0.0042),
    )


def _crystal() -> Toy:
    def field(points: Floats) -> Floats:
        rng = np.random.default_rng(18)
        normals = rng.normal(size=(18, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        scaled = points / np.array([11.2, 9.4, 8.5])
        return np.asarray(8.5 * (scaled @ normals.T - rng.uniform(0.82, 0.95, 18)).max(axis=1))

    return Toy(field, np.array([12.5, 11.0, 10.0]), grain(18, 0.0021))


def _hippocamp() -> Toy:
    t = np.linspace(0.0, 1.0, 15)
    x = 19.0 - 36.0 * t
    y = 3.0 * np.sin(2.0 * np.pi * (t - 0.1)) + 2.2 * t
    thick = 2.1 - 1.3 * t + 0.9 * np.exp(-(((t - 0.42) / 0.16) ** 2))
    pieces = [
        _capsule((x[i], y[i], 0.0), (x[i + 1], y[i + 1], 0.0), float(thick[i]), float(thick[i + 1])) for i in range(14)
    ]
    snout = _capsule((17.5, -1.0, 0.0), (15.0, -6.0, 0.0), 1.5, 0.8)
    fin = _ellipsoid(3.2, 1.8, 0.7, (2.0, 5.6, 0.0), 15.0)
    flat: Field = lambda points: _union(1.0, *pieces, snout, fin)(points * np.array([1.0, 1.0, 1.15]))  # noqa: E731
    return Toy(flat, np.array([22.0, 8.5, 3.5]), grain(19, 0.0014) + ribs(0, 0.09, 0.0035, 0))


def _scallop() -> Toy:
    def outline(angle: Floats) -> Floats:
        fan = 10.8 * (1.0 - 0.10 * np.cos(angle) ** 3) - 0.35 * np.cos(11.0 * angle)
        return np.asarray(fan)

    dome = _pillow(outline, 7.4, 9.0)
    hinge = _box(2.2, 4.2, 1.2, 0.8, (-9.5, 0.0, 0.0))
    return Toy(_union(1.0, dome, hinge), np.array([12.5, 12.5, 4.6]), grain(20, 0.0014) + ribs(0, 13.0, 0.0056, 2))


def _star() -> Toy:
    body = _pillow(_lobes(14.0, 0.62, 5, 1.4), 4.8, 5.0)
    return Toy(body, np.array([14.6, 14.6, 3.0]), grain(21, 0.0017) + knobs(21, 90, 0.05, 0.0063))


def _toffee() -> Toy:
    body = _ellipsoid(10.0, 5.4, 5.0)
    ends = [_ellipsoid(5.0, 5.8, 1.6, (sign * 14.0, 0.0, 0.0)) for sign in (-1.0, 1.0)]
    neck = _capsule((-12.0, 0.0, 0.0), (12.0, 0.0, 0.0), 2.2)
    return Toy(_union(0.8, body, neck, *ends), np.array([19.5, 6.6, 5.8]), grain(22, 0.0021) + ribs(0, 0.13, 0.0028, 1))


def _butterfly() -> Toy:
    wings = [
        _mirrored(_ellipsoid(*size))
        for size in ((7.5, 6.0, 1.5, (5.0, 8.5, 0.0), 35.0), (6.0, 5.0, 1.4, (-6.0, 6.5, 0.0), -30.0))
    ]
    body = _ellipsoid(11.0, 1.9, 2.2)
    return Toy(_union(0.8, body, *wings), np.array([13.5, 16.0, 2.8]), grain(23, 0.0014) + ribs(0, 17.0, 0.0035, 2))


def _leaf() -> Toy:
    blade = _ellipsoid(16.0, 8.5, 1.7)
    stalk = _capsule((-14.0, 0.0, 0.0), (-19.0, 1.5, 0.0), 1.1, 0.9)
    vein = _capsule((-15.0, 0.0, 1.2), (13.0, 0.0, 1.0), 0.9, 0.4)
    return Toy(
        _union(0.6, blade, stalk, vein), np.array([20.5, 9.5, 3.0]), grain(24, 0.0014) + ribs(1, 0.15, 0.0035, 0)
    )


def _heart() -> Toy:
    halves = _mirrored(_ellipsoid(11.5, 6.6, 3.6, (0.5, 4.4, 0.0), 32.0))
    return Toy(_union(1.0, halves), np.array([12.5, 14.0, 4.4]), grain(25, 0.0018) + knobs(25, 24, 0.07, 0.0042))


def _biscuit() -> Toy:
    body = _pillow(_lobes(13.0, 0.09, 12), 4.6, 2.2, 3.0)
    return Toy(body, np.array([13.6, 13.6, 3.0]), grain(26, 0.0021) + knobs(26, 40, 0.06, 0.0049))


def _turtle() -> Toy:
    shell = _pillow(_lobes(10.5, 0.05, 6), 9.0, 10.0)
    cut = _common(0.8, shell, _box(12.0, 12.0, 4.0, 1.0, (0.0, 0.0, 2.2)))
    legs = [_mirrored(_ellipsoid(4.4, 2.4, 1.4, (x, 8.0, -0.6), turn)) for x, turn in ((7.5, 35.0), (-7.0, -35.0))]
    head = _ellipsoid(4.0, 2.8, 2.3, (12.5, 0.0, 0.6))
    tail = _capsule((-10.0, 0.0, -0.6), (-13.5, 0.0, -0.8), 1.2, 0.5)
    return Toy(
        _union(0.8, cut, *legs, head, tail), np.array([17.5, 13.0, 5.6]), grain(27, 0.0017) + scales(0.22, 0.0049)
    )


def _whale() -> Toy:
    body = _union(
        2.0, _ellipsoid(13.0, 6.4, 4.2, (3.0, 0.0, 0.0)), _capsule((-6.0, 0.0, 0.0), (-15.0, 0.0, 0.4), 3.2, 1.2)
    )
    fluke = _mirrored(_ellipsoid(2.2, 4.6, 1.0, (-16.0, 3.4, 0.5), -25.0))
    fin = _mirrored(_ellipsoid(2.2, 4.6, 0.9, (4.0, 7.0, -1.2), 30.0))
    return Toy(_union(0.9, body, fluke, fin), np.array([19.0, 12.5, 5.0]), grain(28, 0.001) + ribs(1, 0.10, 0.0021, -1))


TOYS: dict[str, Callable[[], Toy]] = {
    "bar": _bar,
    "biscuit": _biscuit,
    "brilliant": _brilliant,
    "butterfly": _butterfly,
    "carp": _carp,
    "chick": _chick,
    "crystal": _crystal,
    "drake": _drake,
    "glider": _glider,
    "heart": _heart,
    "hippocamp": _hippocamp,
    "leaf": _leaf,
    "roadster": _roadster,
    "scallop": _scallop,
    "star": _star,
    "toffee": _toffee,
    "turtle": _turtle,
    "whale": _whale,
}
"""Every toy by its name."""
