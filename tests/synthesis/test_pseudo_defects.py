from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.spatial import cKDTree

from dusnet.errors import BadInput
from dusnet.io import sample_mesh
from dusnet.synthesis.pseudo_defects import KINDS, RIM, SHARE, Footprint, PseudoDefect, pseudo_defects
from dusnet.synthesis.shapes import make_part

Floats = NDArray[np.float64]
REMOVING = ("cut", "hole", "crack")
DISPLACING = ("bulge", "dent", "ridge", "trench", "shear", "step")


@cache
def part(name: str = "flange", count: int = 6000) -> tuple[Floats, Floats]:
    """A part of radius 1 whose normals have random signs."""
    points, normals = sample_mesh(make_part(name, np.random.default_rng(0), 0.0), count, np.random.default_rng(1))
    points = points - points.mean(axis=0)
    signs = np.random.default_rng(2).choice((-1.0, 1.0), size=(count, 1))
    return points / np.linalg.norm(points, axis=1).max(), normals * signs


def plane(count: int = 20_000, height: float = 0.0) -> tuple[Floats, Floats]:
    """A square of side 2 with normals of random signs."""
    generator = np.random.default_rng(3)
    points = np.column_stack([generator.uniform(-1, 1, (count, 2)), np.full(count, height)])
    return points, np.outer(generator.choice((-1.0, 1.0), size=count), (0.0, 0.0, 1.0))


def wall(thickness: float) -> tuple[Floats, Floats]:
    """Two parallel squares."""
    (lower, down), (upper, up) = plane(), plane(height=thickness)
    return np.concatenate([lower, upper]), np.concatenate([down, up])


def moved(defect: PseudoDefect) -> Floats:
    return np.linalg.norm(defect.points - defect.clean, axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["flange", "hook"])
def test_every_point_is_accounted_for(kind: str, name: str) -> None:
    points, normals = part(name)
    generator = np.random.default_rng(4)
    for _ in range(5):
        made = pseudo_defects(points, normals, generator, kind=kind)
        assert made.kind == kind
        assert np.array_equal(made.clean, points[made.index])
        assert (np.diff(made.index) > 0).all()
        together = np.concatenate([made.clean, made.removed])
        assert np.array_equal(np.unique(together, axis=0), np.unique(points, axis=0))
        assert SHARE[0] <= made.mask.mean() <= SHARE[1]
        if kind in DISPLACING:
            assert not len(made.removed)
            assert moved(made).max() <= 0.10 + 1e-12
        if kind in ("cut", "hole"):
            assert len(made.removed)


@pytest.mark.parametrize("kind", DISPLACING)
def test_mask_is_where_points_moved_far(kind: str) -> None:
    # With one amplitude allowed its size is known to the test.
    made = pseudo_defects(*plane(), np.random.default_rng(5), kind=kind, amplitude=(0.05, 0.05))
    far = moved(made) > 0.15 * 0.05
    assert np.array_equal(made.mask, far)
    assert moved(made).max() == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize("kind", REMOVING)
def test_mask_holds_the_rim_of_what_is_gone(kind: str) -> None:
    points, normals = part()
    spacing = np.median(cKDTree(points).query(points, 4)[0][:, 3])
    generator = np.random.default_rng(6)
    seen = 0
    for _ in range(6):
        made = pseudo_defects(points, normals, generator, kind=kind)
        if not len(made.removed):
            continue
        seen += 1
        apart = np.linalg.norm(made.clean[:, None] - made.removed[None], axis=2).min(axis=1)
        assert made.mask[apart <= 0.9 * RIM * spacing].all()
        assert not made.mask[(apart > 1.1 * RIM * spacing) & (moved(made) == 0)].any()
    assert seen >= 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cut"])
