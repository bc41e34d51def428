"""The course: what it writes, and that an interruption, a second process or scans made before change no bit."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch
from guided_parts import networks, small_course
from tiny_training import Killed, Watch
from torch import Tensor

from dusnet.detectors.dusnet import pretraining as guided_course
from dusnet.detectors.dusnet.pretraining import train_guided
from dusnet.detectors.dusnet.weights import FORMAT
from dusnet.detectors.settings import Settings, load_settings
from dusnet.errors import BadModel
from dusnet.io.tensors import read_tensors
from dusnet.progress import Silent

SOLIDS, SEED = 2, 4
SETTINGS = small_course(steps=10)


def course(folder: Path, settings: Settings = SETTINGS, *, jobs: int = 1, watch: Watch | None = None) -> Path:
    out = folder / "guided.safetensors"
    train_guided(settings, out, folder / "course", seed=SEED, solids=SOLIDS, jobs=jobs, progress=watch or Silent())
    return out


def scan_files(folder: Path) -> list[Path]:
    return sorted((folder / "course").glob("scans-*/*.safetensors"))


def weights(path: Path) -> dict[str, Tensor]:
    return read_tensors(path)[0]


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a course that nothing disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    course(folder)
    return folder


class AtOnce:
    """An executor that works right away, in place of processes whose start takes seconds."""

    def __init__(self, *given: object, **named: object) -> None:
        del given, named

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *given: object) -> None:
        del given

    def submit(self, work, *given):
        made: Future[None] = Future()
        made.set_result(work(*given))
        return made


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged scans are made in this process; for tests in which they are on the disk already."""
    monkeypatch.setattr(guided_course, "ProcessPoolExecutor", AtOnce)


@pytest.fixture
def begun(finished: Path, tmp_path: Path) -> Path:
    """A folder with the scans of the finished course and no networks."""
    for path in scan_files(finished):
        there = tmp_path / path.relative_to(finished)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, there)
    return tmp_path


def test_the_file_holds_both_networks_and_where_they_come_from(finished: Path) -> None:
    tensors, metadata = read_tensors(finished / "guided.safetensors")
    assert metadata == {
        "format": FORMAT,
        "course": {"seed": SEED, "solids": SOLIDS, "settings": SETTINGS.model_dump(mode="json")},
    }
    for prefix, network in zip(("down.", "up."), networks(), strict=True):
        own = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        network.load_state_dict(own)
        assert any(
            not torch.equal(value, networks(SEED)[prefix == "up."].state_dict()[name]) for name, value in own.items()
        )
    assert {name.split(".")[0] for name in tensors} == {"down", "up"}


def test_both_stages_leave_their_curves(finished: Path) -> None:
    for name in ("guided-down-net", "guided-up-net"):
        lines = [json.loads(line) for line in (finished / "course" / f"{name}.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [10]
        assert {"loss", "learning_rate"} < lines[0].keys()


@pytest.mark.usefixtures("here")
def test_an_interruption_in_each_stage_changes_no_bit(finished: Path, begun: Path) -> None:
    stamps = {path.name: path.stat().st_mtime_ns for path in scan_files(begun)}
    for step, task in ((5, "Training guided-down-net"), (3, "Training guided-up-net")):
        with pytest.raises(Killed):
            course(begun, watch=Watch(step, task))
        assert not (begun / "guided.safetensors").exists()
    watch = Watch()
    assert_same(weights(course(begun, watch=watch)), weights(finished / "guided.safetensors"))
    assert watch.messages == [
        "guided-down-net: continuing at step 10 of 10",
        "guided-up-net: continuing at step 2 of 10",
    ]
    assert {path.name: path.stat().st_mtime_ns for path in scan_files(begun)} == stamps


@pytest.mark.long
def test_two_processes_make_the_same_scans_and_weights(finished: Path, tmp_path: Path) -> None:
    """The first of the scans is there already; what is missing is made anew."""
    first = scan_files(finished)[0]
    there = tmp_path / first.relative_to(finished)
    there.parent.mkdir(parents=True)
    shutil.copy2(first, there)
    stamp = there.stat().st_mtime_ns
    out = course(tmp_path, jobs=2)
    made, expected = scan_files(tmp_path), scan_files(finished)
    assert [path.relative_to(tmp_path) for path in made] == [path.relative_to(finished) for path in expected]
    assert len(made) == SOLIDS
    for path, other in zip(made, expected, strict=True):
        assert_same(weights(path), weights(other))
    assert there.stat().st_mtime_ns == stamp
    assert_same(weights(out), weights(finished / "guided.safetensors"))


@pytest.mark.usefixtures("here")
def test_other_settings_do_not_go_on_from_the_checkpoints(finished: Path, begun: Path) -> None:
    for name in ("guided-down-net", "guided-up-net"):
        checkpoint = f"course/{name}.checkpoint.0.safetensors"
        shutil.copy2(finished / checkpoint, begun / checkpoint)
    with pytest.raises(BadModel):
        course(begun, small_course(steps=11))
    assert not (begun / "guided.safetensors").exists()


def test_the_course_of_the_package_fits_the_defaults() -> None:
    """Weights of the `course` configuration are those that default settings load."""
    made, used = load_settings("course"), Settings()
    assert made.guide == used.guide
    assert made.up_net == used.up_net
    assert made.warp == used.warp
