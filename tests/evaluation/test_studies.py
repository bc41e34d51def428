from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_benchmark import Factory, evaluate

from dusnet.cli import main
from dusnet.cloud import Frame, PointCloud
from dusnet.detectors.settings import Settings, load_settings
from dusnet.errors import BadConfig
from dusnet.evaluation.contender import Contender
from dusnet.evaluation.corruption import Corruption, corrupt
from dusnet.evaluation.studies import contenders, load_study, named_studies

TABLES = [f"table{number}" for number in range(5, 10)]
FAST = ["--set", "registration.method=none"]
TINY = [
    "registration.method=none",
    "grouping.groups=16",
    "grouping.neighbors=12",
    "down_net.width=16",
    "down_net.layers=0",
    "down_net.patch_widths=[8, 8, 8]",
    "up_net.widths=[8, 8]",
    "training.down.steps=2",
    "training.up.steps=2",
    "training.points=200",
]


def by_name(study: str, config: str | None, *overrides: str) -> dict[str, Settings]:
    detector = detector_of(study, config)
    made = contenders(load_study(study), [detector], config=config, overrides=overrides)
    return {one.name.removeprefix(f"{detector}: "): one.settings for one in made}


def detector_of(study: str, config: str | None) -> str:
    return load_study(study).detector or load_settings(config).detector


def cloud(count: int = 2000, seed: int = 0) -> PointCloud:
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3)) * [100.0, 60.0, 5.0] + [1e4, -50.0, 0.0]
    return PointCloud(points, normals=np.tile([0.0, 0.0, 1.0], (count, 1)), labels=points[:, 0] > 10_090)


@pytest.mark.parametrize("config", ["cpu-small", "paper", None])
@pytest.mark.parametrize("name", TABLES)
def test_every_variant_is_valid_and_differs(name, config):
    assert name in named_studies()
    detector = detector_of(name, config)
    made = contenders(load_study(name), [detector, "nearest"], config=config)
    settings = [(one.settings, one.corruption) for one in made if one.detector == detector]
    assert all(settings.count(one) == 1 for one in settings), "two variants are the same"
    assert len(made) == 2 * len(load_study(name).variants)
    assert all(one.settings.detector == one.detector for one in made)


@pytest.mark.parametrize(
    ("name", "detector", "together"), [("cras", "cras", False), ("pbas", "pbas", False), ("hpi", "cras", True)]
)
def test_variants_of_a_method_in_feature_space_differ_in_what_it_reads(name, detector, together):
    names = [detector]
    made = contenders(load_study(name), [] if together else names, together=names if together else [])
    read = [one.read() for one in made]
    assert len(read) == len(load_study(name).variants) >= 3
    assert all(read.count(one) == 1 for one in read), "two variants are the same"
    assert read[0] == Contender("default", detector, load_settings(), together=together).read()
    assert all(one.together is together for one in made)


def test_the_first_variant_at_full_scale_is_the_paper():
    paper = load_settings("paper")
    for name in ("table5", "table6", "table7", "table9"):
        assert next(iter(by_name(name, "paper").values())) == paper
    assert by_name("table8", "paper")["gamma 8"] == paper


@pytest.mark.parametrize("config", ["cpu-small", "paper", None])
def test_the_tables_about_the_networks_train_them_on_every_part(config):
    """The guided networks would not see a single one of the settings that these tables vary."""
    for name in ("table5", "table6", "table7", "table8"):
        assert {settings.detector for settings in by_name(name, config).values()} == {"dusnet_paper"}


@pytest.mark.parametrize("name", ["table5", "table6", "table7"])
def test_a_study_of_settings_that_the_detector_does_not_read_is_refused(name):
    with pytest.raises(BadConfig, match=r"because dusnet does not read it; dusnet_paper.* reads? it \(--detector\)\.$"):
        contenders(load_study(name), ["dusnet"])


def test_printed_and_small_values():
    large, small = by_name("table7", "paper"), by_name("table7", "cpu-small")
    assert [large[f"G {groups}"].grouping.groups for groups in (1024, 4096)] == [1024, 4096]
    assert [large[f"K {neighbors}"].grouping.neighbors for neighbors in (128, 384)] == [128, 384]
    assert [small[name].grouping.groups for name in ("G 1024", "G 4096", "G 8192, K 640")] == [64, 128, 256]
    noise = by_name("table6", "paper")
    assert noise["alpha 0.08, beta 0.09"].noise.beta == 0.09
    assert noise["alpha 0.08, beta 0.09"].noise.alpha == 0.08
    assert noise["uniform"].noise.kind == "uniform"
    losses = by_name("table5", "cpu-small")
    for key, variant in (
        ("mse", "mse"),
        ("cos", "cos"),
        ("chamfer", "chamfer"),
        ("repulsion", "repulsion"),
        ("emd",) * 2,
    ):
        assert getattr(losses[f"without {variant}"].loss, key) == 0.0
        assert sum(losses[f"without {variant}"].loss.model_dump()[one] == 0 for one in ("mse", "cos", "emd")) <= 1
    assert losses["without Up-Net"].scoring.surface == "down"
    assert losses["all parts"].scoring.surface == "up"
    assert [variant.corruption.removed for variant in load_study("table9").variants[1:5]] == [
        1 / 2,
        1 / 4,
        1 / 6,
        1 / 8,
    ]
    assert [variant.corruption.noise for variant in load_study("table9").variants[5:]] == [
        0.001,
        0.003,
        0.005,
        0.007,
        0.009,
    ]


