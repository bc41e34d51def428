"""`dusnet evaluate --together`: one model of all classes, beside detectors that learn a model per class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_parts import Run, everything_in

from dusnet.cli import main
from dusnet.data import open_dataset
from dusnet.detectors import load_model
from dusnet.detectors.settings import load_settings
from dusnet.fitting import Training, train_together

QUICK = (
    "registration.method=icp",
    "features.places=128",
    "features.replicas=0",
    "cras.epochs=3",
    "calibration.replicas=1",
)
WORDS = [word for setting in QUICK for word in ("--set", setting)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("together") / "bench"
    words = ["points=900", "train=2", "good=1", "per_kind=1", "kinds=bulge"]
    assert main(["synth", str(root), "--parts", "bolt,bowl", "--quiet", *(f"--set={one}" for one in words)]) == 0
    return root


def results(out: Path) -> dict:
    return json.loads((out / "results.json").read_text())


@pytest.mark.long
def test_it_scores_what_the_model_that_train_writes_does(run: Run, bench: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("evaluate", bench, "--together", "cras", "--detector", "template", "--seeds", 1, "--out", out, *WORDS)
    assert done.code == 0, done.err
    assert "| cras (one model) | one for all | 2 | 4 |" in done.out
    assert "| template | one per class | 2 | 4 |" in done.out
    data = results(out)
    assert list(data["contenders"]) == ["template", "cras (one model)"]
    rows = [row for row in data["rows"] if row["detector"] == "cras (one model)"]
    dataset, path = open_dataset(bench), tmp_path / "parts.safetensors"
    parts = {name: [sample.load() for sample in dataset.train(name)] for name in dataset.classes}
    train_together(parts, Training(load_settings(None, ["detector=cras", *QUICK])), out=path)
    model = load_model(path)
    assert [row["class_name"] for row in rows] == list(dataset.classes)
    for row in rows:
        taken = []
        for sample, scan in zip(dataset.test(row["class_name"]), row["scans"], strict=True):
            scores = model.score(sample.load(), explain=False)
            assert scan["object_score"] == pytest.approx(scores.object_score, rel=1e-5)
            assert scan["threshold"] == pytest.approx(scores.threshold, rel=1e-5)
            taken.append(scores.part == row["class_name"])
        assert row["recognized"] == sum(taken) / len(taken)
        # What a model file says about where its scans come from is all that differs.
        assert row["model_mb"] == pytest.approx(path.stat().st_size / 1e6, rel=1e-3)
    again = run("evaluate", bench, "--together", "cras", "--seeds", 1, "--out", out, *WORDS)
    assert again.code == 0, again.err
    assert results(out)["rows"] == rows, "without --detector there is no other, and finished rows are kept"


def test_variants_of_a_study_learn_together(run: Run, bench: Path, tmp_path: Path) -> None:
    study = tmp_path / "mine.yaml"
    study.write_text("title: x\nvariants: [{name: a}, {name: b, settings: {cras: {inputs: raw}}}]")
    words = ["--study", study, "--seeds", 1, "--no-calibrate", "--out", tmp_path / "out", *WORDS]
    done = run("evaluate", bench, "--together", "cras", *words)
    assert done.code == 0, done.err
    data = results(tmp_path / "out")
    assert list(data["contenders"]) == ["cras (one model): a", "cras (one model): b"]
    assert len(data["rows"]) == 4
    assert len({row["scans"][0]["object_score"] for row in data["rows"]}) == 4
    assert {row["false_alarms"] for row in data["rows"]} == {None}
    assert data["all_classes"] == [], "there are no thresholds"


@pytest.mark.parametrize("study", [[], ["--study", "cras"]])
def test_what_learns_one_part_at_a_time_is_refused(run: Run, bench: Path, tmp_path: Path, study: list[str]) -> None:
    for name in ("pbas", "patchcore"):
        done = run("evaluate", bench, "--together", f"cras,{name}", *study, "--out", tmp_path / "out", "--quiet")
        assert done.code == 2
        assert f"{name} learns one part at a time; choose one of cras" in done.sentence
    assert everything_in(tmp_path / "out") == set()


def test_no_name_at_all_is_a_mistake(run: Run, bench: Path, tmp_path: Path) -> None:
    done = run("evaluate", bench, "--together", ",", "--out", tmp_path / "out", "--quiet")
    assert done.code == 2
    assert "no detector" in done.sentence
