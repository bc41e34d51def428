from __future__ import annotations

import json

import numpy as np
import pytest

from dusnet.data import LAYOUTS, open_dataset
from dusnet.data.prepare import verify
from dusnet.errors import BadInput
from dusnet.synthesis.benchmark import BenchmarkSettings, write_benchmark


def test_unknown_class_names_the_nearest(small_shapenet):
    dataset = open_dataset(small_shapenet)
    with pytest.raises(BadInput, match="no class 'vase'; did you mean vase9\\?"):
        dataset.train("vase")
    with pytest.raises(BadInput, match="no class 'xyz'; it has desk0, vase9"):
        dataset.test("xyz")


def test_unknown_layout_names_the_layouts(small_shapenet):
    with pytest.raises(BadInput, match="no dataset layout 'mvtec'; choose auto, anomaly_shapenet, real3d_ad, folder"):
        open_dataset(small_shapenet, "mvtec")
    assert LAYOUTS == ("anomaly_shapenet", "real3d_ad", "folder")


def test_nothing_there(tmp_path):
    with pytest.raises(BadInput, match="there is no dataset at"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(BadInput, match=r"looked for class folders .* but the folder is empty; see docs/datasets.md"):
        open_dataset(tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    with pytest.raises(BadInput, match="the folder is empty"):
        open_dataset(tmp_path)
    (tmp_path / "notes.txt").write_text("1 2 3\n")
    with pytest.raises(BadInput, match=r"found only notes\.txt"):
        open_dataset(tmp_path)
    with pytest.raises(BadInput, match="is a file, not a dataset"):
        open_dataset(tmp_path / "notes.txt")
    for layout in LAYOUTS:
        with pytest.raises(BadInput, match="is no dataset"):
            open_dataset(tmp_path, layout)


def test_named_layout_is_not_second_guessed(small_real):
    assert open_dataset(small_real, "anomaly_shapenet").layout == "anomaly_shapenet"
    assert open_dataset(small_real / "starfish", "folder").layout == "folder"


@pytest.mark.parametrize("part", ["test", "gt"])
def test_part_of_a_class_is_refused(small_real, part):
    with pytest.raises(BadInput, match=rf"only the {part} part of a class; name .*starfish instead"):
        open_dataset(small_real / "starfish" / part)


def test_training_folder_alone_is_a_plain_folder(small_real):
    dataset = open_dataset(small_real / "starfish" / "train")
    assert (dataset.layout, dataset.classes) == ("folder", ("train",))
    assert [sample.name for sample in dataset.train("train")] == ["41_template", "105_template"]


def test_both_archives_in_one_folder_must_be_told_apart(small_shapenet, tiny):
    tiny.scan(small_shapenet / "duck" / "train" / "1_template.pcd")
    tiny.scan(small_shapenet / "duck" / "test" / "1_good.pcd")
    assert open_dataset(small_shapenet).layout == "anomaly_shapenet"  # two classes against one
    tiny.scan(small_shapenet / "fish" / "train" / "1_template.pcd")
    with pytest.raises(BadInput, match="classes of both anomaly_shapenet and real3d_ad"):
        open_dataset(small_shapenet)


def test_relative_path_and_string(small_real, monkeypatch):
    monkeypatch.chdir(small_real / "starfish")
    dataset = open_dataset(".")
    assert dataset.classes == ("starfish",)
    assert len(dataset.test("starfish")) == 9


def test_lone_wrapper_folder_is_looked_through(small_real):
    outer = small_real.parent / "download" / "unzipped"
    outer.mkdir(parents=True)
    (outer.parent / "__MACOSX").mkdir()
    small_real.rename(outer / "classes")
    assert open_dataset(outer.parent).classes == ("starfish",)


@pytest.mark.parametrize("layout", ["anomaly_shapenet", "real3d_ad"])
def test_synthetic_benchmark_is_read_back(tmp_path, layout):
    out = tmp_path / "synthetic"
    settings = BenchmarkSettings(
        parts=("cup", "vase"), layout=layout, kinds=("bulge", "crack"), train=2, good=1, per_kind=1, points=500
    )
    write_benchmark(out, settings)
    written = json.loads((out / "benchmark.json").read_text())
    dataset = open_dataset(out)
    assert (dataset.layout, dataset.classes, dataset.name) == (layout, ("cup", "vase"), "synthetic")
    base = out / "pcd" if layout == "anomaly_shapenet" else out
    listed = {scan["file"]: scan["kind"] for scan in written["scans"]}
    for name in dataset.classes:
        for sample in (*dataset.train(name), *dataset.test(name)):
            assert sample.path.is_relative_to(base)
            assert listed.pop(sample.path.relative_to(out).as_posix()) == sample.kind
            cloud = sample.load()
            if sample.anomalous:
                assert cloud.labels.any()
                np.testing.assert_array_equal(sample.load("scan").labels, cloud.labels)
    assert not listed
    assert verify(out).problems == ()


def test_synthetic_classes_are_never_taken_for_published_ones(small_real):
    assert open_dataset(small_real).name == "Real3D-AD"
    (small_real / "benchmark.json").write_text("{}")
    assert open_dataset(small_real).name == "Real3D-AD-PCD"
    assert open_dataset(small_real / "starfish").name == "starfish"
    assert verify(small_real, read=False).ok