def test_the_other_side_of_a_wall_stays(kind: str) -> None:
    thickness = 0.03  # two point spacings
    points, normals = wall(thickness)
    generator = np.random.default_rng(7)
    for _ in range(5):
        made = pseudo_defects(points, normals, generator, kind=kind)
        lower = np.isin(np.arange(len(points)), made.index[moved(made) > 0])
        lower |= ~np.isin(np.arange(len(points)), made.index)
        assert lower.any()
        sides = np.unique(points[lower, 2])
        assert len(sides) == 1
        if kind in ("dent", "trench"):
            # Into the wall, by at most half of it.
            inwards = 1.0 if sides[0] == 0.0 else -1.0
            heights = (made.points - made.clean)[:, 2] * inwards
            assert heights.min() >= 0.0
            assert 0.0 < heights.max() <= 0.5 * thickness + 1e-12


def test_signs_agree_over_the_footprint() -> None:
    generator = np.random.default_rng(8)
    for kind in ("bulge", "trench", "step"):
        made = pseudo_defects(*plane(), generator, kind=kind)
        heights = (made.points - made.clean)[made.mask, 2]
        assert (np.sign(heights) == np.sign(heights[0])).all()


def test_dents_of_a_ball_go_inwards() -> None:
    normals = np.random.default_rng(9).normal(size=(8000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    signs = np.random.default_rng(10).choice((-1.0, 1.0), size=(8000, 1))
    for kind, sign in (("bulge", 1), ("ridge", 1), ("dent", -1), ("trench", -1)):
        made = pseudo_defects(normals, normals * signs, np.random.default_rng(11), kind=kind)
        growth = np.linalg.norm(made.points, axis=1) - np.linalg.norm(made.clean, axis=1)
        assert (sign * growth[made.mask] > 0).all()


def test_falloff_against_its_definition() -> None:
    generator = np.random.default_rng(12)
    along, across = generator.uniform(-0.4, 0.4, (2, 500))
    for profile, power in (("cosine", 1.0), ("polynomial", 2.0), ("polynomial", 4.0), ("hard", 1.0)):
        footprint = Footprint((0.3, 0.1), profile, power)  # type: ignore[arg-type]
        found = footprint.weights(along, across)
        for x, y, weight in zip(along, across, found, strict=True):
            t = ((x / 0.3) ** 2 + (y / 0.1) ** 2) ** 0.5
            wanted = {"cosine": np.cos(np.pi * t / 2) ** 2, "polynomial": (1 - t**power) ** 2, "hard": 1.0}[profile]
            assert weight == pytest.approx(wanted if t < 1 else 0.0, abs=1e-12)


def undo_polynomial(power: float, weights: Floats) -> Floats:
    undone: Floats = (1 - np.sqrt(weights)) ** (1 / power)
    return undone


def test_displacements_on_a_plane_follow_one_ellipse() -> None:
    """Undoing the right profile gives t^2, which is a quadratic form of the place; wrong ones do not fit."""
    undo: dict[str, Callable[[Floats], Floats]] = {
        "cosine": lambda w: np.arccos(2 * w - 1) / np.pi,
        **{f"polynomial {power}": partial(undo_polynomial, power) for power in (1, 2, 4)},
    }
    slender = []
    for seed in range(12):
        made = pseudo_defects(
            *plane(), np.random.default_rng(seed), kind="ridge", radius=(0.2, 0.25), amplitude=(0.05, 0.05)
        )
        height = moved(made)
        inside = height > 0
        weights, places = height[inside] / 0.05, made.clean[inside, :2]
        if np.allclose(weights, 1.0):  # a hard rim
            continue
        terms = np.column_stack([places**2, places.prod(axis=1), places, np.ones(len(places))])
        worst = {}
        for name, inverse in undo.items():
            squared = inverse(np.clip(weights, 0, 1)) ** 2
            form = np.linalg.lstsq(terms, squared, rcond=None)[0]
            worst[name] = np.abs(terms @ form - squared).max(), form
        error, form = min(worst.values(), key=lambda entry: entry[0])
        assert error < 1e-5
        assert sorted(error for error, _ in worst.values())[1] > 1e-3
        axes = 1 / np.sqrt(np.linalg.eigvalsh([[form[0], form[2] / 2], [form[2] / 2, form[1]]]))
        assert 0.2 - 1e-3 <= axes.max() <= 0.25 + 1e-3
        slender.append(axes.max() / axes.min())
    assert len(slender) >= 6
    assert 2.5 - 1e-2 <= min(slender) <= max(slender) <= 5.0 + 1e-2


def test_step_has_a_sharp_edge_and_crack_is_narrow() -> None:
    points, normals = plane()
    step = pseudo_defects(points, normals, np.random.default_rng(0), kind="step", radius=(0.2, 0.2))
    moving, place = moved(step) > 0, step.clean[:, :2]
    middle = place[moved(step) > 0.999 * moved(step).max()]
    assert moving.any()
    assert np.linalg.norm(middle - middle.mean(axis=0), axis=1).max() <= 0.4
    # A half disc: its points lie on one side of a line through the disc's middle, so its width is half its length.
    spread = place[moving] - place[moving].mean(axis=0)
    singular = np.linalg.svd(spread, compute_uv=False)
    assert singular[1] < 0.8 * singular[0]
    for seed in range(4):
        crack = pseudo_defects(points, normals, np.random.default_rng(seed), kind="crack", radius=(0.25, 0.3))
        line = crack.removed if len(crack.removed) else crack.clean[moved(crack) > 0]
        singular = np.linalg.svd(line - line.mean(axis=0), compute_uv=False) / np.sqrt(len(line))
        assert singular[0] > 0.1  # half a length of 0.25 or more
        assert singular[1] < 0.035


def test_cut_is_a_plane() -> None:
    points, normals = part("hook")
    made = pseudo_defects(points, normals, np.random.default_rng(1), kind="cut")
    assert np.array_equal(made.points, made.clean)
    assert len(made.removed) >= 0.005 * len(points)
    # Some plane has what is gone in front of it and what remains behind it: linear programming finds one.
    both = np.concatenate([made.removed, made.clean])
    sides = np.where(np.arange(len(both)) < len(made.removed), -1.0, 1.0)
    rows = sides[:, None] * np.column_stack([both, -np.ones(len(both))])
    assert linprog(np.zeros(4), A_ub=rows, b_ub=-1e-3 * np.ones(len(both)), bounds=(None, None)).success


def test_several_do_not_overlap() -> None:
    points, normals = part()
    generator = np.random.default_rng(13)
    counts = []
    for _ in range(4):
        made = pseudo_defects(points, normals, generator, count=4)
        counts.append(made.kind.count("+") + 1)
        assert len(made.points) + len(made.removed) == len(points)
        assert moved(made).max() <= 0.10 + 1e-12
        assert set(made.kind.split("+")) <= set(KINDS)
        assert made.mask.mean() <= 4 * SHARE[1] / 0.7
    assert max(counts) == 4
    none = pseudo_defects(points, normals, generator, count=0)
    assert np.array_equal(none.points, points)
    assert not none.mask.any()


def test_scale_is_the_unit_of_radius_and_amplitude() -> None:
    points, normals = part()
    small = pseudo_defects(points, normals, np.random.default_rng(14), kind="dent")
    large = pseudo_defects(50 * points, normals, np.random.default_rng(14), kind="dent", scale=50.0)
    assert np.allclose(large.points, 50 * small.points, atol=1e-9)
    assert np.array_equal(large.mask, small.mask)


def test_kinds_to_choose_from() -> None:
    points, normals = part()
    kinds = ("dent", "hole")
    made = [pseudo_defects(points, normals, np.random.default_rng(seed), kind=kinds).kind for seed in range(8)]
    assert set(made) == set(kinds)


def test_unknown_kind_and_small_cloud() -> None:
    points, normals = part()
    with pytest.raises(BadInput, match="no pseudo-defect 'scratch'"):
        pseudo_defects(points, normals, np.random.default_rng(0), kind="scratch")
    with pytest.raises(BadInput, match="150 points is too small"):
        pseudo_defects(points[:150], normals[:150], np.random.default_rng(0))


def test_same_seed_same_defect() -> None:
    points, normals = part()
    for seed in range(3):
        first, again = (pseudo_defects(points, normals, np.random.default_rng(seed), count=2) for _ in range(2))
        assert first.kind == again.kind
        assert np.array_equal(first.points, again.points)
        assert np.array_equal(first.mask, again.mask)
    other = pseudo_defects(points, normals, np.random.default_rng(9), count=2)
    assert not np.array_equal(other.mask, first.mask)
