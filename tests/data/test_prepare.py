from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from dusnet.data.prepare import summary, verify, write_manifest
from dusnet.errors import BadInput

TOOL = Path(__file__).resolve().parents[2] / "tools" / "prepare_data.py"


def messages(report):
    return [problem.message for problem in report.problems]


@pytest.mark.parametrize("root", ["shapenet_root", "real_root"])
def test_full_archives_are_complete(root, request):
    report = verify(request.getfixturevalue(root))
    assert report.problems == ()
    assert report.ok
    assert sum(entry.train + entry.good + entry.defective for entry in report.classes) in (1472, 1254)
    assert all(entry.expected == (entry.train, entry.good, entry.defective) for entry in report.classes)
    assert summary(report).splitlines()[-1] == "no errors"


def test_missing_scans_and_classes_of_a_published_archive(real_root, tmp_path):
    root = tmp_path / "real"
    for name in ("duck", "shell"):
        shutil.copytree(real_root / "Real3D-AD-PCD" / name, root / name)
    next((root / "duck" / "test").glob("*_good.pcd")).unlink()
    lost = next((root / "shell" / "test").glob("*_sink.pcd"))
    lost.unlink()
    report = verify(root, read=False)
    assert not report.ok
    found = "\n".join(messages(report))
    assert "duck has 49 good test scans but 50 were published" in found
    assert "shell has 47 defective test scans but 48 were published" in found
    assert f"{lost.stem}.txt is the ground truth of no scan" in found
    assert "the class airplane is missing" in found
    assert len(report.problems) == 3 + 10
    assert verify(root, official=False, classes=["duck"], read=False).ok
    assert len(verify(root / "duck", read=False).problems) == 1  # one class was named: the others are not missed


def test_known_mistakes_are_listed_and_allowed(small_real, tiny):
    test = small_real / "starfish" / "test"
    tiny.scan(test / "433_bulge.pcd", 3, count=7)
    report = verify(small_real, official=False)
    assert report.ok
    (problem,) = report.problems
    assert problem.known
    assert "433_bulge.pcd has 7 points but its ground truth" in problem.message
    assert "has 5 rows (the published archive has this mistake)." in problem.message
    tiny.scan(test / "433_bulge_cut.pcd", 4, count=6)
    report = verify(small_real, official=False)
    assert not report.ok
    assert [problem.known for problem in report.problems] == [True, False]
    assert "has 6 points but its ground truth" in report.problems[1].message
    assert verify(small_real, official=False, read=False).problems == ()


def test_damage_of_every_kind_is_found_at_once(small_shapenet):
    folder = small_shapenet / "vase9"
    (folder / "GT" / "vase9_bulge0.txt").unlink()
    (folder / "test" / "vase9_positive0.pcd").write_bytes(b"")
    (folder / "GT" / "vase9_crak4.txt").write_text("0,0,0,0\n" * 5)
    (folder / "train" / "vase9_template0.pcd").write_text("<html>quota exceeded</html>")
    for path in (small_shapenet / "desk0" / "train").iterdir():
        path.unlink()
    report = verify(small_shapenet, official=False)
    found = "\n".join(messages(report))
    assert "desk0/train has no training scans" in found
    assert "the ground truth of" in found
    assert "expected" in found
    assert "vase9_positive0.pcd" in found
    assert "labels none of its 5 points as defect" in found
    assert "vase9_template0.pcd" in found
    assert len(report.problems) == 5


def test_manifest_holds_counts_of_points(small_shapenet, tmp_path):
    out = tmp_path / "out" / "manifest.json"
    write_manifest(verify(small_shapenet, official=False), out)
    manifest = json.loads(out.read_text())
    assert (manifest["manifest"], manifest["ok"], manifest["layout"]) == (1, True, "anomaly_shapenet")
    desk = manifest["classes"][0]
    assert (desk["name"], desk["train"], desk["good"], desk["defective"]) == ("desk0", 1, 1, 1)
    assert desk["files"][1] == {
        "file": "desk0/test/desk0_hole1.pcd",
        "split": "test",
        "kind": "hole",
        "points": 5,
        "ground_truth": "desk0/GT/desk_hole1.txt",
        "ground_truth_points": 5,
        "defective_points": 2,
    }
    assert [path.name for path in out.parent.iterdir()] == ["manifest.json"]


def test_plain_folder(tmp_path, tiny):
    tiny.scan(tmp_path / "normal" / "a.ply")
    tiny.scan(tmp_path / "test" / "b.ply")
    report = verify(tmp_path)
    assert report.ok
    assert (report.classes[0].train, report.classes[0].unknown) == (1, 1)
    assert "unknown 1" in summary(report)


def test_unknown_class_is_an_error_not_a_problem(small_real):
    with pytest.raises(BadInput, match="did you mean starfish"):
        verify(small_real, classes=["starfihs"])


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("prepare_data", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tool(tool, small_real, tmp_path, capsys):
    manifest = tmp_path / "manifest.json"
    assert tool.main([str(small_real), "--any-counts", "--manifest", str(manifest), "--quiet"]) == 0
    output = capsys.readouterr()
    assert "starfish      2      3          6" in output.out
    assert output.err == ""
    assert json.loads(manifest.read_text())["dataset"] == "Real3D-AD"
    assert tool.main([str(small_real), "--names-only", "--quiet"]) == 2
    assert "starfish has 2 training scans but 4 were published" in capsys.readouterr().out
    assert tool.main([str(tmp_path / "absent"), "--quiet"]) == 2
    assert "there is no dataset at" in capsys.readouterr().err
