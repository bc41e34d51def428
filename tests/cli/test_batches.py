"""Batches lose nothing: neither results of earlier runs, nor other scans when one is bad, nor files of the user."""

from __future__ import annotations

import json
import multiprocessing
import shutil

import pytest
from batches import ByHeight, scan
from cli_parts import everything_in

from dusnet.cli._judge import exit_code
from dusnet.errors import BadConfig, BadInput
from dusnet.io import find_clouds
from dusnet.io.marks import FileKind, kind_of
from dusnet.summary import read_summary


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    for number, score in enumerate((0.5, 0.25, 2.0)):
        scan(folder / f"part{number}.ply", score)
    return folder


def stems(out) -> list[str]:
    return [line["stem"] for line in read_summary(out / "summary.csv")]


def test_a_folder_that_gets_one_part_after_another_lists_all(scans, tmp_path):
    out = tmp_path / "out"
    for name in ("part1", "part0", "part2", "part1"):
        ByHeight(out).run([scans / f"{name}.ply"])
    assert sorted(stems(out)) == ["part0", "part1", "part2"]
    assert stems(out)[-1] == "part1"  # scored last
    verdicts = {line["stem"]: line["verdict"] for line in read_summary(out / "summary.csv")}
    assert verdicts == {"part0": "OK", "part1": "OK", "part2": "NG"}
    scan(scans / "part2.ply", 0.75)
    ByHeight(out).run([scans / "part2.ply"])
    lines = read_summary(out / "summary.csv")
    assert len(lines) == 3
    assert lines[-1]["object_score"] == "0.75"


def test_what_a_killed_run_did_not_list_is_listed_by_the_next(scans, tmp_path):
    out = tmp_path / "out"
    ByHeight(out).run([scans])
    (out / "summary.csv").unlink()  # as if it had been killed before
    (out / "part0.json").unlink()
    ByHeight(out).run([scan(tmp_path / "late.ply")])
    assert stems(out) == ["part1", "part2", "late"]


def test_files_that_are_no_results_are_named_and_do_no_harm(scans, tmp_path):
    out = tmp_path / "out"
    ByHeight(out).run([scans])
    record = json.loads((out / "part0.json").read_text())
    (out / "notes.json").write_text('{"operator": "N. N."}')
    (out / "cut.json").write_text('{"schema_version": 2,')
    (out / "copy of part0.json").write_text(json.dumps(record))
    (out / "huge.json").write_text(json.dumps({**record, "points": 10**400}))
    said: list[str] = []
    batch = ByHeight(out)
    batch._progress.log = said.append
    assert exit_code(batch.run([scans / "part1.ply"]), gate=True) == 0
    assert stems(out) == ["part0", "part2", "part1"]
    words = " ".join(said)
    assert "copy of part0.json" in words
    assert "cut.json" in words
    assert "2 more" in words or "huge.json" in words
    assert (out / "notes.json").read_text() == '{"operator": "N. N."}'


def _score(paths, out) -> None:
    for path in paths:
        ByHeight(out).run([path])


def test_two_processes_at_once_lose_nothing(tmp_path):
    out = tmp_path / "out"
    groups = [[scan(tmp_path / f"{group}{number}.ply") for number in range(6)] for group in "ab"]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_score, args=(group, out)) for group in groups]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sorted(stems(out)) == sorted(path.stem for group in groups for path in group)


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), MemoryError(), RecursionError("deep"), OSError(5, "I/O")])
def test_whatever_is_wrong_with_one_scan_does_not_lose_the_others(scans, tmp_path, error):
    def act(name: str) -> None:
        if name == "part1.ply":
            raise error

    outcome = ByHeight(tmp_path / "out", act=act).run([scans])
    assert [result.stem for result in outcome.results] == ["part0", "part2"]
    (sentence,) = outcome.failures
    assert "part1.ply" in sentence
    assert "\n" not in sentence
    assert exit_code(outcome, gate=True) == exit_code(outcome, gate=False) == 2
    assert stems(tmp_path / "out") == ["part0", "part2"]


