"""A small set like the archive, against the published statistics of the archive."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.synthesis.likeness import toy_scans
from dusnet.synthesis.likeness.real3d_ad import Real3dAdPlan
from dusnet.synthesis.likeness.real3d_ad_settings import SMALL, Real3dAdLike
from dusnet.synthesis.toys import TOYS
from dusnet.synthesis.variation import smooth_field
from dusnet.synthesis.writer import PlannedScan

ONE = "carp"


def plan(**settings: object) -> Real3dAdPlan:
    return Real3dAdPlan(Real3dAdLike.model_validate({**SMALL, "parts": (ONE,), **settings}))


def of_kind(content: Real3dAdPlan, *kinds: str, split: str = "test") -> list[PlannedScan]:
    return [scan for scan in content.scans() if scan.split == split and scan.kind in kinds]


def clouds(content: Real3dAdPlan, *kinds: str, split: str = "test", most: int | None = None) -> list[PointCloud]:
    return [content.make(scan) for scan in of_kind(content, *kinds, split=split)[:most]]


@pytest.fixture(scope="module")
def small() -> Real3dAdPlan:
    return plan()


def test_names_counts_and_twins_are_those_of_the_archive() -> None:
    content = plan(good=25, defective=25)
    scans = content.scans()
    assert len([one for one in scans if one.split == "train"]) == 4
    tests = [one for one in scans if one.split == "test"]
    assert len(tests) == 100
    for scan in scans:
        assert re.fullmatch(r"\d+_(template|good|bulges?|sinks?|hybrid)(_cut)?\.pcd", scan.scan.name)
        assert scan.scan.parts[:2] == (ONE, scan.split)
        assert (scan.ground_truth is None) == (scan.kind == "good")
    stems = [one.scan.stem for one in tests]
    assert sorted(one for one in stems if one.endswith("_cut")) == sorted(
        f"{one}_cut" for one in stems if "_cut" not in one
    )
    # 374 bulge, 52 bulges, 142 sink, 22 sinks and 12 hybrid of 602 defective scans; a class of 50 has one hybrid.
    kinds = [one.kind for one in tests if one.kind != "good"]
    assert {kind: kinds.count(kind) for kind in sorted({*kinds})} == {"bulge": 32, "bulges": 4, "sink": 12, "sinks": 2}


def test_density_and_thinned_counts(small: Real3dAdPlan) -> None:
    radius = small.classes()[ONE]["radius_mm"]
    spacing = small.classes()[ONE]["spacing_mm"] / radius
    assert 0.008 <= spacing <= 0.009
    for cloud in clouds(small, "good", most=2):
        cells = np.unique(np.floor(cloud.points / (0.01 * radius)), axis=0)
        assert 8_000 < len(cells) < 50_000
        # Even sampling: half of the points have a neighbour between half of the spacing and one and a half of it.
        near = cKDTree(cloud.points).query(cloud.points, 2)[0][:, 1] / radius
        assert 0.5 * spacing < np.median(near) < 1.2 * spacing


def test_twin_is_the_same_scan_less_some_rim(small: Real3dAdPlan) -> None:
    own, twin = (small.make(scan) for scan in of_kind(small, "bulge")[:2])
    assert len(twin) < len(own)
    assert len(twin) >= 0.88 * len(own) - 1
    places = {tuple(point) for point in own.points}
    assert all(tuple(point) in places for point in twin.points)
    lost = cKDTree(twin.points).query(own.points)[0] > 0.0
    # What is lost lies at the rim: nearer to the resting plane than nearly all that is left.
    thin = np.linalg.svd(own.points - own.points.mean(axis=0), full_matrices=False)[2][2]
    height = own.points @ thin
    middle = np.median(height)
    assert abs(np.median(height[lost]) - middle) > np.quantile(np.abs(height - middle), 0.5)


def test_twins_lose_as_much_and_are_labelled_as_differently_as_in_the_records() -> None:
    content = plan(good=1, defective=20, spacing=(0.02, 0.02), density_spread=1.0)
    found = clouds(content, "bulge", "sink")
    own, twins = found[::2], found[1::2]
    lost = np.array([1.0 - len(b) / len(a) for a, b in zip(own, twins, strict=True)])
    assert 0.01 < np.median(lost) < 0.04
    assert lost.max() <= 0.121
    ratio = np.array([b.labels.sum() / a.labels.sum() for a, b in zip(own, twins, strict=True) if a.labels.sum() > 20])
    assert 0.6 < ratio.min() < 0.95
    assert 1.05 < ratio.max() < 1.4


def test_view_lacks_the_lower_part_and_a_template_does_not() -> None:
    content = plan(variation=0.0, absent=(0.3, 0.3), biased=0.0, parts=("whale",), spacing=(0.02, 0.02))
    part = content._class("whale").part
    full = np.ptp(part.corners.reshape(-1, 3) @ part.up[0])

    def thickness(cloud: PointCloud) -> float:
        local = cloud.points - cloud.points.mean(axis=0)
        return float(np.ptp(local @ np.linalg.svd(local, full_matrices=False)[2][2]))

    for cloud in clouds(content, "good", most=4)[::2]:
        assert 0.5 < thickness(cloud) / full < 0.85
    assert thickness(clouds(content, "good", split="train", most=1)[0]) / full > 0.95


def test_templates_have_a_seam_of_the_given_size() -> None:
    content = plan(variation=0.0, noise=(1e-6, 1e-6), seam=0.01, parts=("whale",), spacing=(0.03, 0.03))
    made = content._class("whale")
    halves = [content.make(scan) for scan in of_kind(content, "good", split="train")]
    exact = Real3dAdPlan(content.settings.model_copy(update={"seam": 0.0}))
    errors = []
    for scan, cloud in zip(of_kind(content, "good", split="train"), halves, strict=True):
        # The same seed draws the same points, so that both halves are known point by point.
        moved = np.linalg.norm(cloud.points - exact.make(scan).points, axis=1) / made.part.radius
        assert (moved < 1e-9).any()
        errors.append(np.sqrt((moved[moved > 1e-9] ** 2).mean()))
    assert 0.004 < np.mean(errors) < 0.02


def test_defects_have_the_depths_and_lengths_of_the_records() -> None:
    content = plan(parts=("whale",), defective=60, spacing=(0.03, 0.03), density_spread=1.0)
    made = content._class("whale")
    outward, lengths, depths = [], [], []
    for scan in of_kind(content, "bulge", "sink"):
        generator = np.random.default_rng(scan.entropy[:4])
        view = toy_scans._view(made.part, generator, 0, 0.03 * made.part.radius, absent=0.2)
        (blob,) = made._blobs(scan.kind, view, generator)
        outward.append(blob.depth > 0.0)
        lengths.append(2.0 * blob.half[0] / made.part.radius / made.length)
        depths.append(blob.depth / made.part.radius)
    depth = np.abs(depths)
    # 71 % outward; depth .5-9 % with a median of 1.8, inward shallower; length 4-33 % of the bounding radius.
    assert 0.65 < np.mean(outward) < 0.8
    assert depth.min() > 0.002
    assert depth.max() <= 0.09
    assert 0.01 < np.median(depth) < 0.028
    assert np.median(depth[~np.array(outward)]) < np.median(depth[np.array(outward)])
    assert min(lengths) >= 0.04 - 1e-9
    assert max(lengths) <= 0.33 + 1e-9


def test_variation_moves_good_parts_apart_and_nothing_else_does() -> None:
    def residual(variation: float) -> float:
        content = plan(variation=variation, noise=(1e-6, 1e-6), seam=0.0, parts=("whale",))
        made = content._class("whale")
        generator = np.random.default_rng(0)
        view = toy_scans._view(made.part, generator, 0, 0.01 * made.part.radius, absent=0.2)
        field = smooth_field(generator, made.part.corners[:, 0], variation * made.part.radius)
        return float(np.linalg.norm(field.displacement(view.points), axis=1).max() / made.part.radius)

    assert residual(0.0) == 0.0
    assert residual(0.01) == pytest.approx(0.01, rel=0.3)


def test_coverage_of_good_scans_differs_in_a_biased_class() -> None:
    biased, fair = plan(biased=1.0, density_spread=1.0, good=12), plan(biased=0.0, density_spread=1.0, good=12)
    assert biased._class(ONE).hidden > 0.0
    assert fair._class(ONE).hidden == 0.0
    assert fair._class(ONE).resting[0] == fair._class(ONE).resting[1]
    assert biased._class(ONE).resting[0] != biased._class(ONE).resting[1]


def test_scans_depend_on_their_seed_alone(small: Real3dAdPlan) -> None:
    again, other = plan(parts=("star", ONE)), plan(seed=1)
    scan = of_kind(small, "bulge")[1]
    first, second = small.make(scan), again.make(scan)
    assert np.array_equal(first.points, second.points)
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(other.make(of_kind(other, "bulge")[1]).points[:10], first.points[:10])


def test_own_mesh_is_a_class(tmp_path: Path) -> None:
    path = tmp_path / "tile.obj"
    corners = [(x, y, z) for x in (0, 20) for y in (0, 12) for z in (0, 5)]
    quads = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    lines = [f"v {x} {y} {z}" for x, y, z in corners] + [f"f {a} {b} {c} {d}" for a, b, c, d in quads]
    path.write_text("\n".join(lines) + "\n")
    content = plan(meshes=(path,), parts=())
    assert list(content.classes()) == ["tile"]
    cloud = content.make(of_kind(content, "sink")[0])
    assert cloud.labels is not None
    assert cloud.labels.any()
    path.rename(tmp_path / "carp.obj")
    with pytest.raises(BadInput, match="carp"):
        plan(meshes=(tmp_path / "carp.obj",))


def test_classes_are_in_one_half_each() -> None:
    halves = [{*plan(parts=tuple(TOYS), half=half)._parts} for half in ("development", "reported")]
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == {*TOYS}
    assert min(map(len, halves)) >= 6


def test_impossible_settings_are_refused() -> None:
    refused = ({"parts": ("spaceship",)}, {"parts": ()}, {"depth": (0.1, 0.01)}, {"noise": (0.0, 0.1)})
    for settings in (*refused, {"trimmed": (0.1, 1.5)}, {"parts": ("whale",), "half": "reported"}):
        with pytest.raises(ValueError):
            plan(**settings)
