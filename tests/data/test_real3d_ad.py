from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dusnet.data import open_dataset
from dusnet.data.real3d_ad import COUNTS
from dusnet.errors import BadInput


def test_full_archive_is_read_as_listed(real_root, real_rows, tiny):
    dataset = open_dataset(real_root)
    root = real_root / "Real3D-AD-PCD"
    assert (dataset.layout, dataset.name) == ("real3d_ad", "Real3D-AD")
    assert set(dataset.classes) == {row["class"] for row in real_rows}
    listed = {(row["class"], row["split"], row["file"]): (i, row) for i, row in enumerate(real_rows)}
    kinds: Counter[str] = Counter()
    for name in dataset.classes:
        for sample in (*dataset.train(name), *dataset.test(name)):
            number, row = listed.pop((name, sample.split, sample.path.relative_to(root).as_posix()))
            assert sample.anomalous == (row["is_anomalous"] == "1")
            assert sample.ground_truth == (root / row["ground_truth"] if row["ground_truth"] else None)
            kinds[f"{sample.split} {sample.kind}"] += 1
            cloud = sample.load()
            np.testing.assert_allclose(cloud.points, tiny.points(number), atol=1e-6)
            if sample.split == "test":
                assert cloud.labels.tolist() == [False] * 3 + [sample.anomalous] * 2
    assert not listed
    assert kinds == {"train good": 48, "test good": 604, "test bulge": 426, "test sink": 164, "test hybrid": 12}


def test_published_counts_agree_with_the_listing(real_rows):
    found = Counter((row["class"], row["split"], row["is_anomalous"]) for row in real_rows)
    counted = {
        name: (found[name, "train", "0"], found[name, "test", "0"], found[name, "test", "1"])
        for name in {row["class"] for row in real_rows}
    }
    assert counted == COUNTS


@pytest.mark.parametrize("below", ["", "Real3D-AD-PCD", "Real3D-AD-PCD/starfish"])
def test_root_folder_of_classes_and_class_open_alike(small_real, below):
    dataset = open_dataset(small_real.parent / below)
    assert (dataset.layout, dataset.classes) == ("real3d_ad", ("starfish",))
    assert [(sample.name, sample.kind) for sample in dataset.test("starfish")] == [
        ("2_good", "good"),
        ("2_good_cut", "good"),
        ("3_good_copy", "good"),
        ("8_bulges", "bulge"),
        ("8_sinks_cut", "sink"),
        ("9_sink_copy", "sink"),
        ("10_hybrid", "hybrid"),
        ("433_bulge", "bulge"),
        ("433_bulge_cut", "bulge"),
    ]
    assert [sample.name for sample in dataset.train("starfish")] == ["41_template", "105_template"]


def test_views_of_one_scan_keep_their_own_ground_truth(small_real, tiny):
    samples = {sample.name: sample for sample in open_dataset(small_real).test("starfish")}
    np.testing.assert_allclose(samples["433_bulge"].load().points, tiny.points(3))
    np.testing.assert_allclose(samples["433_bulge_cut"].load().points, tiny.points(4))


def test_upper_case_gt_and_both_spellings_at_once(small_real, tiny):
    folder = small_real / "starfish"
    moved = tiny.truth(folder / "GT" / "433_bulge.txt", 3)
    (folder / "gt" / "433_bulge.txt").unlink(missing_ok=True)
    samples = {sample.name: sample for sample in open_dataset(small_real).test("starfish")}
    assert samples["433_bulge"].ground_truth == moved
    assert samples["10_hybrid"].load().labels.any()


def test_prototype_is_a_training_scan_and_other_files_are_not(small_real, tiny):
    train = small_real / "starfish" / "train"
    tiny.scan(train / "7_prototype.pcd")
    tiny.scan(train / "7_good.pcd")
    names = [sample.name for sample in open_dataset(small_real).train("starfish")]
    assert names == ["7_prototype", "41_template", "105_template"]


def test_converted_to_ply(tmp_path, tiny):
    tiny.scan(tmp_path / "duck" / "train" / "1_template.ply")
    tiny.scan(tmp_path / "duck" / "test" / "2_good.ply")
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "real3d_ad"
    assert len(dataset.test("duck")[0].load()) == 5


def test_foreign_name_is_refused(small_real, tiny):
    tiny.scan(small_real / "starfish" / "test" / "scan.pcd")
    with pytest.raises(BadInput, match=r"scan.pcd is not named <number>_<kind>.pcd"):
        open_dataset(small_real).test("starfish")


def load_from_scan(small_real, name):
    return {sample.name: sample for sample in open_dataset(small_real).test("starfish")}[name].load("scan")


def test_scan_as_source_takes_labels_by_place_not_by_row(small_real, tiny):
    tiny.truth(small_real / "starfish" / "gt" / "10_hybrid.txt", 8, order=[4, 0, 3, 2, 1])
    cloud = load_from_scan(small_real, "10_hybrid")
    np.testing.assert_allclose(cloud.points, tiny.points(8))
    assert cloud.labels.tolist() == [False, False, False, True, True]
    assert cloud.path == small_real / "starfish" / "test" / "10_hybrid.pcd"


def test_scan_as_source_allows_for_rounding(small_real, tiny):
    path = small_real / "starfish" / "gt" / "10_hybrid.txt"
    rows = [(*(tiny.points(8)[i] + 1e-4), int(i > 2)) for i in (4, 3, 2, 1, 0)]
    path.write_text("".join("{:.4f} {:.4f} {:.4f} {}\n".format(*row) for row in rows))
    assert load_from_scan(small_real, "10_hybrid").labels.tolist() == [False, False, False, True, True]


def test_scan_as_source_names_both_counts(small_real, tiny):
    tiny.scan(small_real / "starfish" / "test" / "433_bulge.pcd", 3, count=7)
    with pytest.raises(BadInput, match=r"433_bulge.pcd has 7 points but its ground truth .*433_bulge.txt has 5 rows"):
        load_from_scan(small_real, "433_bulge")
    samples = {sample.name: sample for sample in open_dataset(small_real).test("starfish")}
    assert len(samples["433_bulge"].load()) == 5  # as the official loaders read it


def test_scan_as_source_refuses_the_ground_truth_of_another_scan(small_real, tiny):
    tiny.truth(small_real / "starfish" / "gt" / "433_bulge.txt", 4)
    with pytest.raises(BadInput, match=r"5 of 5 points of .*433_bulge.pcd are not in its ground truth .*0.25 away"):
        load_from_scan(small_real, "433_bulge")


def test_unknown_source_is_a_bug(small_real):
    with pytest.raises(ValueError, match="source must be"):
        open_dataset(small_real).test("starfish")[0].load("pcd")
