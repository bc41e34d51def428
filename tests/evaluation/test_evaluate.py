from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from small_benchmark import FILE_BYTES, Factory, evaluate

from dusnet.config import ScoringSettings
from dusnet.data import open_dataset
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput, DusnetError
from dusnet.evaluation import compute as row_computation
from dusnet.evaluation import run as running
from dusnet.evaluation.memory import PeakMeter
from dusnet.evaluation.metrics import METRICS
from dusnet.evaluation.report import CSV_FIELDS
from dusnet.evaluation.store import load_row, row_name

SETTINGS = Settings()


def run(dataset, out, factory, detectors=("near",), **options):
    options = {"settings": SETTINGS, "out": out, "create": factory, "calibrate": False, **options}
    return evaluate(dataset, list(detectors), **options)


def results(out: Path):
    return json.loads((out / "results.json").read_text())


def test_one_row_per_class_detector_and_seed_with_true_numbers(dataset, factory, tmp_path):
    rows = run(dataset, tmp_path / "out", factory, ("near", "flat"), seeds=2)
    assert [(row.class_name, row.detector, row.seed) for row in rows] == [
        (name, detector, seed) for name in ("lid", "tray") for detector in ("near", "flat") for seed in (0, 1)
    ]
    row = rows[0]
    # The same by hand: the training points that seed 0 keeps, the nearest of them, the mean of the 20 farthest.
    training = np.concatenate([sample.load().points for sample in dataset.train("lid")])
    tree = cKDTree(training[np.random.default_rng(0).random(len(training)) < 0.5])
    by_hand = {}
    for sample in dataset.test("lid"):
        distance = tree.query(sample.load().points)[0].astype(np.float32)
        by_hand[sample.path.stem] = float(np.sort(distance)[-20:].mean())
    assert {Path(scan.file).stem: scan.object_score for scan in row.scans} == by_hand
    assert {scan.file for scan in row.scans} > {"lid/test/good/good0.xyz", "lid/test/bump/bump1.xyz"}
    assert {Path(scan.file).stem for scan in row.scans if scan.anomalous} == {"bump0", "bump1"}
    assert row.metrics["o_auroc"] == 1.0
    assert row.metrics["p_auroc_pooled"] > 0.95
    assert row.reasons == {}
    assert (row.train_scans, row.test_scans, row.test_points) == (2, 5, 2000)
    assert row.found == 1.0
    assert row.false_alarms == 0.0
    assert row.train_seconds > 0
    assert row.score_seconds == np.median([scan.seconds for scan in row.scans])
    assert row.scans_per_second == pytest.approx(5 / sum(scan.seconds for scan in row.scans))
    assert row.peak_memory_mib > 20
    assert row.model_mb == FILE_BYTES / 1e6
    assert row.recognized is None, "there is nothing to recognize with a model per class"
    # The flat detector cannot tell anything from anything.
    assert rows[2].metrics["o_auroc"] == 0.5
    assert rows[2].metrics["o_ap"] == pytest.approx(2 / 5)


