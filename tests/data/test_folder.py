from __future__ import annotations

import numpy as np
import pytest

from dusnet.data import open_dataset
from dusnet.errors import BadInput


def kinds(dataset, name):
    return {sample.name: sample.kind for sample in dataset.test(name)}


def test_only_clouds_are_training_scans(tmp_path, tiny):
    part = tmp_path / "bracket"
    for i in (10, 2, 1):
        tiny.scan(part / f"scan{i}.ply", i)
    (part / "notes.txt").write_text("1 2 3\n")
    dataset = open_dataset(part)
    assert (dataset.layout, dataset.name, dataset.classes) == ("folder", "bracket", ("bracket",))
    assert [sample.name for sample in dataset.train("bracket")] == ["scan1", "scan2", "scan10"]
    assert all(not sample.anomalous and sample.load().labels is None for sample in dataset.train("bracket"))
    assert dataset.test("bracket") == []


@pytest.mark.parametrize("name", ["normal", "good", "train", "train/good", "Normal"])
def test_names_of_the_training_folder(tmp_path, tiny, name):
    tiny.scan(tmp_path / name / "a.ply")
    tiny.scan(tmp_path / "loose.ply")
    dataset = open_dataset(tmp_path)
    assert [sample.path for sample in dataset.train(dataset.classes[0])] == [tmp_path / name / "a.ply"]


def test_subfolders_of_test_are_kinds(tmp_path, tiny):
    tiny.scan(tmp_path / "normal" / "a.pcd")
    tiny.scan(tmp_path / "test" / "good" / "1.ply")
    tiny.scan(tmp_path / "test" / "dents" / "2.ply", 2)
    tiny.scan(tmp_path / "test" / "crak" / "3.ply", 3)
    tiny.scan(tmp_path / "test" / "crak" / "2.ply", 4)
    tiny.truth(tmp_path / "gt" / "3.txt", 3)
    tiny.truth(tmp_path / "gt" / "dents" / "2.txt", 2, delimiter=",")
    dataset = open_dataset(tmp_path)
    name = dataset.classes[0]
    found = {(sample.kind, sample.name): sample for sample in dataset.test(name)}
    assert set(found) == {("good", "1"), ("dents", "2"), ("crack", "3"), ("crack", "2")}
    assert not found["good", "1"].load().labels.any()
    np.testing.assert_allclose(found["dents", "2"].load().points, tiny.points(2))
    assert found["dents", "2"].load().labels.tolist() == [False, False, False, True, True]
    assert found["crack", "3"].load("scan").labels.tolist() == [False, False, False, True, True]
    assert found["crack", "2"].ground_truth is None
    assert found["crack", "2"].load().labels is None  # known to be defective, not known where


@pytest.mark.parametrize("scalar", ["label", "scalar_Label"])
def test_labels_inside_a_ply(tmp_path, tiny, scalar):
    tiny.scan(tmp_path / "normal" / "a.ply")
    tiny.labelled_ply(tmp_path / "test" / "dent" / "1.ply", [0, 1, 1, 0], scalar)
    tiny.labelled_ply(tmp_path / "test" / "2.ply", [0, 0, 0, 1], scalar)
    tiny.labelled_ply(tmp_path / "test" / "3.ply", [0, 0, 0, 0], scalar)
    dataset = open_dataset(tmp_path)
    samples = {sample.name: sample for sample in dataset.test(dataset.classes[0])}
    assert {name: sample.kind for name, sample in samples.items()} == {"1": "dent", "2": "anomalous", "3": "good"}
    assert samples["1"].load().labels.tolist() == [False, True, True, False]
    assert samples["2"].load().labels.tolist() == [False, False, False, True]
    assert samples["3"].load().labels.tolist() == [False] * 4


def test_flat_test_folder_with_ground_truths(tmp_path, tiny):
    tiny.scan(tmp_path / "normal" / "a.ply")
    tiny.scan(tmp_path / "test" / "1.ply", 1)
    tiny.scan(tmp_path / "test" / "2.ply", 2)
    tiny.truth(tmp_path / "test" / "GT" / "2.txt", 2)
    dataset = open_dataset(tmp_path)
    assert kinds(dataset, dataset.classes[0]) == {"1": "good", "2": "anomalous"}
    tiny.truth(tmp_path / "test" / "GT" / "02.txt", 2)
    with pytest.raises(BadInput, match=r"02.txt belongs to no scan in .*test; rename it"):
        dataset.test(dataset.classes[0])


def test_unlabelled_test_scans_can_be_scored_but_not_judged(tmp_path, tiny):
    tiny.scan(tmp_path / "normal" / "a.ply")
    tiny.scan(tmp_path / "test" / "1.ply", 1)
    dataset = open_dataset(tmp_path)
    (sample,) = dataset.test(dataset.classes[0])
    assert sample.kind == "unknown"
    assert sample.load().labels is None
    with pytest.raises(BadInput, match=r"nothing says whether .*1.ply is good or defective; move it to test/good"):
        _ = sample.anomalous


def test_folder_of_several_parts(tmp_path, tiny):
    tiny.scan(tmp_path / "part10" / "normal" / "a.ply")
    tiny.scan(tmp_path / "part2" / "normal" / "a.ply")
    tiny.scan(tmp_path / "part2" / "test" / "good" / "b.ply")
    (tmp_path / "docs").mkdir()
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("part2", "part10")
    assert kinds(dataset, "part2") == {"b": "good"}


def test_nothing_to_learn_from(tmp_path, tiny):
    tiny.scan(tmp_path / "test" / "good" / "b.ply")
    (tmp_path / "normal").mkdir()
    dataset = open_dataset(tmp_path)
    with pytest.raises(BadInput, match=r"no defect-free scans to learn from; put some into .*normal"):
        dataset.train(dataset.classes[0])


def test_notes_beside_scans_are_no_scans_but_text_alone_is(tmp_path, tiny):
    for place in ("normal/good", "test/good"):
        tiny.scan(tmp_path / "a" / place / "1.ply")
        (tmp_path / "a" / place / ".." / "notes.txt").write_text("1 2 3\n")
        (tmp_path / "b" / place).mkdir(parents=True)
        (tmp_path / "b" / place / "1.txt").write_text("1 2 3\n4 5 6\n")
    for name, scan in (("a", "1.ply"), ("b", "1.txt")):
        dataset = open_dataset(tmp_path / name)
        assert [sample.path.name for sample in dataset.train(name)] == [scan]
        assert [(sample.path.name, sample.kind) for sample in dataset.test(name)] == [(scan, "good")]
    assert len(dataset.train("b")[0].load()) == 2
