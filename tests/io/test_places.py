"""Whether a place can be written is found out by writing, and leaves nothing; killed runs leave nothing for long."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dusnet.errors import BadConfig
from dusnet.io import leftovers, write_text
from dusnet.io.places import require_file, require_folder


def test_a_place_that_can_be_written_stays_as_it_was(tmp_path):
    require_folder(tmp_path / "a" / "b", ["part.json"])
    require_file(tmp_path / "c" / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "gone" / "far")
    with pytest.raises(BadConfig, match="file is a file"):
        require_folder(tmp_path / "file")
    with pytest.raises(BadConfig, match="file is a file"):
        require_folder(tmp_path / "file" / "below")
    with pytest.raises(BadConfig, match="leads nowhere"):
        require_folder(tmp_path / "link")
    with pytest.raises(BadConfig, match="too long"):
        require_folder(tmp_path / ("n" * 300))
    with pytest.raises(BadConfig, match="too long"):
        require_folder(tmp_path, ["n" * 300])
    with pytest.raises(BadConfig, match="cannot be written"):
        require_folder("/proc" / tmp_path.relative_to("/"))  # not even root writes there
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop root")
def test_a_folder_without_permission_is_refused(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(BadConfig, match="cannot be written"):
        require_folder(tmp_path / "closed")


WRITER = (
    "import sys, time; from pathlib import Path; from dusnet.io.leftovers import temporary_file\n"
    "with temporary_file(Path(sys.argv[1]), '.json'):\n    print('there', flush=True); time.sleep(60)\n"
)


def writer(folder) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    return process


def test_files_of_killed_processes_are_removed_and_those_in_use_are_not(tmp_path):
    killed, running = writer(tmp_path), writer(tmp_path)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 2
        leftovers._cleaned.clear()
        write_text(tmp_path / "a.txt", "x")
        names = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
        assert len(names) == 1
        assert f"-{running.pid}-" in names[0]
        assert names[0].endswith(".json")
    finally:
        running.kill()
        running.wait()


def test_files_that_only_look_alike_are_left(tmp_path):
    gone = 2**22 + 1  # beyond the largest number of a process
    ours, old = tmp_path / f".dusnet-{leftovers._host()}-{gone}-abc.ply", time.time() - 3600
    kept = [tmp_path / f".dusnet-otherhost-{gone}-abc.ply", tmp_path / ".dusnet-notes", tmp_path / ".part.abc.ply"]
    for path in (ours, *kept):
        path.write_text("x")
        os.utime(path, (old, old))
    leftovers._cleaned.clear()
    leftovers.remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_many_processes_may_look_at_one_place_at_once(tmp_path):
    import multiprocessing

    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_look_and_write, args=(tmp_path / "a" / "b", number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(list((tmp_path / "a" / "b").iterdir())) == 4


def test_a_folder_that_another_process_removes_between_two_looks_is_no_link(tmp_path, monkeypatch):
    made, make = [], Path.mkdir

    def late(self, *args, **kwargs) -> None:
        made.append(self)
        if len(made) == 1:
            raise FileExistsError(errno.EEXIST, "File exists", str(self))  # it is gone when it is looked at
        make(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", late)
    require_folder(tmp_path / "a" / "b")
    assert made == [tmp_path / "a", tmp_path / "a", tmp_path / "a" / "b"]
    assert not list(tmp_path.iterdir())


def _look_and_write(folder, number) -> None:
    for _ in range(30):
        require_folder(folder)
    write_text(folder / f"{number}.txt", "x")
