from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePath

import numpy as np
import pytest

from dusnet.data import open_dataset
from dusnet.data.anomaly_shapenet import COUNTS
from dusnet.errors import BadInput


def test_full_archive_is_read_as_listed(shapenet_root, shapenet_rows, tiny):
    dataset = open_dataset(shapenet_root)
    pcd = shapenet_root / "dataset" / "pcd"
    assert (dataset.layout, dataset.name) == ("anomaly_shapenet", "Anomaly-ShapeNet")
    assert set(dataset.classes) == {row["class"] for row in shapenet_rows}
    listed = {(row["class"], row["split"], row["file"]): (i, row) for i, row in enumerate(shapenet_rows)}
    kinds: Counter[str] = Counter()
    for name in dataset.classes:
        for sample in (*dataset.train(name), *dataset.test(name)):
            number, row = listed.pop((name, sample.split, sample.path.relative_to(pcd).as_posix()))
            assert sample.class_name == name
            assert sample.name == PurePath(row["file"]).stem
            assert sample.anomalous == (row["is_anomalous"] == "1")
            assert sample.ground_truth == (pcd / row["ground_truth"] if row["ground_truth"] else None)
            kinds[f"{sample.split} {sample.kind}"] += 1
            cloud = sample.load()
            np.testing.assert_allclose(cloud.points, tiny.points(number), atol=1e-6)
            if sample.split == "train":
                assert cloud.labels is None
            else:
                assert cloud.labels.tolist() == [False] * 3 + [sample.anomalous] * 2
    assert not listed
    assert kinds == {
        "train good": 160, "test good": 600, "test bulge": 280, "test concavity": 280, "test scratch": 45,
        "test hole": 38, "test broken": 36, "test crack": 25, "test bending": 8,
    }  # fmt: skip


def test_published_counts_agree_with_the_listing(shapenet_rows):
    found = Counter((row["class"], row["split"], row["is_anomalous"]) for row in shapenet_rows)
    counted = {
        name: (found[name, "train", "0"], found[name, "test", "0"], found[name, "test", "1"])
        for name in {row["class"] for row in shapenet_rows}
    }
    assert counted == COUNTS


@pytest.mark.parametrize("below", ["", "pcd", "pcd/vase9"])
def test_root_folder_of_classes_and_class_open_alike(small_shapenet, below):
    dataset = open_dataset(small_shapenet.parent / below)
    assert dataset.layout == "anomaly_shapenet"
    assert dataset.classes == (("vase9",) if below.endswith("vase9") else ("desk0", "vase9"))
    test = dataset.test("vase9")
    assert [sample.kind for sample in test] == ["bending", "bulge", "crack", "good", "good", "good"]
    assert [sample.name for sample in test][-3:] == ["vase9_positive0", "vase9_positive2", "vase9_positive10"]
    assert [sample.anomalous for sample in test] == [True] * 3 + [False] * 3
    assert [sample.name for sample in dataset.train("vase9")] == ["vase9_template0", "vase9_template1"]


def test_ground_truth_without_the_number_of_the_class(small_shapenet, tiny):
    sample = next(s for s in open_dataset(small_shapenet).test("desk0") if s.anomalous)
    assert sample.ground_truth == small_shapenet / "desk0" / "GT" / "desk_hole1.txt"
    cloud = sample.load()
    np.testing.assert_allclose(cloud.points, tiny.points(21))
    assert cloud.labels.tolist() == [False, False, False, True, True]


def test_exact_ground_truth_wins_over_one_without_the_number(small_shapenet, tiny):
    exact = tiny.truth(small_shapenet / "desk0" / "GT" / "desk0_hole1.txt", 21)
    sample = next(s for s in open_dataset(small_shapenet).test("desk0") if s.anomalous)
    assert sample.ground_truth == exact


