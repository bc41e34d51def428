from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dusnet.cloud import Frame
from dusnet.data import open_dataset
from dusnet.errors import BadInput
from dusnet.io import sample_mesh
from dusnet.synthesis.likeness.anomaly_shapenet import SMALL, AnomalyShapenetLike, AnomalyShapenetPlan
from dusnet.synthesis.likeness.household import THINGS
from dusnet.synthesis.writer import PlannedScan, write_dataset

PLAIN = {"offset": 0.0, "offset_templates": 0.0, "deviating": 0.0}


@cache
def plan(**changes: Any) -> AnomalyShapenetPlan:
    return AnomalyShapenetPlan(AnomalyShapenetLike(**changes))


def scan_of(chosen: AnomalyShapenetPlan, name: str, split: str, kind: str, index: int = 0) -> PlannedScan:
    for scan in chosen.scans():
        if (scan.class_name, scan.split, scan.kind, scan.index) == (name, split, kind, index):
            return scan
    raise AssertionError(f"{name} has no {split} scan {kind}{index}")


def upright(chosen: AnomalyShapenetPlan, name: str, index: int = 0) -> np.ndarray:
    """Points of a good test scan in the pose of the nominal surface."""
    return chosen.make(scan_of(chosen, name, "test", "good", index)).points @ chosen.test_rotation(name)


def test_numbers_of_scans_and_kinds_are_those_of_the_archive() -> None:
    scans = plan().scans()
    assert len({scan.class_name for scan in scans}) == len(THINGS) >= 16
    for name in THINGS:
        own = [scan for scan in scans if scan.class_name == name]
        assert sum(scan.split == "train" for scan in own) == 4
        kinds = Counter(scan.kind for scan in own if scan.split == "test")
        assert kinds["good"] == 15
        assert kinds["bulge"] == kinds["concavity"] == 7
        assert 14 <= sum(kinds.values()) - 15 <= 23
        assert all(count <= 4 for kind, count in kinds.items() if kind not in ("good", "bulge", "concavity"))
    bad = Counter(scan.kind for scan in scans if scan.kind != "good")
    shares = {kind: count / sum(bad.values()) for kind, count in bad.items()}
    expected = {
        "bulge": 0.39, "concavity": 0.39, "scratch": 0.06, "hole": 0.05, "broken": 0.05, "crack": 0.04, "bending": 0.01
    }  # fmt: skip
    assert shares == {kind: pytest.approx(share, abs=0.015) for kind, share in expected.items()}


def test_both_halves_have_all_kinds() -> None:
    for half in ("development", "reported"):
        kinds = {scan.kind for scan in plan(half=half).scans()}
        assert kinds == {"good", "bulge", "concavity", "scratch", "hole", "broken", "crack", "bending"}


def test_points_are_constant_within_a_class_and_those_of_the_archive() -> None:
    counts = np.array([facts["points"] for facts in plan().classes().values()])
    assert counts.min() >= 20_000
    assert counts.max() <= 90_000
    assert 50_000 < counts.mean() < 64_000
    chosen = plan(points=2000)
    for name, kind in (("bowl2", "good"), ("bowl2", "bulge"), ("bowl2", "hole"), ("vase2", "broken")):
        assert len(chosen.make(scan_of(chosen, name, "test", kind)).points) == 2000


def test_three_to_four_of_a_hundred_scans_lie_beside_the_surface() -> None:
    tests = templates = deviating = good = classes = 0
    offset = 0
    for seed in range(12):
        chosen = plan(seed=seed)
        facts = chosen.classes()
        scans = [scan for scan in chosen.scans() if scan.split == "test"]
        stems = [stem for fact in facts.values() for stem in fact["offset"]]
        templates += sum("template" in stem for stem in stems)
        offset += sum("template" not in stem for stem in stems)
        deviating += sum(len(fact["deviating"]) for fact in facts.values())
        good += sum(scan.kind == "good" for scan in scans)
        tests += len(scans)
        classes += len(facts)
        assert max(sum("template" in stem for stem in fact["offset"]) for fact in facts.values()) <= 1
    # Binomial: deviations .002, .0015 and .017.
    assert 0.029 < offset / tests < 0.045
    assert 0.003 < deviating / good < 0.018
    assert 0.04 < templates / classes < 0.17


@pytest.mark.parametrize("name", ["bowl1", "tray0"])
def test_offset_is_outwards_and_equal_everywhere(name: str) -> None:
    chosen = plan(points=4000, noise=0.0, **{**PLAIN, "offset": 1.0})
    points, shell = upright(chosen, name), chosen.shells[name]
    nominal, normals = sample_mesh(shell.mesh, 150_000, np.random.default_rng(1))
    _, near = cKDTree(nominal).query(points, k=3)
    away = np.median(np.einsum("ijk,ijk->ij", points[:, None] - nominal[near], normals[near]), axis=1) / shell.radius
    assert 0.0035 < np.median(away) < 0.0075
    assert np.quantile(np.abs(away - np.median(away)), 0.9) < 0.0012


def test_deviating_meshes_lie_one_to_two_hundredths_away() -> None:
    chosen = plan(points=4000, noise=0.0, **{**PLAIN, "deviating": 1.0})
    for index in range(2):
        points, shell = upright(chosen, "vase1", index), chosen.shells["vase1"]
        nominal = sample_mesh(shell.mesh, 150_000, np.random.default_rng(1))[0]
        mean = cKDTree(nominal).query(points)[0].mean() / shell.radius
        # The other side of the thin wall may be nearer.
        assert 0.006 < mean < 0.022