def test_overrides_reach_all_variants_but_not_what_one_is_about():
    made = by_name("table7", "cpu-small", "training.down.steps=7", "grouping.groups=40")
    assert {one.training.down.steps for one in made.values()} == {7}
    assert made["G 1024"].grouping.groups == 64
    assert made["K 128"].grouping.groups == 40
    with pytest.raises(BadConfig, match=r"key\.sub=value"):
        by_name("table7", "cpu-small", "nonsense")
    with pytest.raises(BadConfig, match=r"Unknown setting 'noise\.gama'"):
        by_name("table7", "cpu-small", "noise.gama=1")


def test_variants_can_learn_all_classes_with_one_model():
    study = load_study("cras")
    made = contenders(study, ["pbas"], together=["cras"])
    names = [variant.name for variant in study.variants]
    assert [one.name for one in made if not one.together] == [f"pbas: {name}" for name in names]
    assert [one.name for one in made if one.together] == [f"cras (one model): {name}" for name in names]
    alone = contenders(study, ["cras"])
    assert [one.settings for one in made if one.together] == [one.settings for one in alone]


def test_a_variant_can_name_its_detector(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "title: x\nvariants: [{name: a}, {name: a, detector: nearest, settings: {scoring: {pooling: max}}},"
        "{name: b, detector: located_memory, settings: {memory: {rho: null}}}]"
    )
    study = load_study(path)
    made = contenders(study, ["warp", "template"], overrides=["scoring.smoothing=3"])
    assert [one.name for one in made] == ["warp: a", "template: a", "nearest: a", "located_memory: b"]
    assert [one.settings.scoring.pooling for one in made] == [None, None, "max", None]
    assert made[3].settings.memory.rho is None
    assert {one.settings.scoring.smoothing for one in made} == {3}
    assert study.own_detectors == ["nearest", "located_memory"]
    assert study.leaves_detectors_open
    path.write_text("title: x\nvariants: [{name: a, detector: nearest, settings: {memory: {rho: null}}}]")
    assert not load_study(path).leaves_detectors_open
    with pytest.raises(BadConfig, match=r"memory\.rho has no effect, because nearest does not read it"):
        contenders(load_study(path), [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: x\nvariants: [{name: a, seting: {}}]", "seting"),
        ("title: x\nvariants: []", "variants"),
        ("title: x\nvariants: [{name: a}, {name: a}]", "two variants are called 'a'"),
        ("title: x\nvariants: [{name: a, corruption: {removed: 1.0}}]", "removed"),
        ("title: [", "not valid YAML"),
        ("- a", "valid"),
    ],
)
def test_a_wrong_study_is_refused(tmp_path, text, words):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadConfig, match=words):
        load_study(tmp_path / "mine.yaml")


def test_unknown_studies_and_settings_are_named(tmp_path):
    with pytest.raises(BadConfig, match=r"table5, .*table9"):
        load_study("table4")
    (tmp_path / "mine.yaml").write_text("title: x\nvariants: [{name: odd, settings: {loss: {cosine: 0}}}]")
    with pytest.raises(BadConfig, match=r"'loss.cosine' in variant 'odd'; did you mean"):
        contenders(load_study(tmp_path / "mine.yaml"), ["dusnet"])


@pytest.mark.parametrize("share", [1 / 2, 1 / 4, 1 / 6, 1 / 8])
def test_the_missing_piece_is_one_piece_of_that_size(share):
    whole = cloud()
    worse = corrupt(whole, Corruption(removed=share), seed=0, name="a")
    assert len(worse) == 2000 - round(share * 2000)
    index = {tuple(point): number for number, point in enumerate(whole.points)}
    kept = np.array([index[tuple(point)] for point in worse.points])
    assert (np.diff(kept) > 0).all(), "the order is kept"
    np.testing.assert_array_equal(worse.labels, whole.labels[kept])
    np.testing.assert_array_equal(worse.normals, whole.normals[kept])
    # A ball about one of the points separates what is gone from what is left.
    gone = whole.points[np.setdiff1d(np.arange(2000), kept)]
    separated = [
        np.linalg.norm(gone - middle, axis=1).max() <= np.linalg.norm(worse.points - middle, axis=1).min()
        for middle in gone
    ]
    assert any(separated)
    assert worse.labels.sum() >= whole.labels.sum() / 2


