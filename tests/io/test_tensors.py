"""Tensors and JSON in one file: nothing is lost, and what is damaged or foreign is said."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dusnet.errors import BadModel
from dusnet.io.tensors import read_tensors, write_tensors

METADATA = {"format": "test", "number": 1.5, "list": [1, None, True], "nested": {"ü": "µm"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.safetensors"


def sentence(path: Path) -> str:
    with pytest.raises(BadModel) as error:
        read_tensors(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    assert message.endswith(".")
    return message


def test_round_trip_keeps_values_types_and_shapes(path: Path) -> None:
    tensors = {
        "float": torch.tensor([[0.1, -float("inf")], [1e-30, 3.0]]),
        "double": torch.rand(3, 2, dtype=torch.float64),
        "half": torch.rand(4).to(torch.bfloat16),
        "index": torch.tensor([2**40, -1]),
        "bytes": torch.Generator().get_state(),
        "flag": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    }
    write_tensors(path, tensors, METADATA)
    found, metadata = read_tensors(path)
    assert metadata == METADATA
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert torch.equal(found[name], value)


def test_views_and_weights_that_learn_are_written_by_value(path: Path) -> None:
    base = torch.arange(6.0).view(2, 3)
    weight = torch.nn.Parameter(torch.ones(2))
    write_tensors(path, {"transposed": base.T, "part": base[:, 1], "weight": weight}, {})
    found, _ = read_tensors(path)
    assert found["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["part"].tolist() == [1, 4]
    assert not found["weight"].requires_grad


def test_writing_replaces_and_leaves_nothing_beside(path: Path) -> None:
    for value in (1.0, 2.0):
        write_tensors(path, {"x": torch.tensor(value)}, {"value": value})
    assert read_tensors(path)[1] == {"value": 2.0}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_failed_write_keeps_the_old_file(path: Path) -> None:
    write_tensors(path, {"x": torch.tensor(1.0)}, {})
    with pytest.raises(TypeError):
        write_tensors(path, {"x": torch.tensor(2.0)}, {"not JSON": object()})
    assert float(read_tensors(path)[0]["x"]) == 1.0
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_missing_file_and_a_folder(path: Path) -> None:
    assert "no model file" in sentence(path)
    assert "no model file" in sentence(path.parent)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 40, -1])
def test_a_truncated_file(path: Path, kept: int) -> None:
    write_tensors(path, {"x": torch.rand(100)}, METADATA)
    path.write_bytes(path.read_bytes()[:kept])
    assert "damaged" in sentence(path)


@pytest.mark.parametrize(
    "content", [b"not a model", b"\x00" * 500, b"\xff" * 500, pickle.dumps({"x": 1}), b"PK\x03\x04" + b"\x00" * 100]
)
def test_other_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "damaged" in sentence(path)


def test_a_file_of_another_program(path: Path) -> None:
    save_file({"x": torch.rand(3)}, path)
    assert "another program" in sentence(path)
    save_file({"x": torch.rand(3)}, path, metadata={"format": "pt"})
    assert "another program" in sentence(path)


@pytest.mark.parametrize("text", ["{", "", "[1, 2]", "null", '"model"'])
def test_metadata_that_is_no_json_object(path: Path, text: str) -> None:
    save_file({"x": torch.rand(3)}, path, metadata={"dusnet": text})
    assert "damaged" in sentence(path)


def test_a_single_changed_byte(path: Path) -> None:
    """A copy with one bad byte would otherwise give scores that nobody can trust."""
    write_tensors(path, {"x": torch.rand(100), "y": torch.arange(3)}, METADATA)
    content = path.read_bytes()
    places = [content.index(b"1.5"), content.index(b'"I64"') + 1, len(content) - 1, len(content) - 200]
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert "damaged" in sentence(path)
    path.write_bytes(content)
    assert read_tensors(path)[1] == METADATA


def test_reading_never_runs_code(path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (path.parent / "ran",))

    torch.save({"x": Trap()}, path)
    sentence(path)
    assert not (path.parent / "ran").exists()


def test_the_metadata_is_plain_json_for_other_programs(path: Path) -> None:
    from safetensors import safe_open

    write_tensors(path, {"x": torch.rand(3)}, METADATA)
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["dusnet"]) == METADATA
