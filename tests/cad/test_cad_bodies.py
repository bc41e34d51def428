"""A CAD model of several bodies: compared with its outer surface, or a word about what is wrong with it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from body_parts import BOSS, PLATE, RIB, as_stl, box_mesh, inverted, together, turned
from cad_parts import motion, moved, write_stl

from dusnet.cad.alignment import CadAligner
from dusnet.cad.comparison import CadModel, Tolerance
from dusnet.cad.inner_faces import buried_share, gap_share, warnings_of
from dusnet.cad.simulation import CadScans
from dusnet.cad.surface import CadSurface
from dusnet.cloud import PointCloud
from dusnet.geometry.outer_surface import outer_surface
from dusnet.inspection.verdict import Status
from dusnet.io import Mesh, sample_mesh

FIFTH = Tolerance(0.2, 0.2)
SUNK = [PLATE, ((-55, -35, 2), (-45, 20, 22)), ((20, 5, 2), (35, 15, 25))]


def seen(boxes, rng, count: int = 20_000) -> np.ndarray:
    """Points of the outside of a union of boxes: those of each box that lie in no other one."""
    points, _ = sample_mesh(together(*map(box_mesh, boxes)), count, rng)
    hidden = np.zeros(len(points), dtype=bool)
    for low, high in boxes:
        hidden |= ((points > low) & (points < high)).all(axis=1)
    for foot in (RIB, BOSS):
        if foot in boxes:
            on = (points[:, :2] > foot[0][:2]) & (points[:, :2] < foot[1][:2])
            hidden |= on.all(axis=1) & (points[:, 2] == 10.0)
    return points[~hidden]


def depth_below_boss(points):
    """Of every point below the boss the distance to the nearest of its sides, which is nearer than its top."""
    low, high = np.array(BOSS)[:, :2]
    below = points[(points[:, 2] == 10.0) & ((points[:, :2] > low) & (points[:, :2] < high)).all(axis=1), :2]
    return np.minimum(below - low, high - below).min(axis=1)


def deepest(depths):
    """Mean of the deepest 2 % of what is deeper than a tenth of the whole depth."""
    inside = np.sort(depths[depths > 0.1 * depths.max()])
    return inside[-max(3, round(0.02 * len(inside))) :].mean()


def model_of(tmp_path, boxes, *, search: bool = False) -> CadModel:
    return CadModel(write_stl(tmp_path / "part.stl", together(*map(box_mesh, boxes))), search=search)


@pytest.mark.parametrize("boxes", [[PLATE, RIB, BOSS], SUNK], ids=["touching", "overlapping"])
def test_a_missing_boss_is_found_where_it_is_missing(tmp_path, rng, boxes):
    model = model_of(tmp_path, boxes)
    points = seen([PLATE, RIB], rng)
    result = model.compare(PointCloud(points), FIFTH, stem="s")
    assert result.verdict.status is Status.NG
    (region,) = result.defects
    np.testing.assert_allclose(region.center, [27.5, 10.0, 10.0], atol=1.0)
    assert region.peak_deviation == pytest.approx(-deepest(depth_below_boss(points)), rel=0.02)
    record = json.loads(result.write(tmp_path / "o").read_text())
    cad = record["comparison"]["cad"]
    assert {key: cad[key] for key in ("triangles", "watertight", "bodies", "united", "left_out", "not_united")} == {
        "triangles": 36,
        "watertight": True,
        "bodies": 3,
        "united": 3,
        "left_out": 0,
        "not_united": 0,
    }
    assert record["warnings"] == []
    assert "3 bodies" in model.united
    whole = model.compare(PointCloud(seen([PLATE, RIB, BOSS], rng)), FIFTH, stem="s")
    assert whole.verdict.status is Status.OK


@pytest.mark.parametrize("boxes", [[PLATE, RIB, BOSS], SUNK], ids=["touching", "overlapping"])
def test_a_pit_below_a_boss_has_its_depth(tmp_path, rng, boxes):
    points = seen([PLATE, RIB, BOSS], rng, 40_000)
    away = np.hypot(points[:, 0] - 27, points[:, 1] - 10) / 4.5
    deep = (points[:, 2] == 0.0) & (away < 1)
    points[deep, 2] += 4.0 * (1 - away[deep] ** 2) ** 2
    result = model_of(tmp_path, boxes).compare(PointCloud(points), FIFTH, stem="s")
    np.testing.assert_allclose(result.deviation[deep], -points[deep, 2], atol=1e-3)
    assert result.defects[0].peak_deviation == pytest.approx(-deepest(points[deep, 2]), rel=0.02)


def test_a_scan_in_any_pose_of_a_turned_model_in_inches(tmp_path, rng):
    whole = turned(together(box_mesh(PLATE), box_mesh(RIB), box_mesh(BOSS)), np.random.default_rng(5))
    stl = as_stl(Mesh(whole.vertices / 25.4, whole.faces), np.float32)
    model = CadModel(write_stl(tmp_path / "part.stl", inverted(stl)), unit="mm", cad_unit="in")
    assert model.surface.watertight
    complete, without = (seen(boxes, rng, 8000) for boxes in ([PLATE, RIB, BOSS], [PLATE, RIB]))
    good, missing = (
        model.deviations(PointCloud(moved(points, motion(rng, 50.0))), FIFTH) for points in (complete, without)
    )
    assert not good.is_anomalous
    assert np.abs(good.deviation).max() < 2e-3
    assert missing.is_anomalous
    assert missing.deviation.min() == pytest.approx(-depth_below_boss(without).max(), abs=0.01)


def test_symmetries_and_poses_rest_on_the_outer_surface(tmp_path):
    aligner = CadAligner(model_of(tmp_path, [PLATE, RIB, BOSS]).surface)
    foot = (aligner._places[:, 2] < 10.0 + 1e-3) & (aligner._places[:, 2] > 10.0 - 1e-3)
    inside = (np.abs(aligner._places[foot, :2] - [27.5, 10.0]) < [7.0, 4.5]).all(axis=1)
    assert foot.sum() > 100
    assert not inside.any()


def test_simulated_scans_have_no_point_inside_of_the_material(tmp_path):
    boxes = [PLATE, RIB, ((20, 5, -20), (35, 15, 25))]
    path = write_stl(tmp_path / "part.stl", together(*map(box_mesh, boxes)))
    scans = CadScans(path, variation=0.0, noise=0.0, points=3000)
    surface = CadSurface(outer_surface(together(*map(box_mesh, boxes))).mesh)
    points = scans.scan(0).points
    found = CadAligner(surface).align(points)
    placed = points @ found.matrix[:3, :3].T + found.matrix[:3, 3]
    inside = (placed > np.array(boxes[2][0]) + 0.1) & (placed < np.array(boxes[2][1]) - 0.1)
    assert not inside.all(axis=1).any()
    inside = (placed > np.array(PLATE[0]) + 0.1) & (placed < np.array(PLATE[1]) - 0.1)
    assert not inside.all(axis=1).any()
    assert "3 bodies" in scans.united
    assert "warnings" not in scans.provenance()


def test_a_gap_between_bodies_is_said():
    touching = outer_surface(together(box_mesh(PLATE), box_mesh(BOSS)))
    assert gap_share(touching.solids, touching.reach) == 0.0
    for gap, said in ((0.1, True), (0.003, True), (3.0, False)):
        above = ((20, 5, 10 + gap), (35, 15, 25))
        apart = outer_surface(together(box_mesh(PLATE), box_mesh(above)))
        assert apart.united == 0
        area = 23200 + 2 * (150 + 25 * (15 - gap))
        expected = 2 * 150 / area if said else 0.0
        # Too high by .0012, deviation .0018 over five seeds of the places that are looked at; expected .013 and 0.
        assert gap_share(apart.solids, apart.reach) == pytest.approx(expected, abs=0.008)
        assert [("gap" in note) for note in warnings_of(apart, "x")] == ([True] if said else [])


def test_a_body_that_runs_through_itself_is_said():
    # Two boxes that cross; a triangle less of each, and a tube between the two holes makes them one body.
    first, second = box_mesh(((0, 0, 0), (20, 20, 20))), box_mesh(((10, 10, 10), (30, 30, 30)))
    crossed = together(first, second)
    faces = np.vstack([crossed.faces[1:12], crossed.faces[13:]])
    low, high = crossed.faces[0], crossed.faces[12]
    bridge = [(int(low[k]), int(low[(k + 1) % 3]), int(high[(3 - k) % 3])) for k in range(3)] + [
        (int(low[(k + 1) % 3]), int(high[(2 - k) % 3]), int(high[(3 - k) % 3])) for k in range(3)
    ]
    mesh = Mesh(crossed.vertices, np.vstack([faces, bridge]))
    found = outer_surface(mesh)
    assert found.bodies == 1
    assert found.mesh is mesh
    assert buried_share(found.skin, found.reach) > 0.05
    (note,) = warnings_of(found, "x")
    assert "runs through itself" in note
    plain = outer_surface(first)
    assert buried_share(plain.skin, plain.reach) == 0.0


def test_an_open_body_among_closed_ones_is_said(tmp_path, rng):
    boss = box_mesh(BOSS)
    mesh = together(box_mesh(PLATE), Mesh(boss.vertices, boss.faces[2:]))
    path = write_stl(tmp_path / "part.stl", mesh)
    scan = PointCloud(seen([PLATE, BOSS], rng, 4000))
    result = CadModel(path, search=False).compare(scan, FIFTH, stem="s")
    assert any("1 of the 2 pieces of part.stl could not be united" in words for words in result.record["warnings"])
    assert any("not watertight" in words for words in result.record["warnings"])
    assert "could not be united" in CadScans(path).provenance()["warnings"][0]


def test_a_model_without_volume_is_said(tmp_path):
    sheet = box_mesh(PLATE)
    flat = Mesh(sheet.vertices * [1.0, 1.0, 0.0], sheet.faces)
    assert any(
        "encloses no volume" in note for note in CadModel(write_stl(tmp_path / "f.stl", flat), search=False).notes
    )
