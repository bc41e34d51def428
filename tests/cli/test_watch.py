"""`dusnet watch`: each scan that comes into a folder is judged once, whatever happens in between."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from batches import ByHeight
from cli_parts import block, write_ascii_ply

from dusnet.errors import BadConfig, BadInput
from dusnet.io.arrivals import Arrivals
from dusnet.io.locks import sole_process
from dusnet.summary import read_summary
from dusnet.watch import LOCK, Watch


def scan(path: Path, height: float = 0.0) -> Path:
    points = np.random.default_rng(0).normal(size=(150, 3))
    points[0, 2] = height
    write_ascii_ply(path, points)
    return path


def watch(batch: ByHeight, folder: Path, model: str | None = None) -> tuple[Watch, list[str]]:
    """A watch that ends when all that lies in the folder is judged, and what it said."""
    said: list[str] = []
    watcher = Watch(batch, folder, model, settle=0.0, interval=0.01, say=said.append)
    watcher.run(lambda: False, idle_exit=0.0)
    return watcher, said


def lines(out: Path) -> list[tuple[str, str]]:
    return [(row["stem"], row["verdict"]) for row in read_summary(out / "summary.csv")]


@pytest.fixture
def judged() -> list[str]:
    return []


@pytest.fixture
def batch(tmp_path, judged) -> ByHeight:
    return ByHeight(tmp_path / "out", act=judged.append)


def test_a_file_is_handed_on_once_when_it_did_not_change_for_the_time_to_settle(tmp_path):
    now = [0.0]
    arrivals = Arrivals(tmp_path, 2.0, clock=lambda: now[0])
    file = scan(tmp_path / "a.ply")
    (tmp_path / ".hidden.ply").write_bytes(b"x")
    (tmp_path / "notes.md").write_bytes(b"x")

    def at(second: float) -> list[str]:
        now[0] = second
        return [arrival.path.name for arrival in arrivals.look()]

    assert at(0.0) == []
    file.write_bytes(file.read_bytes() + b"\n")
    assert at(1.9) == []
    assert at(3.8) == []
    assert arrivals.settling()
    assert at(3.9) == ["a.ply"]
    assert at(9.0) == []
    assert not arrivals.settling()
    file.write_bytes(file.read_bytes() + b"\n")
    assert at(10.0) == []
    assert at(12.0) == ["a.ply"]


def test_what_came_is_judged_and_a_second_run_judges_only_what_is_new(batch, judged, tmp_path):
    scans = tmp_path / "in"
    scan(scans / "a.ply"), scan(scans / "b.ply", 5.0)
    watcher, said = watch(batch, scans)
    assert [verdict.status.value for verdict in watcher.verdicts] == ["OK", "NG"]
    assert lines(tmp_path / "out") == [("a", "OK"), ("b", "NG")]
    scan(scans / "c.ply")
    os.utime(scans / "a.ply")  # another time, the same scan
    watch(batch, scans)
    assert judged == ["a.ply", "b.ply", "c.ply"]
    assert lines(tmp_path / "out") == [("a", "OK"), ("b", "NG"), ("c", "OK")]
    assert said == []


def test_a_scan_that_changed_is_judged_again_and_has_one_line(batch, judged, tmp_path):
    scans = tmp_path / "in"
    scan(scans / "a.ply")
    watch(batch, scans)
    scan(scans / "a.ply", 5.0)
    watch(batch, scans)
    assert judged == ["a.ply", "a.ply"]
    assert lines(tmp_path / "out") == [("a", "NG")]


def test_results_of_another_model_or_without_their_page_do_not_count(batch, judged, tmp_path):
    scans = tmp_path / "in"
    scan(scans / "a.ply")
    watch(batch, scans)
    watch(batch, scans, model="0" * 64)
    assert judged == ["a.ply"] * 2
    paged = ByHeight(tmp_path / "out", act=judged.append, report=True)
    watch(paged, scans)
    watch(paged, scans)
    assert judged == ["a.ply"] * 3
    assert "a.report.html" in (tmp_path / "out" / "index.html").read_text()


def test_two_scans_of_one_stem_have_results_of_their_own_in_any_order(batch, judged, tmp_path):
    scans = tmp_path / "in"
    scan(scans / "a.ply")
    watch(batch, scans)
    np.savetxt(scans / "a.xyz", np.random.default_rng(1).normal(size=(150, 3)) + np.array([0, 0, 9]))
    watch(batch, scans)
    watch(batch, scans)
    assert judged == ["a.ply", "a.xyz"]
    assert lines(tmp_path / "out") == [("a", "OK"), ("a_xyz", "NG")]


def test_a_result_that_another_process_writes_meanwhile_is_kept(tmp_path):
    scans, other = tmp_path / "in", tmp_path / "other"
    scan(scans / "a.ply"), scan(scans / "b.ply", 5.0)
    other.mkdir()
    np.savetxt(other / "b.xyz", np.random.default_rng(1).normal(size=(150, 3)) - np.array([0, 0, 9]))

    def meanwhile(name: str) -> None:
        if name == "a.ply":
            assert not ByHeight(tmp_path / "out").run([other / "b.xyz"]).failures

    watch(ByHeight(tmp_path / "out", act=meanwhile), scans)
    assert sorted(lines(tmp_path / "out")) == [("a", "OK"), ("b", "OK"), ("b_ply", "NG")]


def test_a_folder_that_is_away_for_a_while_is_waited_for(batch, judged, tmp_path):
    scans, away, said = tmp_path / "in", tmp_path / "away", []
    scan(scans / "a.ply")
    watcher = Watch(batch, scans, None, settle=0.0, interval=0.01, say=said.append)
    scans.rename(away)
    looks = iter(range(1000))

    def stopped() -> bool:
        if next(looks) == 20:
            away.rename(scans)
        return judged == ["a.ply"]

    watcher.run(stopped)
    assert len(said) == 1
    assert "cannot be read" in said[0]
    assert "looked at again" in said[0]
    assert lines(tmp_path / "out") == [("a", "OK")]
    scans.rename(away)
    watcher = Watch(batch, away, None, settle=0.0, interval=0.01, say=said.append)
    away.rename(scans)
    with pytest.raises(BadInput, match="cannot be read"):
        watcher.run(lambda: False, idle_exit=0.05)


def test_an_unreadable_scan_is_said_once_and_read_again_when_it_changes(batch, tmp_path):
    scans = tmp_path / "in"
    scans.mkdir()
    (scans / "a.ply").write_bytes(b"ply\nno header")
    watcher, said = watch(batch, scans)
    assert watcher.failed == {"a.ply"}
    assert len(said) == 1
    assert "a.ply" in said[0]
    again, silent = watch(batch, scans)
    assert silent == []
    assert again.failed == {"a.ply"}
    scan(scans / "a.ply")
    mended, silent = watch(batch, scans)
    assert (mended.failed, silent) == (set(), [])
    assert lines(tmp_path / "out") == [("a", "OK")]
    assert not (tmp_path / "out" / ".watch.json").exists()


def test_a_full_disk_is_not_kept_as_the_fault_of_the_scan(tmp_path):
    scans, full = scan(tmp_path / "in" / "a.ply").parent, [True]

    def act(_: str) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    batch = ByHeight(tmp_path / "out", act=act)
    watcher, said = watch(batch, scans)
    assert watcher.failed == {"a.ply"}
    assert len(said) == 1
    assert "tried again" in said[0]
    full.clear()
    assert watch(batch, scans)[0].failed == set()
    assert lines(tmp_path / "out") == [("a", "OK")]


def test_half_a_line_and_a_lost_line_are_mended(batch, tmp_path):
    scans, summary = tmp_path / "in", tmp_path / "out" / "summary.csv"
    scan(scans / "a.ply"), scan(scans / "b.ply")
    watch(batch, scans)
    whole = summary.read_bytes()
    summary.write_bytes(whole[:-40])
    watch(batch, scans)
    assert summary.read_bytes() == whole


def test_a_summary_that_another_process_wrote_meanwhile_has_each_scan_once(tmp_path):
    scans, out = tmp_path / "in", tmp_path / "out"
    for name in "abcd":
        scan(scans / f"{name}.ply")
    other = ByHeight(out)

    def act(name: str) -> None:
        if name == "c.ply":
            other.run([scan(tmp_path / "elsewhere" / "x.ply")])

    batch = ByHeight(out, act=act)
    batch.run([scans / "a.ply"])  # so that there is a summary to lengthen
    watch(batch, scans)
    assert sorted(lines(out)) == [(stem, "OK") for stem in "abcdx"]


def test_a_second_watch_is_refused(batch, judged, tmp_path):
    scans = scan(tmp_path / "in" / "a.ply").parent
    (tmp_path / "out").mkdir()
    with sole_process(tmp_path / "out" / LOCK) as alone:
        assert alone
        with pytest.raises(BadConfig, match="another `dusnet watch`"):
            watch(batch, scans)
    assert judged == []


def test_a_folder_that_is_none_is_refused(batch, tmp_path):
    with pytest.raises(BadInput, match="is no folder"):
        watch(batch, tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()


def test_the_folder_of_the_scans_can_hold_the_results(tmp_path, judged):
    scan(tmp_path / "a.ply")
    for _ in range(2):
        watch(ByHeight(tmp_path, act=judged.append), tmp_path)
    assert judged == ["a.ply"]


def limit_between(run, model: Path, parts: Path, out: Path) -> float:
    """An object score between those of good and dented scans, for a model whose own limit is high."""
    assert run("score", model, parts / "test" / "good", parts / "test" / "dent", "--out", out, "--quiet").code == 0
    scores = {row["stem"]: float(row["object_score"]) for row in read_summary(out / "summary.csv")}
    good, dented = max(scores["good0"], scores["good1"]), min(scores["dent0"], scores["dent1"])
    assert good < dented
    return (good + dented) / 2


def test_the_exit_code_is_that_of_score(run, model, parts, tmp_path):
    limit = limit_between(run, model, parts, tmp_path / "scored")
    scans = tmp_path / "in"
    shutil.copytree(parts / "test" / "good", scans)
    words = ["watch", model, scans, "--out", tmp_path / "out", "--settle", 0, "--interval", 0.05, "--idle-exit", 0]
    words += ["--threshold", limit, "--quiet"]
    good = run(*words, "--gate")
    assert (good.code, [line.split()[0] for line in good.out.splitlines()]) == (0, ["OK", "OK"])
    shutil.copy(parts / "test" / "dent" / "dent0.ply", scans)
    dented = run(*words, "--gate")
    assert (dented.code, [line.split()[0] for line in dented.out.splitlines()]) == (1, ["NG"])
    (scans / "broken.ply").write_bytes(b"ply\n")
    assert run(*words).code == 2
    assert "--settle" in run("watch", model, scans, "--out", tmp_path / "x", "--settle", -1, "--quiet").sentence


def _start(model: Path, scans: Path, out: Path, *words: object) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "dusnet",
        "watch",
        model,
        scans,
        "--out",
        out,
        "--quiet",
        "--interval",
        0.05,
        *words,
    ]
    return subprocess.Popen(
        [str(word) for word in (*command, *words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_results(out: Path, count: int) -> None:
    end = time.monotonic() + 120
    while len(list(out.glob("*.json"))) < count:
        assert time.monotonic() < end, "no results came"
        time.sleep(0.02)


@pytest.mark.long
def test_two_hundred_scans_and_two_kills_lose_nothing_and_judge_nothing_twice(run, model, tmp_path):
    scans, out, once = tmp_path / "in", tmp_path / "watched", tmp_path / "scored"
    generator = np.random.default_rng(5)
    for index in range(200):
        write_ascii_ply(scans / f"part{index:03d}.ply", block(generator, dent=8.0 * (index % 5 == 0)))
    for count in (40, 110):
        process = _start(model, scans, out, "--settle", 0)
        try:
            _wait_for_results(out, count)
        finally:
            process.kill()
            process.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.json")}
    last = _start(model, scans, out, "--settle", 0, "--idle-exit", 0)
    told, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    rows = read_summary(out / "summary.csv")
    assert Counter(row["scan"] for row in rows) == Counter(f"part{index:03d}.ply" for index in range(200))
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert len(told.splitlines()) == 200 - len(before)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".dusnet-")]
    assert run("score", model, scans, "--out", once, "--quiet").code == 0
    measured = ("stem", "verdict", "object_score", "threshold", "regions", "worst_x", "worst_length", "scan_sha256")
    expected = {row["stem"]: [row[name] for name in measured] for row in read_summary(once / "summary.csv")}
    assert {row["stem"]: [row[name] for name in measured] for row in rows} == expected


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_exit_code_of_the_gate(run, model, parts, tmp_path, number):
    limit = limit_between(run, model, parts, tmp_path / "scored")
    scans, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(parts / "test" / "dent", scans)
    process = _start(model, scans, out, "--settle", 0.1, "--gate", "--threshold", limit)
    _wait_for_results(out, 2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert len(read_summary(out / "summary.csv")) == 2