def test_16384_version_is_space_delimited_and_borrows_its_templates(small_shapenet, tiny):
    root = small_shapenet.parent
    small = root / "16384" / "vase9"
    tiny.scan(small / "test" / "vase9_positive0.pcd")
    tiny.scan(small / "test" / "vase9_hole0.pcd", 5)
    tiny.truth(small / "GT" / "vase9_hole0.txt", 5, label="{}.000000000000000000e+00")
    assert open_dataset(root).root == root
    assert next(s.name for s in open_dataset(root).test("vase9")) == "vase9_bending1"  # pcd is the published one
    dataset = open_dataset(root / "16384")
    assert [sample.kind for sample in dataset.test("vase9")] == ["hole", "good"]
    assert dataset.test("vase9")[0].load().labels.tolist() == [False, False, False, True, True]
    assert [s.path.parent.parent.parent.name for s in dataset.train("vase9")] == ["pcd", "pcd"]


def test_16384_version_alone_says_what_is_missing(tmp_path, tiny):
    tiny.scan(tmp_path / "16384" / "vase9" / "test" / "vase9_positive0.pcd")
    with pytest.raises(BadInput, match=r"no training scans of its own.*unpack the pcd folder"):
        open_dataset(tmp_path).train("vase9")


def test_class_names_of_any_form(tmp_path, tiny):
    folder = tmp_path / "pcd" / "cast_iron_tap"
    tiny.scan(folder / "train" / "cast_iron_tap_template0.pcd")
    tiny.scan(folder / "test" / "cast_iron_tap_positive0.pcd")
    tiny.scan(folder / "test" / "cast_iron_tap_missing_part3.pcd")
    dataset = open_dataset(tmp_path)
    assert dataset.name == tmp_path.name  # not the published dataset
    assert [sample.kind for sample in dataset.test("cast_iron_tap")] == ["missing_part", "good"]


def test_missing_ground_truth_names_the_place(small_shapenet):
    (small_shapenet / "vase9" / "GT" / "vase9_bulge0.txt").unlink()
    dataset = open_dataset(small_shapenet)
    sample = next(s for s in dataset.test("vase9") if s.kind == "bulge")
    with pytest.raises(
        BadInput, match=r"ground truth of .*vase9_bulge0.pcd is missing, expected .*GT.vase9_bulge0.txt"
    ):
        sample.load()


def test_lower_case_gt_is_found(small_shapenet):
    (small_shapenet / "vase9" / "GT").rename(small_shapenet / "vase9" / "gt")
    sample = next(s for s in open_dataset(small_shapenet).test("vase9") if s.kind == "bulge")
    assert sample.load().labels.any()


def test_foreign_name_is_refused_and_template_is_skipped(small_shapenet, tiny):
    tiny.scan(small_shapenet / "vase9" / "test" / "vase9_template0.pcd")
    assert len(open_dataset(small_shapenet).test("vase9")) == 6
    tiny.scan(small_shapenet / "vase9" / "test" / "Untitled.pcd")
    with pytest.raises(BadInput, match=r"Untitled.pcd is not named vase9_<kind><number>.pcd"):
        open_dataset(small_shapenet).test("vase9")


def test_empty_folders(small_shapenet):
    for path in (small_shapenet / "vase9" / "train").iterdir():
        path.unlink()
    with pytest.raises(BadInput, match=r"vase9.train has no training scans"):
        open_dataset(small_shapenet).train("vase9")


def test_truncated_scan_names_the_file(small_shapenet):
    path = small_shapenet / "vase9" / "test" / "vase9_positive0.pcd"
    path.write_bytes(path.read_bytes()[:-40])
    sample = next(s for s in open_dataset(small_shapenet).test("vase9") if s.path == path)
    with pytest.raises(BadInput, match=r"vase9_positive0\.pcd"):
        sample.load()


def test_source_scan_of_a_good_sample_is_the_scan(small_shapenet: Path, tiny):
    sample = next(s for s in open_dataset(small_shapenet).test("vase9") if s.name == "vase9_positive10")
    cloud = sample.load("scan")
    np.testing.assert_allclose(cloud.points, tiny.points(11))
    assert cloud.path == sample.path
    assert not cloud.labels.any()