def test_good_scans_lie_on_both_sides_of_the_same_walls() -> None:
    chosen = plan(points=6000, **PLAIN)
    for name in ("bowl0", "helmet0"):
        points, shell = upright(chosen, name), chosen.shells[name]
        nominal, normals = sample_mesh(shell.mesh, 150_000, np.random.default_rng(1))
        _, near = cKDTree(nominal).query(points)
        across = np.abs(np.einsum("ij,ij->i", points - nominal[near], normals[near])) / shell.radius
        assert np.quantile(across, 0.99) < 0.0025
        # Every place of the surface has a point about as near as even points are.
        gaps = cKDTree(points).query(nominal)[0] / np.sqrt(shell.area / len(points))
        assert gaps.max() < 1.5


def test_pattern_of_points_is_that_of_the_archive() -> None:
    """Distance of good scans to four merged templates, p90 and p99 over the median: 1.48-1.62 and 1.86-2.12.

    The archive's figures stand after a registration that leaves some tenths of a degree. Points that share a surface to
    the last bit have 1.66 and 2.17 (deviation .01 and .03 over ten draws), independent ones 1.81 and 2.61.
    """
    chosen = plan(points=20_000, **PLAIN)
    still, turned = [], []
    generator = np.random.default_rng(0)
    for name in ("bowl1", "vase1"):
        clouds = []
        for index in range(4):
            scan = scan_of(chosen, name, "test", "good", index)
            clouds.append(chosen.make(scan).points)
        probe = chosen.make(scan_of(chosen, name, "test", "good", 4)).points
        for found, degrees in ((still, 0.0), (turned, 0.3)):
            moved = [
                cloud @ Rotation.from_rotvec(np.deg2rad(degrees) * generator.normal(size=3) / np.sqrt(3.0)).as_matrix()
                for cloud in clouds
            ]
            distance = cKDTree(np.vstack(moved)).query(probe)[0]
            found.append(np.quantile(distance, (0.9, 0.99)) / np.median(distance))
    for ratios in still:
        np.testing.assert_allclose(ratios, (1.66, 2.17), rtol=0.035)
    p90, p99 = np.mean(turned, axis=0)
    assert 1.45 < p90 < 1.64
    assert 1.80 < p99 < 2.15


def test_scans_are_drawn_anew_and_templates_have_any_pose() -> None:
    chosen = plan(points=1500, **PLAIN)
    train = [chosen.make(scan_of(chosen, "shelf0", "train", "good", index)).points for index in range(2)]
    tests = [chosen.make(scan_of(chosen, "shelf0", "test", "good", index)).points for index in range(2)]
    spacing = np.sqrt(chosen.shells["shelf0"].area / 1500)
    shared = cKDTree(tests[0]).query(tests[1])[0]
    assert np.median(shared) > 0.2 * spacing
    assert shared.max() < 1.6 * spacing
    assert cKDTree(train[0]).query(train[1])[0].max() > 5.0 * spacing
    assert cKDTree(train[0]).query(tests[0])[0].max() > 5.0 * spacing
    free = plan(points=1500, test_pose="any", **PLAIN)
    loose = [free.make(scan_of(free, "shelf0", "test", "good", index)).points for index in range(2)]
    assert cKDTree(loose[0]).query(loose[1])[0].max() > 5.0 * spacing


def test_extent_is_that_of_the_archive() -> None:
    frame = Frame.of(plan().shells["vase0"].mesh.vertices)
    assert np.linalg.norm(np.ptp(plan().shells["vase0"].mesh.vertices, axis=0)) == pytest.approx(1.0)
    assert 0.4 < frame.scale < 0.6


def test_small_copy_is_written_read_and_written_again(tmp_path: Path) -> None:
    mesh = tmp_path / "lid.obj"
    mesh.write_text(BOX)
    settings = AnomalyShapenetLike(**{**SMALL, "half": "development", "points": 1000, "meshes": (mesh,)})
    chosen = AnomalyShapenetPlan(settings)
    chosen.shells = {name: chosen.shells[name] for name in ("bowl2", "lid")}
    for folder in ("one", "two"):
        assert write_dataset(tmp_path / folder, chosen) == tmp_path / folder
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    dataset = open_dataset(tmp_path / "one")
    assert dataset.classes == ("bowl2", "lid")
    assert len(dataset.train("bowl2")) == 2
    kinds = Counter(sample.kind for sample in dataset.test("bowl2"))
    assert kinds == {"good": 3, "bulge": 1, "concavity": 1, "scratch": 1, "hole": 1, "broken": 1}
    for sample in dataset.test("bowl2"):
        labels = sample.load().labels
        assert labels is not None
        assert labels.any() == (sample.kind != "good")
    manifest = json.loads((tmp_path / "one" / "benchmark.json").read_text())
    assert manifest["complete"] is True
    assert AnomalyShapenetLike(**manifest["settings"]) == settings
    with pytest.raises(BadInput, match=r"other settings \(seed\)"):
        write_dataset(tmp_path / "one", AnomalyShapenetPlan(settings.model_copy(update={"seed": 1})))


def test_a_mesh_named_like_a_class_is_refused(tmp_path: Path) -> None:
    mesh = tmp_path / "bowl0.obj"
    mesh.write_text(BOX)
    with pytest.raises(BadInput, match="two classes would be named 'bowl0'"):
        AnomalyShapenetPlan(AnomalyShapenetLike(meshes=(mesh,))).scans()


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


BOX = """v 0 0 0
v 30 0 0
v 30 20 0
v 0 20 0
v 0 0 2
v 30 0 2
v 30 20 2
v 0 20 2
f 1 3 2
f 1 4 3
f 1 2 6
f 1 6 5
f 2 3 7
f 2 7 6
f 3 4 8
f 3 8 7
f 4 1 5
f 4 5 8
f 5 6 7
f 5 7 8
"""
