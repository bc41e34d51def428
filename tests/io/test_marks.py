"""Own files are known by their mark, whatever they are called, and files of others are never taken for them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dusnet.cloud import PointCloud
from dusnet.errors import BadInput
from dusnet.io import find_clouds, write_cloud, write_json, write_text
from dusnet.io.clouds import sort_folder
from dusnet.io.marks import FileKind, is_result, kind_of, require_replaceable, save_picture

POINTS = np.random.default_rng(0).normal(size=(20, 3))


def ply(path: Path, *comments: str, names: tuple[str, ...] = ("x", "y", "z")) -> Path:
    """A PLY file as another program, or an earlier version, writes it."""
    lines = ["ply", "format ascii 1.0", *(f"comment {line}" for line in comments), "element vertex 2"]
    lines += [*(f"property float {name}" for name in names), "end_header"]
    lines += [" ".join(["1"] * len(names)), " ".join(["2"] * len(names))]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_results_are_no_scans_under_any_name(tmp_path):
    cloud = PointCloud(POINTS)
    write_cloud(tmp_path / "a.scored.ply", cloud, scalars={"anomaly_score": np.zeros(20)}, result=FileKind.SCORED)
    write_cloud(tmp_path / "a.reconstruction.ply", cloud, result=FileKind.RECONSTRUCTION)
    for name, kind in (("a.scored.ply", FileKind.SCORED), ("a.reconstruction.ply", FileKind.RECONSTRUCTION)):
        assert kind_of(tmp_path / name) is kind
        (tmp_path / name).rename(tmp_path / f"renamed{kind.name}.ply")
        assert kind_of(tmp_path / f"renamed{kind.name}.ply") is kind
    write_cloud(tmp_path / "b.scored.ply", cloud)
    ply(tmp_path / "c.scored.ply", "made by a scanner", names=("x", "y", "z", "anomaly_score"))
    ply(tmp_path / "d.reconstruction.ply")
    assert [path.name for path in find_clouds(tmp_path)] == ["b.scored.ply", "c.scored.ply", "d.reconstruction.ply"]


def test_results_of_the_first_version_are_known(tmp_path):
    scored = ply(tmp_path / "p.scored.ply", "written by dusnet", names=("x", "y", "z", "anomaly_score"))
    surface = ply(tmp_path / "p.reconstruction.ply", "written by dusnet")
    assert (kind_of(scored), kind_of(surface)) == (FileKind.SCORED, FileKind.RECONSTRUCTION)
    alone = ply(tmp_path / "q.reconstruction.ply", "written by dusnet")  # as `synth` may have called a scan
    assert not is_result(alone)
    record = {"schema_version": 1, "object_score": 0.5, "model": {"id": "m", "sha256": None}, "scan": {"file": "p.ply"}}
    (tmp_path / "p.json").write_text(json.dumps(record))
    assert kind_of(tmp_path / "p.json") is FileKind.RECORD


@pytest.mark.parametrize(
    "text",
    ['{"operator": "N. N."}', '{"object_score": 1}', "[", "[1, 2]", '{"generator": "dusnet"}', "null", "[" * 100_000],
    ids=range(7),
)
def test_json_of_others_is_not_ours(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert kind_of(tmp_path / "a.json") is None


def test_tables_pages_and_pictures(tmp_path):
    from PIL import Image

    picture = Image.new("RGB", (3, 2))
    picture.save(tmp_path / "theirs.png")
    save_picture(picture, tmp_path / "ours.png")
    assert (kind_of(tmp_path / "ours.png"), kind_of(tmp_path / "theirs.png")) == (FileKind.PICTURE, None)
    write_text(tmp_path / "a.html", '<!DOCTYPE html>\n<meta name="generator" content="dusnet 1">')
    write_text(tmp_path / "b.html", '<!DOCTYPE html>\n<meta name="generator" content="other">')
    assert (kind_of(tmp_path / "a.html"), kind_of(tmp_path / "b.html")) == (FileKind.PAGE, None)


def test_a_summary_is_no_scan_where_all_scans_are_tables(tmp_path):
    from dusnet.result import COLUMNS

    np.savetxt(tmp_path / "part1.csv", POINTS, delimiter=",")
    write_text(tmp_path / "summary.csv", ",".join(COLUMNS) + "\n" + ",".join("1" for _ in COLUMNS) + "\n")
    assert [path.name for path in find_clouds(tmp_path)] == ["part1.csv"]


def test_what_is_left_out_of_a_folder_is_known(tmp_path):
    write_cloud(tmp_path / "a.ply", PointCloud(POINTS))
    write_cloud(tmp_path / "b.ply", PointCloud(POINTS), result=FileKind.SCORED)
    (tmp_path / "c.ply").symlink_to(tmp_path / "gone.ply")
    (tmp_path / "d.e57").write_text("x")
    (tmp_path / "notes.txt").write_text("1 2 3")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "sub").mkdir()
    found = sort_folder(tmp_path)
    names = [[path.name for path in group] for group in (found.scans, found.results, found.broken, found.others)]
    assert names == [["a.ply"], ["b.ply"], ["c.ply"], ["d.e57", "notes.txt"]]


def test_files_of_others_are_not_replaced(tmp_path):
    target = tmp_path / "a.json"
    require_replaceable(target, FileKind.RECORD)
    write_json(target, {"mine": 1})
    with pytest.raises(BadInput, match=r"a\.json was not written by dusnet"):
        require_replaceable(target, FileKind.RECORD)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        require_replaceable(tmp_path / "folder.json", FileKind.RECORD)
    (tmp_path / "link.json").symlink_to("nowhere")
    with pytest.raises(BadInput, match="no regular file"):
        require_replaceable(tmp_path / "link.json", FileKind.RECORD)
    with pytest.raises(BadInput, match="no regular file"):
        require_replaceable(Path("/dev/null"), FileKind.PICTURE, named=True)
    (tmp_path / "empty").touch()
    require_replaceable(tmp_path / "empty", FileKind.MODEL, named=True)
    with pytest.raises(BadInput, match="not written by dusnet"):
        require_replaceable(tmp_path / "empty", FileKind.MODEL)
    with pytest.raises(BadInput, match="too long"):
        require_replaceable(tmp_path / ("n" * 300), FileKind.MODEL)


def test_models_are_known(tmp_path):
    import torch
    from safetensors.torch import save_file

    from dusnet.io.tensors import write_tensors

    write_tensors(tmp_path / "ours", {"a": torch.zeros(3)}, {"x": 1})
    save_file({"a": torch.zeros(3)}, tmp_path / "theirs", metadata={"format": "pt"})
    assert (kind_of(tmp_path / "ours"), kind_of(tmp_path / "theirs")) == (FileKind.MODEL, None)


def test_the_hash_is_of_what_was_read(tmp_path):
    import hashlib

    from dusnet.io import read_cloud

    path = tmp_path / "a.ply"
    write_cloud(path, PointCloud(POINTS))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    cloud = read_cloud(path)
    path.write_bytes(b"another file by now")
    assert cloud.sha256 == expected
    assert cloud.select(np.arange(5)).sha256 == expected
