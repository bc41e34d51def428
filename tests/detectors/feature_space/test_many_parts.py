"""One model of two parts: it tells them apart, judges each as its own, and is one file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_parts import part
from test_feature_space import settings

from dusnet.cloud import PointCloud
from dusnet.detectors import create, create_for_parts, load_model
from dusnet.detectors.feature_space import many_parts
from dusnet.detectors.feature_space.many_parts import ManyParts
from dusnet.detectors.feature_space.settings import PartsSettings
from dusnet.errors import BadConfig, BadInput
from dusnet.fitting import Training, train_together
from dusnet.geometry.visibility import visible
from dusnet.inspection.verdict import Status
from dusnet.model import Model
from dusnet.result import Result


def flat(seed: int, *, dent: float = 0.0) -> PointCloud:
    """The egg, pressed to two thirds of its height."""
    cloud = part(seed, dent=dent)
    return PointCloud(cloud.points * [1.0, 1.0, 0.67], labels=cloud.labels)


PARTS = {"egg": part, "flat": flat}


@pytest.fixture(scope="module")
def model() -> ManyParts:
    made = create_for_parts("cras", settings("cras", epochs=30), seed=1)
    made.fit({name: [make(seed) for seed in range(3)] for name, make in PARTS.items()})
    return made


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The same with calibrated limits, as `dusnet train` makes it."""
    chosen = settings("cras", epochs=30)
    chosen = chosen.model_copy(update={"calibration": chosen.calibration.model_copy(update={"replicas": 1})})
    scans = {name: [make(seed) for seed in range(3)] for name, make in PARTS.items()}
    return train_together(scans, Training(chosen), out=tmp_path_factory.mktemp("parts") / "parts.safetensors")


def test_every_scan_goes_to_its_part(model: ManyParts) -> None:
    for name, make in PARTS.items():
        for seed, dent in ((10, 0.0), (11, 0.0), (20, 5.0)):
            scores = model.score(make(seed, dent=dent))
            assert scores.part == name
            assert name in scores.likeness
            assert scores.likeness[name] == max(scores.likeness.values()) <= 1
            assert model.detector_for(scores) is model.parts[name]


