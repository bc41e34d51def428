"""One model of all classes in an evaluation: trained once per seed, scored on every class, rows as for any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_benchmark import FILE_BYTES, Factory, FactoryForParts, NearestOfParts, evaluate
from test_jobs import timeless

from dusnet.data import Dataset, open_dataset
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, DusnetError
from dusnet.evaluation.contender import Contender, contenders_of
from dusnet.evaluation.corruption import Corruption
from dusnet.evaluation.rows import Row
from dusnet.evaluation.setup import Evaluation, RowKey, units_of
from dusnet.evaluation.store import fingerprint, row_name, training_fingerprint

SETTINGS = Settings.model_validate({"calibration": {"replicas": 1}})
SHARED = Contender("near (one model)", "near", SETTINGS, together=True)
ALONE = Contender("near", "near", SETTINGS)


def run(dataset: Dataset, out: Path, made: FactoryForParts, entries=(SHARED,), **options) -> list[Row]:
    options = {"calibrate": False, "create": Factory(), **options}
    return evaluate(dataset, list(entries), out=out, create_for_parts=made, **options)


def results(out: Path) -> dict:
    return json.loads((out / "results.json").read_text())


def test_one_training_per_seed_answers_for_all_classes(dataset, tmp_path):
    made, alone = FactoryForParts(), Factory()
    rows = run(dataset, tmp_path / "out", made, (ALONE, SHARED), seeds=2, calibrate=True, create=alone)
    assert [(row.class_name, row.detector, row.seed) for row in rows] == [
        (name, one.name, seed) for name in ("lid", "tray") for one in (ALONE, SHARED) for seed in (0, 1)
    ]
    assert made.fits == [("near", "lid,tray", str(seed), "False") for seed in (0, 1)]
    assert len(alone.fits) == 4
    shared = {(row.class_name, row.seed): row for row in rows if row.detector == SHARED.name}
    bare = {(row.class_name, row.seed): row for row in rows if row.detector == ALONE.name}
    for seed, model in enumerate(made.made[-2:]):
        lid, tray = shared["lid", seed], shared["tray", seed]
        assert model.seed == seed
        assert len(model.scored) == 10, "every test scan is scored once"
        assert lid.train_seconds == tray.train_seconds > 0
        assert lid.calibrate_seconds == tray.calibrate_seconds > 0
        assert (lid.train_scans, lid.test_scans, lid.model_mb) == (4, 5, 2 * FILE_BYTES / 1e6)
        assert (lid.recognized, tray.recognized) == (3 / 5, 1.0), "two scans of lid were taken for tray"
        thresholds = {name: part.calibration.threshold(0.2) for name, part in model.parts.items()}
        assert len(set(thresholds.values())) == 2
        for scan in lid.scans:
            taken = "tray" if f"lid/{Path(scan.file).stem}" in NearestOfParts.mistaken else "lid"
            assert scan.threshold == thresholds[taken]
        # Tray is judged by its own part alone, which the same scans and seed taught what the detector of its own knows.
        assert tray.metrics == bare["tray", seed].metrics
        assert {scan.threshold for scan in tray.scans} == {scan.threshold for scan in bare["tray", seed].scans}
    assert not list((tmp_path / "out/work").iterdir()), "checkpoints of finished rows are of no use"
    data = results(tmp_path / "out")
    assert [data["contenders"][one.name]["together"] for one in (ALONE, SHARED)] == [False, True]
    assert Row.from_record(json.loads(json.dumps(rows[2].record()))) == rows[2]


def test_classes_are_learned_in_the_order_in_which_they_are_chosen(dataset, tmp_path):
    made = FactoryForParts()
    before = run(dataset, tmp_path / "out", made, classes=["tray", "lid"])
    assert made.fits == [("near", "tray,lid", "0", "False")]
    after = run(dataset, tmp_path / "out", made, classes=["lid", "tray"])
    assert made.fits[1:] == [("near", "lid,tray", "0", "False")], "another order is another model"
    assert {row.fingerprint for row in before}.isdisjoint(row.fingerprint for row in after)


def test_only_missing_rows_are_computed_again_by_a_new_training(dataset, tmp_path):
    first, second = FactoryForParts(), FactoryForParts()
    before = run(dataset, tmp_path / "out", first, seeds=2)
    (tmp_path / "out/rows" / f"{row_name(SHARED.name, 'tray', 1)}.json").unlink()
    after = run(dataset, tmp_path / "out", second, seeds=2)
    assert second.fits == [("near", "lid,tray", "1", "False")]
    assert [file.split("/")[0] for file in second.made[-1].scored] == ["tray"] * 5
    assert after[:3] == before[:3]
    assert timeless(after[3]) == timeless(before[3])
    assert not list((tmp_path / "out/work").iterdir())
    third = FactoryForParts()
    assert run(dataset, tmp_path / "out", third, seeds=2) == after
    assert third.fits == []
    assert len(run(dataset, tmp_path / "out", third, seeds=2, resume=False)) == 4
    assert len(third.fits) == 2


def test_a_failing_training_fails_every_class_once_and_is_resumed(dataset, tmp_path):
    broken = FactoryForParts(broken=True)
    with pytest.raises(DusnetError, match=r"class lid \(near \(one model\), seed 0\): n0.xyz is odd.*: tray with near"):
        run(dataset, tmp_path / "out", broken, (ALONE, SHARED), seeds=2)
    assert len(broken.fits) == 1, "what failed for one class and seed is not tried for the others"
    assert {row["detector"] for row in results(tmp_path / "out")["rows"]} == {"near"}
    assert len(results(tmp_path / "out")["failed"]) == 2
    mended = FactoryForParts()
    rows = run(dataset, tmp_path / "out", mended, (ALONE, SHARED))
    assert mended.fits == [("near", "lid,tray", "0", "True")], "checkpoints of the failed training go to fit"
    assert [row.train_resumed for row in rows if row.together] == [True, True]


def test_checkpoints_are_kept_until_every_class_is_there(dataset, tmp_path):
    scan = tmp_path / "parts/tray/test/good/good1.xyz"
    content = scan.read_bytes()
    scan.write_text("1 2 oops\n")
    with pytest.raises(DusnetError, match=r"class tray \(near \(one model\), seed 0\): .*good1"):
        run(dataset, tmp_path / "out", FactoryForParts())
    assert [row["class_name"] for row in results(tmp_path / "out")["rows"]] == ["lid"]
    (folder,) = (tmp_path / "out/work").iterdir()
    assert [path.name for path in folder.iterdir()] == ["checkpoint"], "the model file was only measured"
    scan.write_bytes(content)
    again = FactoryForParts()
    run(dataset, tmp_path / "out", again)
    assert again.fits == [("near", "lid,tray", "0", "True")]
    assert len(again.made[-1].scored) == 5
    assert not list((tmp_path / "out/work").iterdir())


@pytest.mark.usefixtures("dataset")
def test_a_class_without_scans_to_learn_from_fails_all_and_one_without_test_scans_itself(tmp_path):
    tray, made = tmp_path / "parts/tray", FactoryForParts()
    (tray / "normal").rename(tmp_path / "normal")
    with pytest.raises(DusnetError, match=r"class lid \(.*tray has no defect-free scans.*\(failed too: tray with near"):
        run(open_dataset(tmp_path / "parts"), tmp_path / "out", made)
    assert made.fits == []
    (tmp_path / "normal").rename(tray / "normal")
    for path in (tray / "test").rglob("*.xyz"):
        path.unlink()
    with pytest.raises(DusnetError, match=r"class tray \(.*no test scans in class tray.*out; finished rows"):
        run(open_dataset(tmp_path / "parts"), tmp_path / "out", made)
    assert [row["class_name"] for row in results(tmp_path / "out")["rows"]] == ["lid"]


def test_the_fingerprint_covers_the_training_of_all_classes_and_the_tests_of_its_own(dataset, tmp_path):
    def marks(learned=("lid", "tray"), contender=SHARED) -> list[str]:
        setup = Evaluation(open_dataset(dataset.root), {contender.name: contender}, tmp_path / "out")
        keys = [RowKey(contender.name, name, 0, learned) for name in ("lid", "tray")]
        return [training_fingerprint(setup, keys[0]), *(fingerprint(setup, key) for key in keys)]

    def changed(path: str) -> list[bool]:
        before = marks()
        with (tmp_path / "parts" / path).open("a") as file:
            file.write("\n")
        return [one != other for one, other in zip(before, marks(), strict=True)]

    assert changed("tray/normal/n0.xyz") == [True, True, True]
    assert changed("tray/test/good/good0.xyz") == [False, False, True]
    assert changed("lid/gt/bump0.txt") == [False, True, False]
    base = marks()
    for other in (marks(("tray", "lid")), marks(contender=replace(SHARED, together=False)), marks(("lid",))):
        assert not set(base) & set(other)
    worse = marks(contender=replace(SHARED, name="noisy", corruption=Corruption(noise=0.1)))
    assert worse[0] == base[0], "what is done to test scans and what it is called do not change the training"
    assert worse[1] != base[1]


@pytest.mark.long
def test_two_jobs_give_the_rows_of_one(dataset, tmp_path):
    one = run(dataset, tmp_path / "one", FactoryForParts(), (ALONE, SHARED))
    made = FactoryForParts()
    two = run(dataset, tmp_path / "two", made, (ALONE, SHARED), jobs=2)
    assert made.fits == [], "the work was done in other processes"
    assert [timeless(row) for row in two] == [timeless(row) for row in one]
    assert [row.recognized for row in two] == [None, 3 / 5, None, 1.0]
    assert not list((tmp_path / "two/work").iterdir())


@pytest.mark.slow
def test_two_jobs_compute_the_missing_rows_of_a_model(dataset, tmp_path):
    options = {"seeds": 2, "calibrate": True}
    one = run(dataset, tmp_path / "out", FactoryForParts(), (ALONE, SHARED), **options)
    for name, seed in ((SHARED.name, 1), ("near", 0)):
        (tmp_path / "out/rows" / f"{row_name(name, 'lid', seed)}.json").unlink()
    two = run(dataset, tmp_path / "out", FactoryForParts(), (ALONE, SHARED), jobs=2, **options)
    assert [timeless(row) for row in two] == [timeless(row) for row in one]
    new = [(row.detector, row.class_name, row.seed) for row, other in zip(two, one, strict=True) if row != other]
    assert new == [("near", "lid", 0), (SHARED.name, "lid", 1)]
    assert not list((tmp_path / "out/work").iterdir())


@pytest.mark.slow
def test_a_training_that_fails_in_another_process_fails_every_class(dataset, tmp_path):
    with pytest.raises(DusnetError, match=r"class (lid|tray) \(near \(one model\), seed 0\): n0.xyz is odd"):
        run(dataset, tmp_path / "out", FactoryForParts(broken=True), (ALONE, SHARED), jobs=2)
    assert len(results(tmp_path / "out")["failed"]) == 2
    assert [row["detector"] for row in results(tmp_path / "out")["rows"]] == ["near", "near"]


def test_variants_that_differ_in_their_test_scans_share_the_training(dataset, tmp_path):
    noisy = replace(SHARED, name="noisy", corruption=Corruption(noise=0.05))
    made = FactoryForParts()
    lid, worse, *_ = run(dataset, tmp_path / "out", made, (SHARED, noisy))
    assert len(made.fits) == 1
    assert worse.train_seconds == lid.train_seconds
    assert worse.scans[0].object_score > lid.scans[0].object_score
    assert not list((tmp_path / "out/work").iterdir())


def test_rows_are_grouped_by_what_they_share():
    other = replace(SHARED, name="second", detector="second")
    noisy = replace(SHARED, name="noisy", corruption=Corruption(noise=0.05))
    entries = {one.name: one for one in (ALONE, SHARED, noisy, other)}
    first, second, lid, tray, *later = units_of(entries, ["lid", "tray"], range(2))
    both = ("lid", "tray")
    assert first.rows == tuple(RowKey(name, one, 0, both) for name in (SHARED.name, "noisy") for one in both)
    assert second.rows == tuple(RowKey("second", one, 0, both) for one in both)
    assert (lid.rows, tray.rows) == ((RowKey("near", "lid", 0, ("lid",)),), (RowKey("near", "tray", 0, ("tray",)),))
    assert [{row.seed for row in unit.rows} for unit in later] == [{1}] * 4
    assert (lid.describe(), first.describe()) == ("class lid", "2 classes with one model")
    assert len(units_of({SHARED.name: SHARED}, ["lid", "tray"], range(1))) == 1


def test_a_detector_that_cannot_learn_many_parts_is_refused_before_any_work(dataset, tmp_path):
    alone, made = Factory(), FactoryForParts()
    refused = Contender("flat (one model)", "flat", SETTINGS, together=True)
    with pytest.raises(BadConfig, match="one part at a time"):
        run(dataset, tmp_path / "out", made, (ALONE, SHARED, refused), create=alone)
    assert alone.fits == made.fits == []
    with pytest.raises(BadConfig, match="pbas learns one part at a time; choose one of cras"):
        evaluate(dataset, [Contender("pbas (one model)", "pbas", SETTINGS, together=True)], out=tmp_path / "out")
    assert not np.any([path.is_file() for path in (tmp_path / "out").rglob("*")])


def test_what_only_one_model_of_all_reads_decides_nothing_else():
    settings = Settings.model_validate({"parts": {"candidates": 2}})
    named = contenders_of([Contender("cras (one model)", "cras", settings, together=True), "cras"], settings)
    shared, alone = named.values()
    assert shared.settings.parts.candidates == 2
    assert alone.settings.parts.candidates == Settings().parts.candidates
