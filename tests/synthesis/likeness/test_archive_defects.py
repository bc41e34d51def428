from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

from dusnet.synthesis.likeness.archive_defects import DEPTHS, EXTREMES, KINDS, SHARES, Extent, damaged
from dusnet.synthesis.surface import LabelledSurface

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
MISSING = ("hole", "crack", "broken")
OUTER, WALL = 1.0, 0.02
SPACING = 0.012


def extents(kind: str, count: int = 6000) -> np.ndarray:
    generator = np.random.default_rng(0)
    drawn = [Extent.draw(kind, generator) for _ in range(count)]
    return np.array([(one.share, one.depth) for one in drawn])


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_shares_and_depths_have_the_quantiles_of_the_archive(kind: str) -> None:
    share, depth = extents(kind).T
    # The standard error of these quantiles of 6000 draws is below 5 %.
    np.testing.assert_allclose(np.quantile(share, LEVELS), SHARES[kind], rtol=0.15)
    assert EXTREMES[kind][0] <= share.min() <= share.max() <= EXTREMES[kind][1]
    if kind in DEPTHS:
        np.testing.assert_allclose(np.quantile(depth, (0.05, 0.5, 0.95)), DEPTHS[kind], rtol=0.1)
    else:
        assert not depth.any()


def test_deeper_dents_are_larger() -> None:
    assert 0.57 < spearmanr(*extents("bulge").T).statistic < 0.69
    assert 0.15 < spearmanr(*extents("scratch").T).statistic < 0.32


def test_published_extents_of_single_scans(shared_data: Path) -> None:
    """Quantiles in the code are those of the table of the archive's defective scans."""
    table = shared_data / "layouts" / "anomaly_shapenet_shares.csv"
    if not table.is_file():
        pytest.skip("no table of shares per scan")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    names = {"crak": "crack"}
    for kind in KINDS:
        shares = [float(row["share"]) for row in rows if names.get(row["kind"], row["kind"]) == kind]
        np.testing.assert_allclose(np.quantile(shares, LEVELS), SHARES[kind], rtol=0.01, atol=6e-6)
        np.testing.assert_allclose((min(shares), max(shares)), EXTREMES[kind], rtol=0.03)


