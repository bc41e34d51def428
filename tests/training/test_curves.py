"""Loss curves are whole whatever becomes of their folder while the networks train."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_resume import UP, train, with_stages
from tiny_training import Killed, Watch

from dusnet.detectors.settings import Settings
from dusnet.errors import BadInput
from dusnet.nn.grouping import Support
from dusnet.training import loop

Curves = dict[str, list[tuple[int, float]]]


def removing(monkeypatch: pytest.MonkeyPatch, stage: str, step: int, remove: Callable[[], object]) -> None:
    """Let `remove` run before the rate of this step of this stage is asked for."""
    rate, seen = loop.learning_rate, {"steps": 0}
    started = {"down-net": 0, "up-net": 30}[stage]

    def meanwhile(settings: object, number: int) -> float:
        if seen["steps"] == started + step:
            remove()
        seen["steps"] += 1
        return rate(settings, number)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "learning_rate", meanwhile)


def curves_in(folder: Path) -> tuple[dict[str, str], Curves]:
    """The lines by stage, and what TensorBoard shows."""
    lines = {path.stem: path.read_text() for path in folder.glob("*.jsonl")}
    shown: Curves = {}
    for stage in lines:
        board = EventAccumulator(str(folder / "tensorboard" / stage))
        board.Reload()
        shown |= {tag: [(one.step, one.value) for one in board.Scalars(tag)] for tag in board.Tags()["scalars"]}
    return lines, shown


@pytest.fixture
def longer(settings: Settings) -> Settings:
    return with_stages(settings, steps=30)


WHOLE: list[tuple[dict[str, str], Curves]] = []


@pytest.fixture
def whole(longer: Settings, supports: list[Support], tmp_path: Path) -> tuple[dict[str, str], Curves]:
    """The curves of a training that nothing disturbs."""
    if not WHOLE:
        train(longer, supports, tmp_path / "whole")
        WHOLE.append(curves_in(tmp_path / "whole"))
        lines, board = WHOLE[0]
        assert set(lines) == {"down-net", "up-net"}
        assert {len(found) for found in board.values()} == {3}
        assert {tag.partition("/")[0] for tag in board} == set(lines)
    return WHOLE[0]


@pytest.mark.parametrize(
    ("part", "stage", "step"),
    [
        (".", "down-net", 3),
        (".", "up-net", 12),
        (".", "up-net", 29),
        ("tensorboard", "down-net", 25),
        ("down-net.jsonl", "up-net", 12),
        ("up-net.jsonl", "up-net", 21),
    ],
)
def test_what_is_removed_while_training_is_written_again_and_it_is_said(
    longer: Settings,
    supports: list[Support],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: tuple[dict[str, str], Curves],
    part: str,
    stage: str,
    step: int,
) -> None:
    folder, watch = tmp_path / "m.training", Watch()

    def remove() -> None:
        target = folder / part
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    removing(monkeypatch, stage, step, remove)
    train(longer, supports, folder, progress=watch)
    lines, board = curves_in(folder)
    assert (lines, board) == whole
    assert watch.messages == [f"Loss curves in {folder} were removed while training and are written again."]


def test_nothing_is_said_and_nothing_written_twice_when_all_is_there(
    longer: Settings, supports: list[Support], tmp_path: Path
) -> None:
    watch = Watch()
    train(longer, supports, tmp_path, progress=watch)
    assert watch.messages == []
    assert [len(list((tmp_path / "tensorboard" / stage).iterdir())) for stage in ("down-net", "up-net")] == [1, 1]


def test_lines_before_a_resumed_step_come_back_too(
    longer: Settings,
    supports: list[Support],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: tuple[dict[str, str], Curves],
) -> None:
    folder = tmp_path / "m.training"
    with pytest.raises(Killed):
        train(longer, supports, folder, progress=Watch(21, UP))
    removing(monkeypatch, "down-net", 5, lambda: shutil.rmtree(folder))
    train(longer, supports, folder, resume=True)
    assert curves_in(folder)[0] == whole[0]
    assert [json.loads(line)["step"] for line in (folder / "up-net.jsonl").read_text().splitlines()] == [10, 20, 30]


def test_a_file_in_place_of_the_folder_is_one_sentence(
    longer: Settings, supports: list[Support], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "m.training"

    def replace() -> None:
        shutil.rmtree(folder)
        folder.write_text("mine")

    removing(monkeypatch, "down-net", 3, replace)
    with pytest.raises(BadInput, match="cannot be written"):
        train(longer, supports, folder)
    assert folder.read_text() == "mine"