def test_files_say_the_same_as_the_rows(dataset, factory, tmp_path):
    out = tmp_path / "out"
    rows = run(dataset, out, factory, ("near", "flat"))
    data = results(out)
    assert data["dataset"]["layout"] == "folder"
    assert data["failed"] == []
    assert set(METRICS) <= set(data["conventions"])
    assert data["settings"]["near"]["scoring"]["smoothing"] == SETTINGS.scoring.smoothing
    assert [entry["metrics"]["o_ap"] for entry in data["rows"]] == [row.metrics["o_ap"] for row in rows]
    assert [len(entry["scans"]) for entry in data["rows"]] == [5] * 4
    assert data["means"][0]["values"]["p_ap_pooled"] == pytest.approx(
        np.mean([row.metrics["p_ap_pooled"] for row in rows if row.detector == "near"])
    )
    with (out / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == CSV_FIELDS
    assert [float(line["p_aupro"]) for line in lines] == [row.metrics["p_aupro"] for row in rows]
    assert "| mean of 2 | near |" in (out / "results.md").read_text()
    for row in rows:
        assert load_row(out / "rows" / f"{row_name(row.detector, row.class_name, 0)}.json", row.fingerprint) == row
    assert not list((out / "work").iterdir()), "checkpoints of finished rows are of no use"


def test_the_threshold_comes_from_good_scans_alone(dataset, factory, tmp_path):
    (bare,) = run(dataset, tmp_path / "out", factory, classes=["lid"])
    (row,) = run(dataset, tmp_path / "out", factory, classes=["lid"], calibrate=True)
    assert len(factory.fits) == 2, "a row without a learned threshold is not one with it"
    assert (bare.calibrate_seconds, {scan.threshold for scan in bare.scans}) == (None, {0.9})
    assert row.calibrate_seconds > 0
    calibration = factory.made[-1].calibration
    assert len(calibration.good) == 2 * SETTINGS.calibration.replicas
    assert {scan.threshold for scan in row.scans} == {calibration.threshold(0.2)}
    good = [scan.object_score > calibration.threshold(0.2) for scan in row.scans if not scan.anomalous]
    bad = [scan.object_score > calibration.threshold(0.2) for scan in row.scans if scan.anomalous]
    assert (row.false_alarms, row.found) == (np.mean(good), np.mean(bad))
    assert row.metrics == bare.metrics


def test_no_detector_sees_labels(dataset, factory, tmp_path):
    run(dataset, tmp_path / "out", factory)
    assert not any(detector.saw_labels for detector in factory.made)


def test_a_score_does_not_depend_on_the_other_test_scans(dataset, factory, tmp_path):
    every = run(dataset, tmp_path / "all", factory, classes=["lid"])[0]
    for path in (tmp_path / "parts/lid/test/good").iterdir():
        if path.stem != "good0":
            path.unlink()
    fewer = run(open_dataset(tmp_path / "parts"), tmp_path / "few", factory, classes=["lid"])[0]
    kept = {scan.file: scan.object_score for scan in every.scans}
    assert len(fewer.scans) == 3
    assert all(kept[scan.file] == scan.object_score for scan in fewer.scans)


def test_finished_rows_are_not_computed_again(dataset, tmp_path):
    first, second = Factory(), Factory()
    before = run(dataset, tmp_path / "out", first, seeds=2, classes=["lid"])
    after = run(dataset, tmp_path / "out", second, seeds=3)
    assert len(first.fits) == 2
    assert second.fits == [("near", "tray", "0"), ("near", "tray", "1"), ("near", "lid", "2"), ("near", "tray", "2")]
    assert after[:2] == before
    third = Factory()
    assert len(run(dataset, tmp_path / "out", third, seeds=3, resume=False)) == 6
    assert len(third.fits) == 6


def test_rows_of_other_settings_or_files_are_not_reused(dataset, tmp_path):
    out, factory = tmp_path / "out", Factory()
    run(dataset, out, factory)
    run(dataset, out, factory, settings={"near": Settings(scoring=ScoringSettings(smoothing=3))})
    assert len(factory.fits) == 4
    run(dataset, out, factory, settings=Settings(scoring=ScoringSettings(smoothing=3)))
    assert len(factory.fits) == 4
    with (tmp_path / "parts/tray/gt/bump0.txt").open("a") as file:
        file.write("\n")
    run(dataset, out, factory, settings=Settings(scoring=ScoringSettings(smoothing=3)))
    assert factory.fits[4:] == [("near", "tray", "0")]


def test_rows_that_are_there_do_not_each_renew_the_tables(dataset, factory, tmp_path, monkeypatch):
    out, written = tmp_path / "out", []
    run(dataset, out, factory, ("near", "flat"), seeds=4)

    def write(*given):
        written.append(len(given[1]))

    monkeypatch.setattr(running, "write_results", write)
    monkeypatch.setattr(running, "RENEW_SECONDS", 1e9)
    run(dataset, out, factory, ("near", "flat"), seeds=4)
    assert written == [1, 16], "the first row, and all of them at the end"


def test_a_dataset_that_moved_keeps_its_rows(dataset, tmp_path):
    out, factory = tmp_path / "out", Factory()
    run(dataset, out, factory)
    (tmp_path / "parts").rename(tmp_path / "elsewhere")
    run(open_dataset(tmp_path / "elsewhere"), out, factory)
    assert len(factory.fits) == 2


def nothing(text: str) -> str:
    return text[:0]


def a_bracket(text: str) -> str:
    return text[:1]


def cut(text: str) -> str:
    return text[: len(text) // 2]


def of_another_version(text: str) -> str:
    return text.replace('"schema_version": 3', '"schema_version": 1')


def without_mark(text: str) -> str:
    """As earlier versions wrote it, and of one of these."""
    return of_another_version(text.replace('  "generator": "dusnet",\n', ""))


@pytest.mark.parametrize("damage", [nothing, a_bracket, cut, of_another_version, without_mark])
def test_a_damaged_row_is_computed_again(dataset, tmp_path, damage):
    out, factory = tmp_path / "out", Factory()
    (row,) = run(dataset, out, factory, classes=["lid"])
    target = out / "rows" / f"{row_name('near', 'lid', 0)}.json"
    assert damage(target.read_text()) != target.read_text()
    target.write_text(damage(target.read_text()))
    (again,) = run(dataset, out, factory, classes=["lid"])
    assert len(factory.fits) == 2
    assert again.metrics == row.metrics


def test_a_row_that_an_earlier_version_wrote_without_mark_is_taken(dataset, tmp_path):
    out, factory = tmp_path / "out", Factory()
    (row,) = run(dataset, out, factory, classes=["lid"])
    target = out / "rows" / f"{row_name('near', 'lid', 0)}.json"
    record = json.loads(target.read_text())
    assert record.pop("generator") == "dusnet"
    target.write_text(json.dumps(record))
    assert run(dataset, out, factory, classes=["lid"]) == [row]
    assert len(factory.fits) == 1


OTHERS = ("null", "[1]", "my notes", '{"schema_version": 3}', '{"generator": "mine"}', '{\n  "generator": "dusnets",')


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("text", OTHERS)
def test_a_file_of_others_among_the_rows_stays(dataset, tmp_path, text, jobs):
    out, factory = tmp_path / "out", Factory()
    target = out / "rows" / f"{row_name('near', 'tray', 0)}.json"
    target.parent.mkdir(parents=True)
    target.write_text(text)
    with pytest.raises(BadInput, match=r"near--tray--seed0.json was not written by dusnet.* move it away"):
        run(dataset, out, factory, jobs=jobs)
    assert target.read_text() == text
    assert not factory.fits, "it is noticed before the work"


def test_a_link_or_a_folder_among_the_rows_stays(dataset, tmp_path):
    out, notes = tmp_path / "out", tmp_path / "notes.json"
    target = out / "rows" / f"{row_name('near', 'lid', 0)}.json"
    target.mkdir(parents=True)
    with pytest.raises(BadInput, match="is a folder"):
        run(dataset, out, Factory())
    target.rmdir()
    notes.write_text("{}")
    target.symlink_to(notes)
    with pytest.raises(BadInput, match="was not written by dusnet"):
        run(dataset, out, Factory())
    assert notes.read_text() == "{}"


def test_a_file_that_comes_while_a_row_is_computed_stays(dataset, tmp_path, monkeypatch):
    out = tmp_path / "out"
    target = out / "rows" / f"{row_name('near', 'lid', 0)}.json"
    compute = row_computation._measured

    def meanwhile(*given):
        target.parent.mkdir()
        target.write_text("mine")
        return compute(*given)

    monkeypatch.setattr(row_computation, "_measured", meanwhile)
    with pytest.raises(DusnetError, match="was not written by dusnet"):
        run(dataset, out, Factory(), classes=["lid"])
    assert target.read_text() == "mine"


def test_a_failing_class_is_named_and_the_others_are_kept(dataset, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DusnetError, match=r"class lid \(near, seed 0\): n0.xyz is odd; .*run again\.$"):
        run(dataset, out, Factory(("near", "lid")), ("near", "second"), seeds=2)
    done = {(entry["class_name"], entry["detector"], entry["seed"]) for entry in results(out)["rows"]}
    assert done == {("lid", "second", 0), ("tray", "near", 0), ("tray", "second", 0)} | {
        ("lid", "second", 1),
        ("tray", "near", 1),
        ("tray", "second", 1),
    }
    assert len(results(out)["failed"]) == 1
    assert "failed: class lid" in (out / "results.md").read_text()
    mended = Factory()
    assert len(run(dataset, out, mended, ("near", "second"), seeds=2)) == 8
    assert mended.fits == [("near", "lid", "0"), ("near", "lid", "1")]
    assert mended.log[0][4] == "True", "the checkpoint of the failed row goes to fit"


def test_a_damaged_scan_fails_its_class_only(dataset, factory, tmp_path):
    (tmp_path / "parts/lid/test/good/good1.xyz").write_text("1 2 oops\n")
    with pytest.raises(DusnetError, match=r"class lid .*good1"):
        run(dataset, tmp_path / "out", factory)
    assert [entry["class_name"] for entry in results(tmp_path / "out")["rows"]] == ["tray"]


def test_nan_scores_are_an_error_that_names_scan_and_class(dataset, factory, tmp_path):
    def create(*args, **options):
        detector = factory(*args, **options)
        honest = detector.score

        def score(cloud, *, explain):
            scores = honest(cloud, explain=explain)
            scores.point_scores[3] = np.nan
            return scores

        detector.score = score
        return detector

    with pytest.raises(DusnetError, match=r"class lid .*near gave 1 NaN .*xyz|class lid .*near gave 1 NaN .*txt"):
        run(dataset, tmp_path / "out", create, classes=["lid"])


def test_a_bug_keeps_its_traceback(dataset, factory, tmp_path):
    def create(*args, **options):
        detector = factory(*args, **options)
        detector.fit = lambda *_, **__: {}["a bug"]
        return detector

    with pytest.raises(KeyError):
        run(dataset, tmp_path / "out", create)


def test_ctrl_c_loses_only_the_row_in_progress(dataset, tmp_path):
    out, stopped = tmp_path / "out", Factory()

    def create(*args, **options):
        detector = stopped(*args, **options)
        honest = detector.fit

        def fit(clouds, **more):
            honest(clouds, **more)
            if clouds[0].path.parent.parent.name == "tray":
                raise KeyboardInterrupt

        detector.fit = fit
        return detector

    with pytest.raises(KeyboardInterrupt):
        run(dataset, out, create)
    assert [entry["class_name"] for entry in results(out)["rows"]] == ["lid"]
    again = Factory()
    rows = run(dataset, out, again)
    assert again.log == [("fit", "near", "tray", "0", "True")]
    assert [row.train_resumed for row in rows] == [False, True]


@pytest.mark.usefixtures("dataset")
def test_a_class_with_one_label_has_nan_and_a_reason(factory, tmp_path):
    for path in (tmp_path / "parts/lid/test/good").iterdir():
        path.unlink()
    rows = run(open_dataset(tmp_path / "parts"), tmp_path / "out", factory)
    assert math.isnan(rows[0].metrics["o_auroc"])
    assert rows[0].reasons["o_auroc"] == "no normal scan among 2"
    assert rows[0].false_alarms is None
    text = (tmp_path / "out/results.md").read_text()
    assert "lid: O-AUROC, O-AP, O-F1max undefined, no normal scan among 2." in text
    assert "near: the mean of O-AUROC covers 1 of 2 classes." in text
    assert results(tmp_path / "out")["rows"][0]["metrics"]["o_auroc"] is None


@pytest.mark.usefixtures("dataset")
def test_anomalous_scans_without_labels_leave_the_object_metrics(factory, tmp_path):
    for path in (tmp_path / "parts/lid/gt").iterdir():
        path.unlink()
    (row,) = run(open_dataset(tmp_path / "parts"), tmp_path / "out", factory, classes=["lid"])
    assert row.metrics["o_auroc"] == 1.0
    assert "no labels" in row.reasons["p_auroc_clouds"]


def test_mistakes_are_found_before_any_work(dataset, factory, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(BadInput, match="lit"):
        run(dataset, out, factory, classes=["tray", "lit"])
    with pytest.raises(BadConfig, match="wrong"):
        run(dataset, out, factory, ("near", "wrong"))
    with pytest.raises(BadConfig, match="'flat'"):
        run(dataset, out, factory, ("near", "flat"), settings={"near": SETTINGS})
    with pytest.raises(BadConfig, match="seeds"):
        run(dataset, out, factory, seeds=0)
    with pytest.raises(BadConfig, match="no detector"):
        run(dataset, out, factory, ())
    with pytest.raises(BadConfig, match="no class"):
        run(dataset, out, factory, classes=[])
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot hold results"):
        run(dataset, tmp_path / "file", factory)
    assert factory.fits == []


def test_row_names_are_file_names_and_differ():
    assert row_name("dusnet", "vase0", 2) == "dusnet--vase0--seed2"
    odd = {row_name("dusnet", name, 0) for name in ("a/b", "a b", "a_b", "Schlüssel 3", "../x")}
    assert len(odd) == 5
    assert not any("/" in name for name in odd)


def test_the_peak_meter_sees_what_was_used_and_forgets_what_came_before():
    big = np.ones(40_000_000)
    meter = PeakMeter()
    without = meter.read()
    del big
    meter = PeakMeter()
    small = meter.read()
    block = np.ones(20_000_000)
    assert meter.read().mib >= small.mib + block.nbytes / 2**20 - 20
    if small.scope == "row":
        assert small.mib < without.mib - 200
    assert small.gpu_mib is None


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, dusnet.evaluation.run, dusnet.evaluation.tables, dusnet.inspection.result_files\n"
        "heavy = {'sklearn', 'open3d', 'plotly', 'lightning', 'lightning_fabric', 'h5py', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