def shell(count: int = 60_000, seed: int = 0) -> LabelledSurface:
    """Half of a hollow sphere, cut off at z = 0; the rim between its walls has points, too."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(count, 3))
    directions[:, 2] = np.abs(directions[:, 2])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    outside = generator.random(count) < 0.5
    radii = np.where(outside, OUTER, OUTER - WALL)
    rim = count // 60
    turn, at = generator.uniform(0.0, 2.0 * np.pi, rim), generator.uniform(OUTER - WALL, OUTER, rim)
    ring = np.stack([at * np.cos(turn), at * np.sin(turn), np.zeros(rim)], axis=1)
    points = np.vstack([directions * radii[:, None], ring])
    normals = np.vstack([directions * np.where(outside, 1.0, -1.0)[:, None], np.tile([0.0, 0.0, -1.0], (rim, 1))])
    return LabelledSurface.clean(points, normals)


def made(kind: str, share: float, depth: float, seed: int) -> tuple[LabelledSurface, LabelledSurface]:
    clean = shell(seed=seed)
    generator = np.random.default_rng(seed)
    return clean, damaged(kind, clean, Extent(share, depth), generator, radius=OUTER, spacing=SPACING)


def off(points: np.ndarray) -> np.ndarray:
    """Distance from the good surface of the half sphere, away from its rim."""
    radii = np.linalg.norm(points, axis=1)
    return np.minimum(np.abs(radii - OUTER), np.abs(radii - (OUTER - WALL)))


@pytest.mark.parametrize("kind", ["bulge", "concavity"])
def test_dents_have_the_asked_share_and_depth_and_a_mean_of_a_third(kind: str) -> None:
    shares, depths, means = [], [], []
    for seed in range(4):
        clean, surface = made(kind, 0.03, 0.07, seed)
        moved = np.linalg.norm(surface.points - clean.points, axis=1)
        assert len(surface) == len(clean)
        assert not moved[~surface.labels].any()
        shares.append(surface.labels.mean())
        depths.append(moved.max())
        means.append(moved[surface.labels].mean() / moved.max())
    np.testing.assert_allclose(shares, 0.03, rtol=0.1)
    np.testing.assert_allclose(depths, 0.07, rtol=0.05)
    # (1 - t^2)^2 over a disc has the mean 1/3; at a rim the patch is no disc.
    assert np.mean(means) == pytest.approx(1.0 / 3.0, abs=0.04)


def test_dents_go_through_a_thin_wall_and_bulges_do_not() -> None:
    for seed in range(2):
        clean, dented = made("concavity", 0.03, 0.07, seed)
        outside = np.linalg.norm(clean.points, axis=1) > OUTER - WALL / 2.0
        assert 0.3 < outside[dented.labels].mean() < 0.7
        _, bulged = made("bulge", 0.01, 0.07, seed)
        sides = outside[bulged.labels & (clean.points[:, 2] > 0.2)]
        assert not len(sides) or sides.mean() in (0.0, 1.0)


def test_dents_are_smooth() -> None:
    clean, surface = made("bulge", 0.04, 0.08, 1)
    labelled = np.flatnonzero(surface.labels)
    moved = np.linalg.norm(surface.points - clean.points, axis=1)
    distance, near = cKDTree(clean.points[labelled]).query(clean.points[labelled], k=6)
    slope = np.abs(moved[labelled][near[:, 1:]] - moved[labelled][:, None]) / np.maximum(distance[:, 1:], 1e-3)
    assert np.quantile(slope, 0.99) < 1.5  # (1 - t^2)^2 falls by at most 1.54 depths per radius; here 0.08 over 0.35


def missing(clean: LabelledSurface, surface: LabelledSurface) -> np.ndarray:
    """Points of the clean surface that the damaged one lacks; all others must be there to the bit."""
    ours, theirs = (np.ascontiguousarray(one.points).view("V24")[:, 0] for one in (clean, surface))
    assert len({*theirs.tolist()} - {*ours.tolist()}) == 0
    return clean.points[~np.isin(ours, theirs)]


@pytest.mark.parametrize("kind", MISSING)
def test_missing_material_leaves_nothing_but_a_rim(kind: str) -> None:
    shares, sides = [], []
    for seed in range(3):
        clean, surface = made(kind, 0.005, 0.0, seed)
        gone = missing(clean, surface)
        assert 0.0002 < len(gone) / len(clean) < 0.13
        shares.append(surface.labels.mean())
        sides.append((np.linalg.norm(gone, axis=1) > OUTER - WALL / 2.0).mean())
        distance = cKDTree(gone).query(surface.points)[0]
        # One to two spacings, and the distance between points of the dense surface, which is 0.014.
        assert np.quantile(distance[surface.labels], 0.9) < 2.0 * SPACING + 0.018
        assert np.quantile(distance[surface.labels], 0.98) < 0.065
        assert (distance[~surface.labels] < 0.5 * SPACING).sum() < 0.1 * surface.labels.sum()
    np.testing.assert_allclose(np.median(shares), 0.005, rtol=0.2)
    assert 0.35 < np.median(sides) < 0.65


def test_pieces_break_from_the_rim() -> None:
    lowest = [missing(*made("broken", 0.004, 0.0, seed))[:, 2].min() for seed in range(3)]
    assert np.median(lowest) < 0.01


def test_scratches_are_long_and_narrow_and_bends_take_an_end() -> None:
    for seed in range(2):
        _, surface = made("scratch", 0.01, 0.025, seed)
        assert 0.005 < surface.labels.mean() < 0.015
        marked = surface.points[surface.labels]
        spread = np.linalg.svd(marked - marked.mean(axis=0), compute_uv=False)
        assert spread[0] > 2.5 * spread[1]
        clean, bent = made("bending", 0.03, 0.1, seed)
        moved = np.linalg.norm(bent.points - clean.points, axis=1)
        assert bent.labels.mean() == pytest.approx(0.03, rel=0.01)
        assert moved.max() == pytest.approx(0.1, rel=0.01)
        assert not moved[~bent.labels].any()
        assert off(bent.points[bent.labels & (clean.points[:, 2] > 0.05)]).max() > 0.0
