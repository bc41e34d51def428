"""Settings, evaluation rows and results that somebody else has written: refused in one sentence, or right."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest
import yaml
from mutants import as_json, mutated_text, mutated_tree, refused_or_right
from written_results import result_of

from dusnet.cloud import PointCloud
from dusnet.detectors.base import Scores
from dusnet.detectors.settings import Settings, load_settings
from dusnet.display.loaded_result import read_loaded_result
from dusnet.display.scene import Scene
from dusnet.display.web.text import legend, verdict
from dusnet.errors import BadConfig, BadInput
from dusnet.evaluation.metrics import METRICS
from dusnet.evaluation.report import markdown
from dusnet.evaluation.rows import Row
from dusnet.evaluation.store import load_row
from dusnet.inspection.regions import Region
from dusnet.inspection.result_parts import AllowedDeviation, CadFile, Comparison, Defect, OutOfTolerance, PartFrame
from dusnet.io import parse_json, write_cloud

FEW, MANY = 120, 2_500
"""Mutants of each of the four kinds of files, in the usual and in the slow tests."""
sizes = pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])


SOME = ("detector", "registration", "up_net", "scoring", "features", "calibration")
"""Sections that have every kind of value."""


@sizes
def test_mutants_of_settings_files(count, tmp_path):
    rng, tree, path = random.Random(1), Settings().model_dump(mode="json", include=set(SOME)), tmp_path / "x.yaml"
    text, read = yaml.safe_dump(tree), 0
    for number in range(count):
        if number % 2:
            mutant = mutated_text(rng, text)
        else:
            mutant = yaml.safe_dump(mutated_tree(rng, tree)[0])
        path.write_bytes(mutant.encode("utf-8", "surrogatepass"))
        read += refused_or_right(lambda: load_settings(path), mutant[:200])
    assert 0 < read < count


@sizes
def test_mutants_of_set(count):
    rng = random.Random(2)
    right = ["training.down.steps=2001", "features.heights=[4, 16]", "scoring.gap=0.5", "guide.weights=a/b.safetensors"]
    read = 0
    for _ in range(count):
        mutant = mutated_text(rng, mutated_text(rng, rng.choice(right)))
        read += refused_or_right(lambda text=mutant: load_settings(None, [text]), mutant)
    assert 0 < read < count


SCORE = {"file": "a.ply", "kind": "good", "anomalous": False, "object_score": 0.5, "threshold": 1.0, "points": 9}
ROW: dict[str, Any] = {
    "schema_version": 3,
    "detector": "nearest",
    "class_name": "lid",
    "seed": 0,
    "metrics": dict.fromkeys(METRICS, 0.5) | {"p_aupro": None},
    "reasons": {"p_aupro": "no region"},
    "kinds": [{"kind": "bump", "scans": 2, "o_auroc": 0.5, "p_auroc": None, "p_ap": 0.25}],
    **dict.fromkeys(("train_scans", "test_scans", "test_points"), 2),
    **dict.fromkeys(("train_seconds", "score_seconds", "scans_per_second", "peak_memory_mib", "model_mb"), 0.5),
    "train_resumed": False,
    "calibrate_seconds": None,
    "peak_memory_scope": "row",
    **dict.fromkeys(("peak_gpu_mib", "false_alarms", "found", "recognized")),
    "device": "cpu",
    "scans": [SCORE | {"seconds": 0.1}, SCORE | {"anomalous": True, "threshold": None, "seconds": 0.1}],
    "fingerprint": "mark",
}


@sizes
def test_mutants_of_evaluation_rows(count, tmp_path):
    rng, path = random.Random(3), tmp_path / "row.json"
    path.write_text(as_json(ROW))
    assert load_row(path, "mark") == Row.from_record(ROW)
    markdown([Row.from_record(ROW)])  # loads what the tables need
    text, kept = as_json(ROW), 0
    for number in range(count):
        mutant, what = (mutated_text(rng, text), "text") if number % 3 == 0 else mutated_tree(rng, ROW)
        written = mutant if isinstance(mutant, str) else as_json(mutant)
        path.write_bytes(written.encode("utf-8", "surrogatepass"))

        def shown() -> None:
            row = load_row(path, "mark")
            if row is not None:  # then all that is made of rows can be made of it
                markdown([row])
                as_json(row.record())

        refused_or_right(shown, what)
        kept += load_row(path, "mark") is not None
    assert 0 < kept < count


def result_record() -> dict[str, Any]:
    """A result of a comparison, which has something under most of its keys, as JSON."""
    points = np.random.default_rng(0).normal(size=(40, 3))
    deviation = np.linspace(-1, 1, 40).astype(np.float32)
    scores = Scores(np.abs(deviation), 2.5, deviation=deviation, threshold=1.0, point_threshold=0.5, is_anomalous=True)
    cad = CadFile(file="a.stl", sha256="ab", unit="mm", triangles=12, watertight=True)
    compared = Comparison(
        cad=cad,
        tolerance=AllowedDeviation(plus=0.1, minus=0.1, default=False),
        rms=0.5,
        out_of_tolerance=OutOfTolerance(share=0.5, excess=0.25, missing=0.25),
        noise=0.01,
    )
    region = Region(points[0], *np.eye(3)[:1], np.eye(3), points[1], points[2], 12, 3.0, points[0], 2.0, 1.0, 1.0, None,
                    None, np.arange(3))  # fmt: skip
    frame = PartFrame(of="CAD model", matrix=np.eye(4).tolist())
    record = result_of(
        PointCloud(points), scores, stem="part", unit="mm", comparison=compared, part_frame=frame, warnings=("w",)
    ).record
    return record | {"regions": [Defect.of(region, 1, frame).model_dump(mode="json")], "region_count": 1}


RESULT = result_record()


@sizes
def test_mutants_of_results(count, tmp_path, rng):
    generator, path, points = random.Random(4), tmp_path / "part.json", rng.normal(size=(40, 3))
    scored = {"anomaly_score": np.linspace(0, 2, 40), "deviation": np.linspace(-1, 1, 40)}
    write_cloud(tmp_path / "part.scored.ply", PointCloud(points), scalars=scored)
    text, read = as_json(RESULT), 0
    for number in range(count):
        mutant, what = (mutated_text(generator, text), "text") if number % 3 == 0 else mutated_tree(generator, RESULT)
        written = mutant if isinstance(mutant, str) else as_json(mutant)
        path.write_bytes(written.encode("utf-8", "surrogatepass"))

        def shown() -> None:
            loaded = read_loaded_result(tmp_path / "part.scored.ply")
            assert "<script" not in verdict(loaded) + legend(Scene(loaded))
            assert np.isfinite(Scene(loaded).camera.project(points)).all()

        read += refused_or_right(shown, what)
    assert 0 < read < count


class TestKnownBombs:
    def test_an_alias_bomb_takes_no_time(self, tmp_path):
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(12)]
        (tmp_path / "bomb.yaml").write_text("\n".join(lines))
        start = time.monotonic()
        with pytest.raises(BadConfig, match="stands for more than"):
            load_settings(tmp_path / "bomb.yaml")
        assert time.monotonic() - start < 5

    def test_merged_sections_cannot_grow_either(self, tmp_path):
        lines = ["a0: &a0 {k: 1}"]
        lines += [f"a{n + 1}: &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 9)}], k{n}: 1}}" for n in range(12)]
        (tmp_path / "bomb.yaml").write_text("\n".join(lines))
        with pytest.raises(BadConfig, match="stands for more than"):
            load_settings(tmp_path / "bomb.yaml")

    def test_an_alias_that_is_honest_is_a_copy(self, tmp_path):
        (tmp_path / "s.yaml").write_text("training: {down: &stage {steps: 3}, up: *stage}")
        settings = load_settings(tmp_path / "s.yaml", ["training.down.steps=5"])
        assert (settings.training.down.steps, settings.training.up.steps) == (5, 3)

    @pytest.mark.parametrize(
        "text",
        ["a: &a [*a]", "[" * 5000, "? [a]\n: 1", "1: 2", "x: !!python/name:os.system ''", "x: !!set {a}", "\x00"],
    )
    def test_what_settings_do_not_need_is_one_sentence(self, text, tmp_path):
        (tmp_path / "s.yaml").write_text(text)
        assert not refused_or_right(lambda: load_settings(tmp_path / "s.yaml"), text)

    @pytest.mark.parametrize(
        "override",
        [
            "training.down.steps=2001-99-99",
            "training.down.steps=!!int foo",
            "training.down.steps=" + "[" * 5000,
            "training.down.steps=" + "9" * 6000,
            "training.down.steps=0x" + "f" * 6000,
            "training.down.steps=10000000000",
            "down_net.width=100000000",
            'guide.weights="a\\0b"',
            "=x",
            "a..b=1",
            "training.=1",
        ],
    )
    def test_a_value_that_cannot_be_is_one_sentence(self, override):
        assert not refused_or_right(lambda: load_settings(None, [override]), override)

    @pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "9" * 30, "[" * 100_000, '{"a": 1' * 50_000])
    def test_json_that_no_program_of_ours_writes(self, text):
        with pytest.raises(ValueError):
            parse_json(text)

    @pytest.mark.parametrize("value", [10**400, float("nan"), 2**63])
    def test_a_result_with_such_numbers_is_refused(self, value, tmp_path, rng):
        write_cloud(
            tmp_path / "a.scored.ply", PointCloud(rng.normal(size=(30, 3))), scalars={"anomaly_score": np.ones(30)}
        )
        (tmp_path / "a.json").write_text(as_json(RESULT | {"object_score": value}))
        with pytest.raises(BadInput, match="no valid JSON"):
            read_loaded_result(tmp_path / "a.scored.ply")
