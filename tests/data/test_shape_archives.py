from __future__ import annotations

import json

import numpy as np
import pytest

from dusnet.data.shape_archives import iterate_shapes
from dusnet.errors import BadInput

AIRPLANE, BAG = "02691156", "02773838"


@pytest.fixture
def shapenet_text(tmp_path, rng):
    """Two categories, three shapes; returns the folder and the points by (synset, id)."""
    root = tmp_path / "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    (root / "train_test_split").mkdir(parents=True)
    (root / "synsetoffset2category.txt").write_text(f"Airplane\t{AIRPLANE}\nBag\t{BAG}\nCap\t02954340\n")
    points = {}
    for synset, name in ((AIRPLANE, "a1"), (AIRPLANE, "a2"), (BAG, "b1")):
        table = rng.normal(size=(6, 7))
        (root / synset).mkdir(exist_ok=True)
        np.savetxt(root / synset / f"{name}.txt", table, fmt="%.6f")
        points[synset, name] = table[:, :3]
    splits = {"train": [(AIRPLANE, "a1"), (BAG, "b1")], "val": [], "test": [(AIRPLANE, "a2")]}
    for split, members in splits.items():
        entries = [f"shape_data/{synset}/{name}" for synset, name in members]
        (root / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(json.dumps(entries))
    return root, points


def test_shapenet_text(shapenet_text):
    root, points = shapenet_text
    shapes = list(iterate_shapes(root))
    assert [shape.category for shape in shapes] == ["Airplane", "Bag"]
    assert all(shape.points.dtype == np.float32 and shape.points.shape == (6, 3) for shape in shapes)
    np.testing.assert_allclose(shapes[0].points, points[AIRPLANE, "a1"], atol=1e-5)
    np.testing.assert_allclose(shapes[1].points, points[BAG, "b1"], atol=1e-5)
    assert [shape.source.split("/")[-1] for shape in iterate_shapes(root, split="test")] == ["a2.txt"]
    assert len(list(iterate_shapes(root, split="all"))) == 3
    assert [s.category for s in iterate_shapes(root, split="all", categories=["bag"])] == ["Bag"]


def test_shapenet_text_in_its_first_form(shapenet_text, rng):
    root, _ = shapenet_text
    for synset in (AIRPLANE, BAG):
        (root / synset / "points").mkdir()
        (root / synset / "points_label").mkdir()
    table = rng.normal(size=(4, 3))
    np.savetxt(root / AIRPLANE / "points" / "a2.pts", table, fmt="%.5f")
    (root / AIRPLANE / "points_label" / "a2.seg").write_text("1\n1\n2\n2\n")
    (shape,) = iterate_shapes(root, split="test")
    np.testing.assert_allclose(shape.points, table, atol=1e-4)


def test_shapenet_text_errors(shapenet_text):
    root, _ = shapenet_text
    with pytest.raises(BadInput, match="no category bottle, it has Airplane, Bag, Cap"):
        list(iterate_shapes(root, categories=["bottle"]))
    with pytest.raises(BadInput, match="no split 'valid'; choose train, val, test, all"):
        iterate_shapes(root, split="valid")
    (root / "train_test_split" / "shuffled_train_file_list.json").unlink()
    with pytest.raises(BadInput, match=r"list of the train split is missing.*use split 'all'"):
        list(iterate_shapes(root))
    (root / "train_test_split" / "shuffled_test_file_list.json").write_text('["a2"]')
    with pytest.raises(BadInput, match="is not a list of shape_data"):
        list(iterate_shapes(root, split="test"))
    (root / BAG / "b1.txt").write_text("<html>not found</html>\n")
    with pytest.raises(BadInput, match=r"b1\.txt"):
        list(iterate_shapes(root, split="all"))


def test_shapenet_h5(tmp_path, rng):
    h5py = pytest.importorskip("h5py")
    clouds = rng.normal(size=(5, 8, 3)).astype(np.float32)
    with h5py.File(tmp_path / "ply_data_train0.h5", "w") as store:
        store["data"], store["label"] = clouds[:2], np.array([[1], [0]], dtype=np.uint8)
    with h5py.File(tmp_path / "ply_data_train1.h5", "w") as store:
        store["data"], store["label"] = clouds[2:3], np.array([[2]], dtype=np.uint8)
    with h5py.File(tmp_path / "ply_data_test0.h5", "w") as store:
        store["data"], store["label"] = clouds[3:], np.array([[0], [0]], dtype=np.uint8)
    shapes = list(iterate_shapes(tmp_path))
    assert [shape.category for shape in shapes] == ["1", "0", "2"]
    np.testing.assert_array_equal(np.stack([shape.points for shape in shapes]), clouds[:3])
    (tmp_path / "all_object_categories.txt").write_text(f"Airplane\t{AIRPLANE}\nBag\t{BAG}\nCap\t02954340\n")
    assert [s.category for s in iterate_shapes(tmp_path, categories=["cap", "bag"])] == ["Bag", "Cap"]
    np.testing.assert_array_equal(next(iter(iterate_shapes(tmp_path, split="test"))).points, clouds[3])
    assert len(list(iterate_shapes(tmp_path, split="all"))) == 5
    assert len(list(iterate_shapes(tmp_path / "ply_data_train0.h5"))) == 2
    with pytest.raises(BadInput, match="no file of the val split"):
        list(iterate_shapes(tmp_path, split="val"))
    with pytest.raises(BadInput, match="has no category chair, it has Airplane, Bag, Cap"):
        list(iterate_shapes(tmp_path, categories=["chair"]))


def test_punet_h5_takes_the_densest(tmp_path, rng):
    h5py = pytest.importorskip("h5py")
    dense = rng.normal(size=(3, 16, 6)).astype(np.float32)  # with normals
    path = tmp_path / "PUNET_patches.h5"
    with h5py.File(path, "w") as store:
        store["poisson_4"], store["poisson_16"], store["name"] = dense[:, :4], dense, np.array([b"a", b"b", b"c"])
    for source in (tmp_path, path):
        shapes = list(iterate_shapes(source))
        np.testing.assert_array_equal(np.stack([shape.points for shape in shapes]), dense[:, :, :3])
        assert {shape.category for shape in shapes} == {"PUNET_patches"}
    with pytest.raises(BadInput, match="no file of the test split"):
        list(iterate_shapes(path, split="test"))


def test_damaged_h5(tmp_path, rng):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "train.h5"
    path.write_bytes(b"<html>")
    with pytest.raises(BadInput, match=r"train.h5 is not a readable HDF5 file"):
        list(iterate_shapes(tmp_path))
    with h5py.File(path, "w") as store:
        store["data"] = rng.normal(size=(4, 500, 3))
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(BadInput, match=r"train.h5 is damaged"):
        list(iterate_shapes(tmp_path))
    for content, message in (
        ({"images": np.zeros((2, 2))}, "neither 'data' .* but images"),
        ({"data": np.zeros((4, 2))}, r"must be \(n, points, 3 or more\), got \(4, 2\)"),
        ({"data": np.zeros((4, 2, 3)), "label": np.zeros(3)}, "4 clouds but 3 labels"),
        ({"data": np.full((1, 2, 3), np.nan)}, "row 0 holds NaN"),
    ):
        with h5py.File(path, "w") as store:
            for name, values in content.items():
                store[name] = values
        with pytest.raises(BadInput, match=message):
            list(iterate_shapes(tmp_path))


def test_xyz_patches(tmp_path, rng):
    folder = tmp_path / "patches"
    folder.mkdir()
    table = rng.normal(size=(5, 6))
    np.savetxt(folder / "p10.xyz", table + 1)
    np.savetxt(folder / "p2.xyz", table)
    first, second = iterate_shapes(folder)
    np.testing.assert_allclose(first.points, table[:, :3], rtol=1e-6)
    np.testing.assert_allclose(second.points, table[:, :3] + 1, rtol=1e-6)
    assert first.category == "patches"
    with pytest.raises(BadInput, match="has no test split"):
        list(iterate_shapes(folder, split="test"))


def test_nothing_there(tmp_path):
    with pytest.raises(BadInput, match=r"is no pre-training data: looked for synsetoffset2category\.txt"):
        iterate_shapes(tmp_path)
    with pytest.raises(BadInput, match="no pre-training data at"):
        iterate_shapes(tmp_path / "absent")