def test_noise_has_the_size_that_was_asked_for():
    whole = cloud(20_000)
    worse = corrupt(whole, Corruption(noise=0.005), seed=0, name="a")
    moved = (worse.points - whole.points) / Frame.of(whole.points).scale
    np.testing.assert_allclose(moved.std(axis=0), 0.005, rtol=0.03)
    assert abs(moved.mean()) < 1e-4
    assert worse.normals is None
    np.testing.assert_array_equal(worse.labels, whole.labels)


def test_corruption_depends_on_seed_and_scan_alone():
    one, both = cloud(), Corruption(removed=0.25, noise=0.001)
    first = corrupt(one, both, seed=0, name="a").points
    np.testing.assert_array_equal(first, corrupt(one, both, seed=0, name="a").points)
    assert not np.array_equal(first, corrupt(one, both, seed=1, name="a").points)
    assert not np.array_equal(first, corrupt(one, both, seed=0, name="b").points)
    np.testing.assert_array_equal(corrupt(one, Corruption(), seed=0, name="a").points, one.points)


def test_corrupted_rows_train_once_and_are_rows_of_their_own(dataset, tmp_path):
    def entries(noise):
        return [Contender("plain", "near", Settings()), Contender("noisy", "near", Settings(), Corruption(noise=noise))]

    options = {"out": tmp_path / "out", "calibrate": False, "classes": ["lid"]}
    first = Factory()
    plain, noisy = evaluate(dataset, entries(0.05), create=first, **options)
    assert first.fits == [("near", "lid", "0")], "the second is the same detector"
    assert noisy.train_seconds == plain.train_seconds
    assert noisy.scans[0].object_score > plain.scans[0].object_score
    again = Factory()
    assert evaluate(dataset, entries(0.05), create=again, **options) == [plain, noisy]
    assert again.fits == []
    changed = Factory()
    assert evaluate(dataset, entries(0.06), create=changed, **options)[0] == plain
    assert changed.fits == [("near", "lid", "0")], "another corruption is another row"
    # What was asked for after a corrupted row does not inherit its scans.
    alone = evaluate(dataset, entries(0.05)[::-1], create=Factory(), resume=False, **options)
    assert [scan.object_score for scan in alone[1].scans] == [scan.object_score for scan in plain.scans]
    with pytest.raises(BadConfig, match="Two contenders are called 'plain'"):
        evaluate(dataset, [entries(0.05)[0]] * 2, create=Factory(), **options)


@pytest.mark.usefixtures("dataset")
def test_a_study_on_the_command_line(tmp_path, capsys):
    command = ["evaluate", str(tmp_path / "parts"), "--quiet", "--seeds", "1", "--classes", "lid", "--no-calibrate"]
    out = tmp_path / "nine"
    assert main([*command, "--detector", "nearest", *FAST, "--study", "table9", "--out", str(out)]) == 0
    assert "| lid | nearest: 1/2 missing |" in capsys.readouterr().out
    data = json.loads((out / "results.json").read_text())
    assert len(data["rows"]) == 10
    assert data["contenders"]["nearest: noise 0.009"] == {
        "detector": "nearest",
        "corruption": {"removed": 0.0, "noise": 0.009},
        "together": False,
    }
    assert data["study"]["title"] == "incomplete and noisy scans"
    assert data["rows"][0]["calibrate_seconds"] is None
    text = (out / "results.md").read_text()
    ours, theirs = text.split("## What the source of this study prints (not measured here)")
    assert "0.758" in theirs
    assert "| nearest: 1/8 missing |" in ours
    assert main([*command, "--study", "table4", "--out", str(out)]) == 2
    assert "table4" in capsys.readouterr().err


@pytest.mark.usefixtures("dataset")
def test_all_of_table_5_runs(tmp_path):
    command = ["evaluate", str(tmp_path / "parts"), "--quiet", "--seeds", "1", "--classes", "lid", "--no-calibrate"]
    words = [word for one in TINY for word in ("--set", one)]
    assert main([*command, *words, "--study", "table5", "--config", "cpu-small", "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    assert len({row["detector"] for row in rows}) == 9
    assert len({row["scans"][0]["object_score"] for row in rows}) == 9, "two variants compute the same"
    assert Path(tmp_path / "out/rows").is_dir()
