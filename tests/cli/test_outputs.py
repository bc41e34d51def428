"""Outputs that cannot be written, or would destroy files of the user, are refused before the work."""

from __future__ import annotations

import shutil

import pytest
from cli_parts import TINY_WORDS, everything_in


def refused(result, *words: str) -> None:
    assert result.code == 2, result
    for word in words:
        assert word in result.sentence


def test_a_name_that_looks_like_another_file_is_a_question(run, parts, tmp_path):
    for name in ("good.pth", "good.pt", "good.SAFETENSORS", "a.b/model.onnx"):
        refused(run("train", parts, "--out", tmp_path / name, "--quiet", *TINY_WORDS), name, ".safetensors", "folder")
    assert everything_in(tmp_path) == set()


def test_only_an_own_model_is_replaced(run, parts, model, tmp_path):
    target = tmp_path / "m.safetensors"
    target.write_text("not by dusnet")
    refused(run("train", parts, "--out", target, "--quiet", *TINY_WORDS), "m.safetensors", "not written by dusnet")
    good = parts / "test" / "good"
    refused(run("calibrate", model, good, "--out", target, "--quiet"), "m.safetensors", "not written by dusnet")
    assert target.read_text() == "not by dusnet"
    refused(run("calibrate", model, good, "--out", tmp_path / "m.pth", "--quiet"), "m.pth", "m.safetensors")
    shutil.copy(model, tmp_path / "n.safetensors")
    (tmp_path / "n.safetensors.curves").mkdir()
    (tmp_path / "n.safetensors.curves" / "thesis.docx").write_text("mine")
    refused(run("train", parts, "--out", tmp_path / "n.safetensors", "--quiet", *TINY_WORDS), "thesis.docx")
    assert (tmp_path / "n.safetensors.curves" / "thesis.docx").read_text() == "mine"


@pytest.mark.parametrize("verb", ["train", "score", "evaluate", "synth", "demo", "view", "calibrate"])
def test_a_file_in_the_way_is_noticed(run, parts, model, tmp_path, verb):
    (tmp_path / "file").write_text("x")
    place = tmp_path / "file" / "below"
    scan = parts / "test" / "good" / "good0.ply"
    words = {
        "train": [parts, "--out", place / "m.safetensors", *TINY_WORDS],
        "score": [model, scan, "--out", place],
        "evaluate": [parts, "--detector", "nearest", "--out", place],
        "synth": [place],
        "demo": ["--out", place],
        "view": [scan, "--png", place / "a.png"],
        "calibrate": [model, scan, "--out", place / "m.safetensors"],
    }[verb]
    refused(run(verb, *words, "--quiet"), "file")
    assert everything_in(tmp_path) == {"file"}


def test_tables_of_the_user_are_kept(run, parts, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("results.json", "results.csv", "results.md"):
        (out / name).write_text("mine")
        refused(run("evaluate", parts, "--detector", "nearest", "--out", out, "--quiet"), name)
        assert everything_in(out) == {name}
        (out / name).unlink()
    (out / "table.md").write_text("mine")
    refused(run("demo", "--out", out, "--quiet"), "table.md")
    assert everything_in(out) == {"table.md"}


def test_a_picture_never_replaces_what_is_none(run, parts, tmp_path):
    scan = tmp_path / "scan.ply"
    shutil.copy(parts / "test" / "good" / "good0.ply", scan)
    before = scan.read_bytes()
    refused(run("view", scan, "--png", scan, "--quiet"), "scan.ply")
    assert scan.read_bytes() == before
    refused(run("view", scan, "--png", "/dev/null", "--quiet"), "/dev/null")
    (tmp_path / "a.png").touch()
    assert run("view", scan, "--png", tmp_path / "a.png", "--quiet").code == 0
    assert run("view", scan, "--png", tmp_path / "a.png", "--quiet").code == 0


def test_what_a_folder_holds_beside_scans_is_named(run, parts, model, tmp_path):
    folder = tmp_path / "scans"
    shutil.copytree(parts / "test" / "good", folder)
    (folder / "part.e57").write_text("x")
    (folder / "gone.ply").symlink_to(tmp_path / "nowhere.ply")
    result = run("score", model, folder, "--out", tmp_path / "out")
    assert result.code == 0
    assert "part.e57" in result.err
    assert "gone.ply is a link that leads nowhere" in result.err
    assert "gone.ply" in run("score", model, folder, "--out", tmp_path / "out", "--quiet").err
