"""Relations of public records: the bundled collection, the arithmetic on rows with known gaps, table and command."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from test_tables import cells, row

from dusnet.cli import main
from dusnet.errors import BadConfig, BadInput
from dusnet.evaluation import intervals
from dusnet.evaluation.relations import (
    Check,
    Relation,
    Relations,
    RelationTest,
    archive_of,
    findings,
    markdown,
    read_relations,
    record,
    rows_elsewhere,
    study_of,
)
from dusnet.evaluation.rows import Row, ScanScore
from dusnet.evaluation.studies import contenders, load_study
from dusnet.io import write_json

BOTH = ("anomaly_shapenet", "real3d_ad")


def scored(detector: str, class_name: str, scores: dict[str, list[float]], seed: int = 0, **metrics: float) -> Row:
    """A row whose scans have these scores by kind, `good` among them."""
    scans = tuple(
        ScanScore(f"test/{kind}{at}.pcd", kind, kind != "good", value, None, 9, 0.1)
        for kind, values in scores.items()
        for at, value in enumerate(values)
    )
    area = sklearn.metrics.roc_auc_score([one.anomalous for one in scans], [one.object_score for one in scans])
    return replace(row(detector, class_name, seed, o_auroc=area, **metrics), scans=scans)


def collection(*checks: Check, archive: str = "real3d_ad") -> Relations:
    one = Relation.model_validate(
        {"number": 1, "archive": archive, "says": "a over b", "source": "somewhere", "checks": checks}
    )
    return Relations(notes=("a note",), relations=(one,))


def check(**given: object) -> Check:
    return Check.model_validate({"metric": "o_auroc", "left": "a", "right": "b", "tolerance": "record"} | given)


class TestCollection:
    def test_every_contender_is_in_the_study_of_its_archive(self) -> None:
        known = {archive: {one.name for one in contenders(load_study(study_of(archive)), [])} for archive in BOTH}
        asked: dict[str, set[str]] = {archive: set() for archive in BOTH}
        for relation in read_relations().relations:
            other = next(archive for archive in BOTH if archive != relation.archive)
            for one in relation.checks:
                asked[relation.archive].add(one.left)
                if one.right is not None:
                    asked[other if one.elsewhere else relation.archive].add(one.right)
        assert asked == known, "a contender that no relation needs costs time"

    def test_published_figures_meet_their_own_relation(self) -> None:
        numbers = [relation.number for relation in read_relations().relations]
        assert numbers == list(range(1, 11))
        for relation in read_relations().relations:
            for one in relation.checks:
                if one.published:
                    assert one.holds(one.published[0] - sum(one.published[1:])), (relation.number, one)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"published": [0.9]}, "one value per contender"),
            ({"least": None}, "least or most"),
            ({"metric": "p_ap_clouds", "kinds": ["hole"]}, "kinds have an O-AUROC alone"),
            ({"metric": "speed"}, "metric"),
        ],
    )
    def test_a_wrong_collection_is_refused(self, tmp_path: Path, given: dict[str, object], words: str) -> None:
        one = {"metric": "o_auroc", "left": "a", "right": "b", "tolerance": "ours", "least": 0.0} | given
        tree = {"relations": [{"number": 1, "archive": "real3d_ad", "says": "x", "source": "y", "checks": [one]}]}
        path = tmp_path / "mine.yaml"
        path.write_text(json.dumps(tree))
        with pytest.raises(BadConfig, match=words):
            read_relations(path)

    def test_the_archive_is_that_of_the_layout_or_what_is_said(self) -> None:
        assert archive_of("real3d_ad") == "real3d_ad"
        assert archive_of("folder", "anomaly_shapenet") == "anomaly_shapenet"
        with pytest.raises(BadConfig, match="--like anomaly_shapenet or --like real3d_ad"):
            archive_of("folder")


GOOD = [0.1, 0.2, 0.3, 0.4]


class TestArithmetic:
    def test_a_gap_is_the_mean_over_the_classes_and_seeds_that_both_have(self) -> None:
        values = {("vase", 0): (0.9, 0.7), ("vase", 1): (0.8, 0.8), ("cup", 0): (0.6, 0.5), ("cup", 1): (0.7, 0.5)}
        rows = [row("a", name, seed, p_ap_clouds=left) for (name, seed), (left, _) in values.items()]
        rows += [row("b", name, seed, p_ap_clouds=right) for (name, seed), (_, right) in values.items()]
        rows += [row("a", "bolt", seed, p_ap_clouds=0.0) for seed in (0, 1)]
        asked = check(metric="p_ap_clouds", least=0.1, most=0.2)
        (found,) = findings(RelationTest("real3d_ad"), rows, collection(asked))
        assert found.ours == pytest.approx((0.75, 0.625))
        assert found.value == pytest.approx(0.125)
        assert (found.classes, found.seeds, found.verdict) == (2, 2, "met")
        # Either class can be drawn twice: gaps of .1 and .15.
        assert found.ends == pytest.approx((0.1, 0.15))

    @pytest.mark.parametrize(
        ("least", "most", "verdict"),
        [(0.2, None, "met"), (0.3, None, "not met"), (None, 0.2, "not met"), (0, 1, "met")],
    )
    def test_the_bounds_decide(self, least: float | None, most: float | None, verdict: str) -> None:
        rows = [row("a", "vase", value=0.85), row("b", "vase", value=0.6)]
        (found,) = findings(RelationTest("real3d_ad"), rows, collection(check(least=least, most=most)))
        assert found.verdict == verdict
        assert found.ends is None, "one class has no interval"

    def test_one_contender_is_judged_by_its_value_and_by_the_kinds_that_are_named(self) -> None:
        rows = [
            scored("a", "vase", {"good": GOOD, "hole": [0.25, 0.35], "bulge": [9.0, 9.0]}),
            scored("a", "cup", {"good": GOOD, "hole": [0.05], "crack": [0.5], "bulge": [9.0]}),
            scored("a", "bolt", {"good": GOOD, "bulge": [0.0]}),
        ]
        checks = [check(right=None, kinds=kinds, least=0.9) for kinds in (["hole"], ["hole", "crack"], ["bulge"])]
        holes, missing, bulges = findings(RelationTest("real3d_ad"), rows, collection(*checks))
        # Of vase 5 of 8 pairs, of cup none of 4; with the crack 4 of 8.
        assert holes.value == pytest.approx((5 / 8 + 0) / 2)
        assert missing.value == pytest.approx((5 / 8 + 4 / 8) / 2)
        assert bulges.value == pytest.approx(2 / 3)
        assert (holes.classes, missing.classes, bulges.classes) == (2, 2, 3)
        assert holes.ends is not None
        (none,) = findings(RelationTest("real3d_ad"), rows, collection(check(right=None, kinds=["bending"], least=0.9)))
        assert (none.verdict, none.reason) == ("cannot be tested here", "no scans of kind bending")
        assert math.isnan(none.value)

    def test_what_has_no_rows_cannot_be_tested(self) -> None:
        (found,) = findings(RelationTest("real3d_ad"), [row("a", "vase")], collection(check(least=0.0)))
        assert (found.verdict, found.reason) == ("cannot be tested here", "no rows of b")
        apart = [row("a", "vase"), row("b", "cup")]
        (found,) = findings(RelationTest("real3d_ad"), apart, collection(check(least=0.0)))
        assert found.reason == "the two have no class and seed in common"
        assert findings(RelationTest("anomaly_shapenet"), apart, collection(check(least=0.0))) == []

    @pytest.mark.parametrize("archive", BOTH)
    def test_the_other_archive_is_compared_from_either_side(self, archive: str) -> None:
        left = tuple(row("a", name, value=value) for name, value in (("vase", 0.9), ("cup", 0.8)))
        right = tuple(row("b", name, value=value) for name, value in (("car", 0.5), ("duck", 0.8)))
        asked = collection(check(metric="p_ap_clouds", elsewhere=True, least=0.0), archive="anomaly_shapenet")
        here, there = (left, right) if archive == "anomaly_shapenet" else (right, left)
        (found,) = findings(RelationTest(archive, there), here, asked)  # type: ignore[arg-type]
        assert found.value == pytest.approx(0.85 - 0.65)
        assert found.ends == pytest.approx((0.0, 0.4))
        (alone,) = findings(RelationTest(archive), here, asked)  # type: ignore[arg-type]
        other = "Real3D-AD" if archive == "anomaly_shapenet" else "Anomaly-ShapeNet"
        assert alone.reason == f"no results of a dataset like {other} (--beside)"


class TestIntervals:
    def rows(self, detector: str, shift: float, rng: np.random.Generator) -> list[Row]:
        """Ten classes; both detectors see the same noise of a scan."""
        return [
            scored(
                detector,
                f"class{number}",
                {"good": rng.normal(size=12).tolist(), "bulge": (shift + rng.normal(size=12)).tolist()},
            )
            for number in range(10)
        ]

    def test_a_paired_interval_is_narrow_where_both_see_the_same(self) -> None:
        left = self.rows("a", 1.0, np.random.default_rng(1))
        right = self.rows("b", 0.9, np.random.default_rng(1))
        low, high = intervals.gap_interval(left, right, "o_auroc")
        wide = intervals.gap_interval(left, right, "o_auroc", paired=False)
        gap = np.mean([one.metrics["o_auroc"] for one in left]) - np.mean([one.metrics["o_auroc"] for one in right])
        assert low < gap < high
        assert high - low < 0.4 * (wide[1] - wide[0])
        assert intervals.gap_interval(left, left, "o_auroc") == (0.0, 0.0)

    def test_it_is_the_bootstrap_over_classes_written_out(self) -> None:
        rng = np.random.default_rng(0)
        values = rng.random((8, 2))
        left = [row("a", f"c{at}", p_ap_clouds=one) for at, (one, _) in enumerate(values)]
        right = [row("b", f"c{at}", p_ap_clouds=one) for at, (_, one) in enumerate(values)]
        drawn = rng.choice(values[:, 0] - values[:, 1], (20_000, 8)).mean(axis=1)
        # Of quantiles of 1000 draws with a deviation of .1, about .007.
        np.testing.assert_allclose(
            intervals.gap_interval(left, right, "p_ap_clouds"), np.quantile(drawn, [0.025, 0.975]), atol=0.04
        )

    def test_twins_are_drawn_together_in_both(self) -> None:
        def twice(rows: list[Row]) -> list[Row]:
            cut = [replace(scan, file=scan.file.replace(".pcd", "_cut.pcd")) for one in rows for scan in one.scans]
            count = len(rows[0].scans)
            return [
                replace(one, scans=one.scans + tuple(cut[at * count : (at + 1) * count])) for at, one in enumerate(rows)
            ]

        left = self.rows("a", 1.0, np.random.default_rng(1))
        right = self.rows("b", 0.5, np.random.default_rng(2))
        once = intervals.gap_interval(left, right, "o_auroc")
        assert intervals.gap_interval(twice(left), twice(right), "o_auroc") == pytest.approx(once, abs=1e-12)

    def test_other_classes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="same classes"):
            intervals.gap_interval([row("a", "x"), row("a", "y")], [row("b", "x"), row("b", "z")], "o_auroc")


def test_the_table_says_what_was_asked_what_was_found_and_why_not() -> None:
    checks = (
        check(metric="p_ap_clouds", least=0.1, published=[0.9, 0.7]),
        check(metric="p_auroc_pooled", least=0.3, most=0.4, tolerance="ours"),
        check(right=None, kinds=["hole"], most=0.6),
    )
    rows = [row(name, part, value=value) for name, value in (("a", 0.8), ("b", 0.6)) for part in ("x", "y")]
    test, relations = RelationTest("real3d_ad"), collection(*checks)
    found = findings(test, rows, relations)
    text = markdown(test, found, relations)
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == ["#", "relation", "number", "published", "ours", "wanted", "verdict"]
    ours = "0.800 − 0.600 = +0.200 (+0.200 to +0.200)"
    assert lines[2:] == [
        ["1", "a over b", "P-AP clouds: a − b", "0.900 − 0.700 = +0.200", ours, "at least +0.100", "met"],
        ["1", "", "P pooled: a − b", "–", ours, "+0.300 to +0.400 (ours)", "not met"],
        ["1", "", "O (hole): a", "–", "–", "at most 0.600", "cannot be tested here"],
    ]
    assert "1 of 2 numbers are as wanted, each of at least 2 classes and 1 seeds." in text
    assert "Fewer than 8 classes or 3 seeds are a first look alone." in text
    assert "* 1, O (hole): a: no scans of kind hole." in text
    assert "* a note" in text
    assert "* 1: published by somewhere." in text
    kept = record(test, found)
    assert json.loads(json.dumps(kept)) == kept
    assert kept["findings"][0]["check"]["left"] == "a"
    assert kept["findings"][2]["value"] is None
    assert "no number can be tested" in markdown(test, findings(test, [], relations), relations)


def test_rows_elsewhere_are_read_from_a_folder_of_results(tmp_path: Path) -> None:
    rows = [scored("a", "vase", {"good": GOOD, "bulge": [1.0]})]
    record = {"rows": [one.record() for one in rows]}
    for relations in ({}, {"relations": None}, {"relations": {"archive": "real3d_ad"}}):
        write_json(tmp_path / "results.json", record | relations)
        assert rows_elsewhere(tmp_path, "anomaly_shapenet") == tuple(rows)
    with pytest.raises(BadInput, match="like Real3D-AD, too"):
        rows_elsewhere(tmp_path, "real3d_ad")
    for text in ('{"rows": [{"detector": 3}]}', "[]", '{"rows": [], "relations": 3}'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(BadInput, match="no results of this version"):
            rows_elsewhere(tmp_path, "real3d_ad")
    with pytest.raises(BadInput, match="cannot be read"):
        rows_elsewhere(tmp_path / "elsewhere", "real3d_ad")


class TestCommand:
    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (["--relations", "--detector", "nearest"], "leave --detector, --together and --study out"),
            (["--relations", "--study", "levers"], "leave --detector, --together and --study out"),
            (["--like", "real3d_ad"], "add it or leave them out"),
            (["--study", "relations_real3d_ad", "--detector", "nearest"], "names its detector"),
            (["--relations", "--beside", "nowhere"], "cannot be read"),
        ],
    )
    def test_what_does_not_go_together_is_refused(
        self, words: list[str], sentence: str, tmp_path: Path, bench: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["evaluate", str(bench), "--out", str(tmp_path / "out"), *words]) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())

    @pytest.mark.long
    def test_a_synthesised_dataset_is_tested_from_end_to_end(
        self, tmp_path: Path, bench: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        words = ["evaluate", str(bench), "--relations", "--seeds", "1", "--no-calibrate", "--quiet", "--out", str(out)]
        words += ["--set", "training.down.steps=3", "--set", "offset.clouds=2", "--set", "grouping.groups=32"]
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("## Relations")
        saved = json.loads((out / "results.json").read_text())
        found = saved["relations"]["findings"]
        assert saved["relations"]["archive"] == "anomaly_shapenet"
        assert {one["number"] for one in found} == {6, 7, 8, 9, 10}
        by_number = {number: [one for one in found if one["number"] == number] for number in (6, 7, 9, 10)}
        assert all(one["verdict"] in ("met", "not met") for number in (6, 7, 9) for one in by_number[number])
        assert all(one["reason"].endswith("(--beside)") for one in by_number[10])
        rows = {(one["detector"], one["class_name"]): one["metrics"] for one in saved["rows"]}
        names = ("located_memory: global memory", "located_memory: located memory")
        gap = np.mean([rows[names[0], part]["o_auroc"] - rows[names[1], part]["o_auroc"] for part in PARTS])
        assert by_number[6][0]["value"] == pytest.approx(gap)
        assert "## Relations" in (out / "results.md").read_text()
        assert main([*words, "--beside", str(out)]) == 2
        assert "like Anomaly-ShapeNet, too" in " ".join(capsys.readouterr().err.split())
        # The same rows as those of the other archive: every method is as good there as here.
        saved["relations"]["archive"] = "real3d_ad"
        write_json(tmp_path / "results.json", saved)
        assert main([*words, "--beside", str(tmp_path)]) == 0
        again = json.loads((out / "results.json").read_text())["relations"]["findings"]
        assert [one["value"] for one in again if one["number"] == 10] == [0.0, 0.0, 0.0]
        assert [one["verdict"] for one in again if one["number"] == 10] == ["met"] * 3
        # A class that fails is missing in the table, which is shown all the same.
        capsys.readouterr()
        next((bench / "pcd" / "gear" / "test").glob("*.pcd")).write_text("no scan")
        assert main(words) == 2
        streams = capsys.readouterr()
        assert streams.out.startswith("## Relations")
        assert "each of at least 2 classes" in streams.out
        assert "class gear" in streams.err


PARTS = ("bottle", "cup", "gear")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes with three good scans and three kinds of defects."""
    folder = tmp_path_factory.mktemp("relations") / "bench"
    words = ["synth", str(folder), "--parts", ",".join(PARTS), "--quiet"]
    for one in ("points=1500", "train=2", "good=3", "per_kind=1", "kinds=[bulge,hole,concavity]"):
        words += ["--set", one]
    assert main(words) == 0
    return folder