def test_only_parts_that_a_scan_may_show_are_tried_and_all_where_it_fits_none(
    model: ManyParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    for name, one in model.parts.items():
        place = one.place
        monkeypatch.setattr(one, "place", lambda cloud, name=name, place=place: tried.append(name) or place(cloud))
    likely, others = model.candidates(flat(10))
    assert (likely[0], sorted(likely + others)) == ("flat", sorted(PARTS))
    assert set(model.score(flat(10)).likeness) == set(tried) == set(likely)
    monkeypatch.setattr(many_parts, "RIVAL", 1.0)
    tried.clear()
    assert model.candidates(flat(10)) == (["flat"], ["egg"])
    assert set(model.score(flat(10)).likeness) == {"flat"} == set(tried)
    stranger = PointCloud(part(10).points[:, [2, 0, 1]] * [1.4, 0.5, 1.0])
    assert len(model.candidates(stranger)[0]) == 1
    assert set(model.score(stranger).likeness) == set(PARTS)


def test_a_part_that_the_scan_lies_on_comes_before_one_that_is_more_alike(
    model: ManyParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_parts, "RIVAL", np.inf)
    monkeypatch.setattr(model.parts["egg"], "likeness", lambda _placed: 2.0)
    scan = flat(10)
    assert not model.parts["egg"].fits(model.parts["egg"].place(scan))
    scores = model.score(scan)
    assert (scores.part, set(scores.likeness)) == ("flat", {"flat"})
    monkeypatch.setattr(model.parts["egg"], "fits", lambda _placed: True)
    assert model.score(scan).part == "egg"


def test_a_small_scan_must_lie_on_a_big_part_as_closely_as_it_is_small(model: ManyParts) -> None:
    egg, dense = model.parts["egg"], part(50, points=20_000)
    piece = np.linalg.norm(dense.points - dense.points[0], axis=1) < 8
    rough = dense.points[piece] + np.random.default_rng(0).normal(scale=0.15, size=(int(piece.sum()), 3))
    scrap = egg.place(PointCloud(rough))
    aligner = egg.class_frame.aligner
    assert aligner.fits(scrap.alignment), "beside the whole part the roughness is nothing"
    assert not egg.fits(scrap)
    half = replace(scrap.alignment, residual=0.6 * scrap.alignment.residual)
    assert [aligner.fits(half, size) for size in (2.0, 1.0, 0.1)] == [True, True, False]
    assert egg.fits(egg.place(dense))


def test_views_of_one_side_go_to_their_part(model: ManyParts) -> None:
    for name, make in PARTS.items():
        for seed, direction in enumerate(([1.0, 0.0, 0.0], [0.0, 0.6, 0.8], [0.0, -0.8, 0.6])):
            scan = make(40 + seed)
            view = PointCloud(scan.points[visible(scan.points, np.array(direction))])
            assert len(view) < 0.8 * len(scan)
            assert model.score(view).part == name, direction


def test_nothing_is_scored_before_something_is_learned() -> None:
    with pytest.raises(RuntimeError, match="not been fitted"):
        create_for_parts("cras", settings("cras")).score(part(0))


def test_no_more_candidates_than_asked_for(model: ManyParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_parts, "RIVAL", np.inf)
    assert len(model.candidates(flat(10))[0]) == 2
    one = model.settings.model_copy(update={"parts": PartsSettings(candidates=1)})
    monkeypatch.setattr(model, "settings", one)
    assert model.candidates(flat(10)) == (["flat"], ["egg"])


def test_it_scores_as_the_part_does_that_it_takes_the_scan_for(model: ManyParts) -> None:
    scan = flat(20, dent=5.0)
    found, alone = model.score(scan), model.parts["flat"].score(scan)
    np.testing.assert_array_equal(found.point_scores, alone.point_scores)
    np.testing.assert_array_equal(found.deviation, alone.deviation)
    assert found.timings["part"] > 0
    assert found.object_score > max(model.score(flat(seed)).object_score for seed in (10, 11))


def test_networks_are_shared_and_places_are_not(model: ManyParts) -> None:
    egg, pressed = model.parts["egg"], model.parts["flat"]
    one, other = egg.shared_tensors(), pressed.shared_tensors()
    assert all(one[name] is other[name] or one[name].equal(other[name]) for name in one)
    assert not egg.own_tensors()["places.positions"].equal(pressed.own_tensors()["places.positions"])


def test_the_file_holds_the_networks_once_and_scores_to_the_bit(model: ManyParts, tmp_path: Path) -> None:
    path = tmp_path / "parts.safetensors"
    model.save(path)
    loaded = load_model(path)
    assert isinstance(loaded, ManyParts)
    for make in PARTS.values():
        scan = make(20, dent=5.0)
        np.testing.assert_array_equal(loaded.score(scan).point_scores, model.score(scan).point_scores)
    single = create("cras", settings("cras", epochs=1))
    single.fit([part(seed) for seed in range(3)])
    single.save(tmp_path / "single.safetensors")
    shared = sum(value.numel() * 4 for value in model.parts["egg"].shared_tensors().values())
    looks = sum(value.numel() * 8 for one in model.shape_views.values() for value in one.tensors().values())
    assert path.stat().st_size < 2 * (tmp_path / "single.safetensors").stat().st_size + looks - 0.9 * shared


def test_the_nearest_centre_can_be_looked_for_among_all_parts(model: ManyParts, tmp_path: Path) -> None:
    everywhere = create_for_parts("cras", settings("cras", epochs=2, search="all"))
    everywhere.fit({name: [make(seed) for seed in range(2)] for name, make in PARTS.items()})
    searched = everywhere.parts["egg"].own_tensors()["kept.searched"]
    assert len(searched) == 2 * len(model.parts["egg"].own_tensors()["kept.searched"])
    everywhere.save(tmp_path / "model.safetensors")
    scan = PARTS["egg"](9)
    again = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.score(scan).point_scores, everywhere.score(scan).point_scores)


def test_what_cannot_learn_many_parts_says_so() -> None:
    for name in ("pbas", "nearest"):
        with pytest.raises(BadConfig, match="cras"):
            create_for_parts(name, settings("cras"))
    with pytest.raises(BadInput, match="no part"):
        create_for_parts("cras", settings("cras")).fit({})


def test_from_training_to_a_result_that_names_the_part(opened: Model, tmp_path: Path) -> None:
    thresholds = []
    for name, make in PARTS.items():
        result = opened.score(make(20, dent=6.0), stem=name)
        record = json.loads(result.write(tmp_path).read_text())
        assert record["part"]["name"] == name
        assert record["part"]["likeness"] == pytest.approx(result.scores.likeness)
        assert set(Result.json_schema()["properties"]) >= set(record)
        assert record["threshold_source"]["good_scans"]["simulated"] == 3
        thresholds.append(record["threshold"])
    assert thresholds[0] != thresholds[1]
    assert opened.threshold_for(0.3) == max(
        one.calibration.threshold(0.3) for one in opened.detector.detectors if one.calibration is not None
    )
    done = opened.calibrate([part(30), flat(31), part(32)])
    assert done.counts == (2, 1)


def test_a_part_that_the_model_does_not_know_is_to_be_checked_again(opened: Model) -> None:
    stranger = PointCloud(part(10).points[:, [2, 0, 1]] * [1.4, 0.5, 1.0])
    assert opened.score(stranger).verdict.status is Status.RECHECK
