"""Model files: what comes back is what was saved, and anything else is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_parts import part

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, load_model
from dusnet.detectors.calibration import Calibration, GoodScores
from dusnet.detectors.model_file import VERSION, read_model
from dusnet.errors import BadConfig, BadModel
from dusnet.io.tensors import read_tensors, write_tensors


@pytest.fixture
def path(detector: Detector, tmp_path: Path) -> Path:
    target = tmp_path / "model.safetensors"
    detector.save(target)
    return target


def refused(path: Path) -> str:
    with pytest.raises(BadModel) as error:
        load_model(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    assert message.endswith(".")
    return message


class TestRoundTrip:
    def test_scores_are_the_same_to_the_bit(self, detector: Detector, path: Path) -> None:
        loaded = load_model(path)
        assert loaded.name == detector.name
        assert loaded.settings == detector.settings
        cloud = part(9, dent=6)
        expected, found = detector.score(cloud), loaded.score(cloud)
        np.testing.assert_array_equal(found.point_scores, expected.point_scores)
        np.testing.assert_array_equal(found.distances, expected.distances)
        assert found.object_score == expected.object_score
        if expected.reconstruction is not None:
            np.testing.assert_array_equal(found.reconstruction, expected.reconstruction)

    def test_saving_what_was_loaded_gives_the_same_contents(self, path: Path, tmp_path: Path) -> None:
        again = tmp_path / "again.safetensors"
        load_model(path).save(again)
        (one, first), (other, second) = read_tensors(path), read_tensors(again)
        assert first | {"created": None} == second | {"created": None}
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[name]) for name, value in one.items())

    def test_calibration_and_provenance_are_kept(
        self, detector: Detector, good: list[PointCloud], tmp_path: Path
    ) -> None:
        calibration = Calibration(
            left_out=GoodScores((0.01, 0.02, 0.03), (0.04, 0.05, 0.06)),
            source="three good scans",
        )
        path = tmp_path / "model.safetensors"
        try:
            detector.calibration = calibration
            detector.save(path)
        finally:
            detector.calibration = None
        loaded = load_model(path)
        assert loaded.calibration == calibration
        digests = [hashlib.sha256(one.points.tobytes()).hexdigest() for one in good]  # these scans have no files
        expected = {"training_scans": [None, None, None], "training_sha256": digests}
        assert loaded.provenance == detector.provenance == expected
        assert loaded.score(part(9)).threshold == calibration.threshold(loaded.settings.calibration.false_alarm)

    def test_the_file_describes_itself(self, detector: Detector, path: Path) -> None:
        metadata = read_model(path).metadata
        assert metadata["detector"] == detector.name
        assert metadata["version"] == VERSION
        assert {"dusnet", "torch", "python"} <= metadata["versions"].keys()
        assert metadata["settings"]["training"]["down"]["steps"] == detector.settings.training.down.steps
        assert metadata["class_frame"]["frame"]["scale"] == pytest.approx(50, rel=0.3)  # mm
        json.dumps(metadata, allow_nan=False)


class TestRefusals:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        assert "no model file" in refused(tmp_path / "none.safetensors")

    @pytest.mark.parametrize("kept", [0, 100, -1])
    def test_a_truncated_file(self, path: Path, kept: int) -> None:
        path.write_bytes(path.read_bytes()[:kept])
        assert "damaged" in refused(path)

    def test_a_changed_byte(self, path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[-10] ^= 1
        path.write_bytes(content)
        assert "damaged" in refused(path)

    def test_a_foreign_safetensors_file(self, tmp_path: Path) -> None:
        path = tmp_path / "other.safetensors"
        save_file({"weight": torch.zeros(3)}, path)
        assert "another program" in refused(path)

    def test_a_pickle(self, tmp_path: Path) -> None:
        path = tmp_path / "model.pt"
        torch.save({"weight": torch.zeros(3)}, path)
        assert "damaged or no model file" in refused(path)

    def test_a_checkpoint_of_the_training(self, tmp_path: Path) -> None:
        path = tmp_path / "down-net.checkpoint.0.safetensors"
        write_tensors(path, {}, {"format": "dusnet-checkpoint"})
        assert "not a model" in refused(path)

    def test_a_newer_version(self, path: Path) -> None:
        tensors, metadata = read_tensors(path)
        write_tensors(path, tensors, metadata | {"version": VERSION + 1})
        message = refused(path)
        assert f"format {VERSION + 1}" in message
        assert f"format {VERSION}" in message

    def test_an_older_version(self, path: Path) -> None:
        tensors, metadata = read_tensors(path)
        write_tensors(path, tensors, metadata | {"version": VERSION - 1})
        assert "was trained by an older version of dusnet, whose scores differ; train it again." in refused(path)

    def test_an_unknown_detector(self, path: Path) -> None:
        tensors, metadata = read_tensors(path)
        write_tensors(path, tensors, metadata | {"detector": "oracle"})
        assert "'oracle'" in refused(path)

    def test_missing_tensors(self, path: Path) -> None:
        tensors, metadata = read_tensors(path)
        names = sorted(tensors)
        for name in {*names[::6], "class_frame.reference", "class_frame.outward"}:
            write_tensors(path, {key: value for key, value in tensors.items() if key != name}, metadata)
            assert "lacks a part" in refused(path)

    def test_a_tensor_of_another_shape(self, hasty: Detector, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        hasty.save(path)
        tensors, metadata = read_tensors(path)
        name = "learned.down.head.0.weight"
        write_tensors(path, tensors | {name: tensors[name][:-1]}, metadata)
        refused(path)

    @pytest.mark.parametrize("key", ["settings", "seed", "class_frame", "calibration", "provenance", "learned"])
    def test_each_missing_piece_of_metadata(self, path: Path, key: str) -> None:
        tensors, metadata = read_tensors(path)
        del metadata[key]
        write_tensors(path, tensors, metadata)
        assert "lacks a part" in refused(path)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
    def test_cuda_asked_for_and_absent(self, path: Path) -> None:
        with pytest.raises(BadConfig, match="no CUDA device"):
            load_model(path, device="cuda")