def test_ctrl_c_is_not_one_scan_that_is_wrong(scans, tmp_path):
    def act(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ByHeight(tmp_path / "out", act=act).run([scans])


def test_results_beside_the_scans_are_no_scans(scans):
    ByHeight(scans).run([scans])
    before = everything_in(scans)
    shutil.copy(scans / "part0.scored.ply", scans / "renamed.ply")
    scan(scans / "own.scored.ply")  # by the user
    outcome = ByHeight(scans).run([scans])
    assert [result.stem for result in outcome.results] == ["own.scored", "part0", "part1", "part2"]
    assert everything_in(scans) - before == {
        "renamed.ply", "own.scored.ply", "own.scored.json", "own.scored.scored.ply",
    }  # fmt: skip
    with pytest.raises(BadInput, match=r"renamed\.ply is a result"):
        ByHeight(scans).run([scans / "renamed.ply"])


@pytest.mark.parametrize(
    ("name", "pictures", "report"),
    [
        ("part0.json", False, False),
        ("part2.scored.ply", False, False),
        ("part1.reconstruction.ply", False, False),
        ("summary.csv", False, False),
        ("part1.png", True, False),
        ("part1.report.html", False, True),
        ("index.html", False, True),
    ],
)
def test_files_of_the_user_are_kept_and_named_before_any_work(scans, tmp_path, name, pictures, report):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    judged: list[str] = []
    with pytest.raises(BadInput, match=name.replace(".", r"\.")):
        ByHeight(out, pictures=pictures, report=report, act=judged.append).run([scans])
    assert judged == []
    assert everything_in(out) == {name}
    assert (out / name).read_text() == "mine"


def test_files_that_will_not_be_written_are_no_obstacle(scans, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("part1.png", "index.html", "part1.report.html", "part1.txt"):
        (out / name).write_text("mine")
    assert not ByHeight(out).run([scans]).failures
    assert {(out / name).read_text() for name in ("part1.png", "index.html", "part1.report.html")} == {"mine"}


def test_a_place_that_cannot_be_written_is_noticed_before_the_work(scans, tmp_path):
    (tmp_path / "file").write_text("x")
    judged: list[str] = []
    with pytest.raises(BadConfig, match="is a file"):
        ByHeight(tmp_path / "file", act=judged.append).run([scans])
    long = scan(tmp_path / f"{'n' * 246}.ply")
    with pytest.raises(BadConfig, match="too long"):
        ByHeight(tmp_path / "out", act=judged.append).run([scans, long])
    assert judged == []


def test_results_that_are_removed_meanwhile_are_no_success(scans, tmp_path):
    out = tmp_path / "out"

    def act(name: str) -> None:
        if name == "part2.ply":
            shutil.rmtree(out)

    outcome = ByHeight(out, act=act).run([scans])
    assert exit_code(outcome, gate=True) == 2
    assert "2 scans" in outcome.failures[0]
    assert stems(out) == ["part2"]


def test_pictures_and_pages_of_an_earlier_run_do_not_stay(scans, tmp_path):
    out = tmp_path / "out"
    ByHeight(out, pictures=True).run([scans / "part0.ply"])
    assert kind_of(out / "part0.png") is FileKind.PICTURE
    ByHeight(out).run([scans / "part0.ply"])
    assert not (out / "part0.png").exists()


def test_the_hash_is_of_the_scan_that_was_scored(scans, tmp_path):
    import hashlib

    path = scans / "part0.ply"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    ByHeight(tmp_path / "out", act=lambda _: path.write_text("another scan by now")).run([path])
    assert read_summary(tmp_path / "out" / "summary.csv")[0]["scan_sha256"] == expected


def test_names_forge_no_line_and_no_cell(tmp_path, capsys):
    hostile = tmp_path / "scans" / "=x\x1b[2J\nOK      good: score 0\r\u202e.ply"
    scan(hostile, 2.0)
    out = tmp_path / "out"
    ByHeight(out).run([hostile.parent])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("NG ")
    assert not {"\x1b", "\u202e", "\r"} & set(line)
    (row,) = read_summary(out / "summary.csv")
    assert (row["stem"], row["scan"]) == (hostile.stem, hostile.name)
    assert find_clouds(out) == []
