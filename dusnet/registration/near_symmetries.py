"""Motions that leave most of a part where it was: between such poses only what little differs can decide.

A jar with a small mark can be turned about its axis, and a toy of which both sides look alike turned over; a search
that looks at the whole of a scan ends in any of these poses. They are found once per reference: axes are those of the
principal directions, and the one that the surface can best be turned about without leaving itself (the slippage of
Gelfand and Guibas, "Shape Segmentation Using Local Slippage Analysis", SGP 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dusnet.geometry.surface import DiscSurface
from dusnet.registration.icp import rotations, transform
from dusnet.registration.sweep import trimmed

Array = NDArray[np.float64]

_STEPS = 72  # of a whole turn about an axis
_ANGLES = 2 * np.pi * np.arange(1, _STEPS) / _STEPS
_NEARLY_ALL = 0.8  # share of the angles by which a part of revolution can be turned
_KEEP = 0.8  # share of the part that has to lie on the part after a motion
_ALIKE = 0.008  # mean distance by which it may lie worse than before, of the scale
_SAME = 0.03  # mean displacement of the points below which two motions are one, of the scale
_MOST = 144  # motions of a part
_PARALLEL = 0.99  # cosine from which on two axes are one
_LOOKED_AT = 250  # points that are moved
_BEYOND = 0.1  # distance that is not told from a greater one
_REFITS = 5  # of the axis, without what does not turn with the rest


@dataclass(frozen=True)
class NearSymmetries:
    """What nearly keeps a reference, in the normalised frame.

    Attributes:
        motions: (S, 4, 4) float64, without the identity. Turns by a few degrees, which ICP undoes, are among them for
            most parts.
        axis: direction and a point of the axis about which most of the part can be turned by any angle; None for most
            parts.
    """

    motions: Array
    axis: tuple[Array, Array] | None

    @classmethod
    def of(cls, surface: DiscSurface) -> NearSymmetries:
        """Those of a reference of evenly spread points."""
        points = surface.points
        middle = points.mean(axis=0)
        principal = np.linalg.svd(points - middle, full_matrices=False)[2]
        axes = [(axis, middle) for axis in principal]
        slipping = _axis_of_turning(points, surface.normals)
        if slipping is not None:
            axes = [slipping, *(one for one in axes if abs(one[0] @ slipping[0]) < _PARALLEL)]
        about = [_kept(surface, turns(*axis, _ANGLES)) for axis in axes]
        revolves = slipping is not None and len(about[0]) >= _NEARLY_ALL * len(_ANGLES)
        found = np.concatenate(about)
        # Turned over about one axis and then turned about another: neither alone.
        both = [np.einsum("aij,bjk->abik", one, other).reshape(-1, 4, 4) for one, other in combinations(about, 2)]
        both = [_kept(surface, pairs[:: 1 + len(pairs) // _MOST]) for pairs in both]
        motions = _distinct(surface, np.concatenate([found, *both]))[:_MOST]
        return cls(motions, slipping if revolves else None)


def turns(axis: Array, through: Array, angles: Array) -> Array:
    """Motions that turn about an axis, (A, 4, 4).

    Args:
        axis: unit vector, (3,).
        through: a point of the axis, (3,).
        angles: radians, (A,).
    """
    motions = np.tile(np.eye(4), (len(angles), 1, 1))
    motions[:, :3, :3] = rotations(angles[:, None] * axis)
    motions[:, :3, 3] = through - motions[:, :3, :3] @ through
    return motions


def _few(surface: DiscSurface) -> Array:
    return surface.points[:: max(1, len(surface.points) // _LOOKED_AT)]


def _kept(surface: DiscSurface, motions: Array) -> Array:
    """Those after which most of the part lies on the part."""
    few = _few(surface)
    ends = transform(motions, few)
    gaps = surface.distance(ends.reshape(-1, 3), _BEYOND).clip(max=_BEYOND).reshape(ends.shape[:2])
    return motions[trimmed(gaps, _KEEP) <= trimmed(surface.distance(few), _KEEP) + _ALIKE]


def _distinct(surface: DiscSurface, motions: Array) -> Array:
    """Those that differ from each other and from the identity."""
    few = _few(surface)
    ends = transform(np.concatenate([np.eye(4)[None], motions]), few)
    chosen = [0]
    for number in range(1, len(ends)):
        if (np.linalg.norm(ends[chosen] - ends[number], axis=2).mean(axis=1) > _SAME).all():
            chosen.append(number)
    return motions[np.array(chosen[1:], dtype=int) - 1]


def _axis_of_turning(points: Array, normals: Array) -> tuple[Array, Array] | None:
    """Direction and a point of the axis about which the surface leaves itself least, None where it shifts instead."""
    weight = np.ones(len(points))
    turn = shift = np.zeros(3)
    arms = np.concatenate([np.cross(points, normals), normals], axis=1)
    for _ in range(_REFITS):
        _, vectors = np.linalg.eigh((arms * weight[:, None]).T @ arms)
        turn, shift = vectors[:3, 0], vectors[3:, 0]
        across = np.abs(arms @ vectors[:, 0])
        cutoff = max(3 * 1.4826 * float(np.median(across)), 1e-6)
        weight = np.square(np.maximum(1 - np.square(across / cutoff), 0))
    size = float(np.linalg.norm(turn))
    if size < 0.5:  # a shift: the surface of a long rod
        return None
    axis = turn / size
    return axis, np.cross(turn, shift) / size**2
