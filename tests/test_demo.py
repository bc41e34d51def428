"""The demo on one tiny part: the same code as the two real budgets."""

from __future__ import annotations

import json

import pytest

from dusnet import demo
from dusnet.errors import BadInput
from dusnet.synthesis.settings import BenchmarkSettings

TINY = demo.Plan(
    BenchmarkSettings(parts=("bracket",), points=600, train=2, good=2, per_kind=1, kinds=("bulge",), seed=0),
    ("registration.points=500", "calibration.replicas=1"),
)


def _tiny_plan(budget: str) -> demo.Plan:
    assert budget == "full"
    return TINY


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "plan_of", _tiny_plan)
        return out, demo.run(out)


def test_it_writes_everything_that_it_says(finished):
    out, text = finished
    results = out / "results" / "dusnet"
    for path in (results, out / "demo.png", out / "table.md", out / "models"):
        assert str(path) in text
        assert path.exists()
    names = {path.name for path in (results / "bracket").iterdir()}
    assert {"bracket_bulge0.json", "bracket_bulge0.scored.ply", "bracket_positive1.json", "summary.csv"} <= names
    assert (results / "bracket.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_has_both_detectors_and_measured_figures(finished):
    out, text = finished
    head, _, part, mean = (out / "table.md").read_text().splitlines()
    assert head.count("dusnet") == head.count("nearest") == 4
    assert part.split("|")[2:] == mean.split("|")[2:]  # one part is its own mean
    known = json.loads((out / "results" / "nearest" / "bracket" / "metrics.json").read_text())["metrics"]
    assert f"{known['p_auroc_pooled']:.3f}" in part
    assert part in text


def test_a_second_run_reuses_models_and_figures(finished, monkeypatch):
    out, text = finished
    monkeypatch.setattr(demo, "plan_of", _tiny_plan)
    kept = {path: path.stat().st_mtime_ns for path in [*out.rglob("*.safetensors"), *out.rglob("metrics.json")]}
    assert demo.run(out) == text
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_a_damaged_model_is_trained_again(finished, monkeypatch):
    out, text = finished
    monkeypatch.setattr(demo, "plan_of", _tiny_plan)
    model = out / "models" / "nearest" / "bracket.safetensors"
    model.write_bytes(model.read_bytes()[:-50])
    assert demo.run(out) == text


def test_another_budget_in_the_same_folder_is_refused(finished):
    out, _ = finished
    with pytest.raises(BadInput, match="other settings"):
        demo.run(out, budget="short")


def test_the_better_figure_is_bold():
    measured = {"cup": {"dusnet": dict.fromkeys(_KEYS, 0.75), "nearest": dict.fromkeys(_KEYS, 0.5)}}
    measured["cup"]["nearest"]["o_ap"] = None
    row = demo._table(measured).splitlines()[2]
    assert row.count("**0.750**") == 4
    assert row.count("0.500") == 3
    assert row.count("| - ") == 1


_KEYS = [key for key, _ in demo.COLUMNS]
