"""Models of scans that do not belong together, and thresholds that small defects do not reach."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from good_scores import limit_of

from dusnet.cloud import PointCloud
from dusnet.detectors import create
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadInput
from dusnet.fitting import Training, fit, train
from dusnet.inspection.verdict import Status
from dusnet.io import write_cloud
from dusnet.model import Model, load
from dusnet.progress import Silent

SETTINGS = Settings.model_validate(
    {"detector": "nearest", "registration": {"method": "icp", "points": 500}, "calibration": {"replicas": 1}}
)


def block(seed: int, count: int = 1000) -> np.ndarray:
    """Points on the surface of a block of 60 x 40 x 20 with a step, which no turn maps to itself."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3))
    axis, side = rng.integers(0, 3, count), rng.integers(0, 2, count)
    points[np.arange(count), axis] = side
    points *= [60.0, 40.0, 20.0]
    points[(points[:, 0] > 40) & (points[:, 1] > 25) & (points[:, 2] > 19.9), 2] -= 8.0
    return points


def scan(seed: int, factor: float = 1.0, name: str | None = None) -> PointCloud:
    return PointCloud(block(seed) * factor, path=None if name is None else Path(name))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two scans."""
    path = tmp_path_factory.mktemp("model") / "block.safetensors"
    train([scan(0), scan(1)], Training(SETTINGS), name="block", out=path)
    return path


@pytest.fixture
def model(model_file: Path) -> Model:
    """Its calibration scores are replaced by what a test needs."""
    return load(model_file)


def calibrated(model: Model, threshold: float, small: tuple[tuple[float, float], ...]) -> Model:
    detector = create("nearest", SETTINGS)
    (known,) = model.detector.detectors
    detector.__dict__.update(known.__dict__)
    detector.set_calibration(limit_of(threshold, small_defects=small))
    return Model(detector, model.path, model.sha256)


class TestThresholdTooHigh:
    @pytest.mark.parametrize("words", [{}, {"false_alarm": 0.1}])
    def test_a_good_score_is_rechecked_and_the_result_says_why(self, model: Model, words: dict[str, float]) -> None:
        result = calibrated(model, 5.0, ((0.1, 0.2),)).score(scan(9), stem="a", **words)
        assert result.verdict.status is Status.RECHECK
        assert result.verdict.codes == ("limit_too_high",)
        assert any("no simulated bump of 2 %" in warning for warning in result.record["warnings"])

    def test_a_threshold_of_the_user_is_the_users_choice_but_the_result_says_it(self, model: Model) -> None:
        blind = calibrated(model, 5.0, ((0.1, 0.2),))
        result = blind.score(scan(9), stem="a", threshold=4.0)
        assert result.verdict.status is Status.OK
        assert any("The limit 4 is too high" in warning for warning in result.record["warnings"])
        result = blind.score(scan(9), stem="a", threshold=0.15)
        assert not any("too high" in warning for warning in result.record["warnings"])

    def test_ng_stays_ng(self, model: Model) -> None:
        bad = PointCloud(np.concatenate([block(9), block(8)[:40] * 0.1 + [30.0, 20.0, 26.0]]))
        blind = calibrated(model, 0.04, ((0.01, 0.03),))
        result = blind.score(bad, stem="a")
        assert (result.verdict.status, result.object_score > 0.04) == (Status.NG, True)
        assert any("too high" in warning for warning in result.record["warnings"])

    @pytest.mark.parametrize("small", [(), ((0.1, 6.0),), ((0.1, 0.2), (0.2, 5.5))])
    def test_other_thresholds_are_believed(self, model: Model, small: tuple[tuple[float, float], ...]) -> None:
        result = calibrated(model, 5.0, small).score(scan(9), stem="a")
        assert result.verdict.status is Status.OK
        assert result.record["warnings"] == []

    def test_training_says_it_and_the_model_keeps_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        said: list[str] = []
        blind = limit_of(5.0, small_defects=((0.1, 0.2), (0.1, 0.3)))
        monkeypatch.setattr("dusnet.fitting.calibrate", lambda *_, **__: blind)

        class Listener(Silent):
            def log(self, message: str) -> None:
                said.append(message)

        path = tmp_path / "m.safetensors"
        train([scan(0), scan(1)], Training(SETTINGS, progress=Listener()), name="block", out=path)
        (line,) = said
        assert line.startswith("block: The limit 5 is too high")
        (loaded,) = load(path).detector.detectors
        assert loaded.calibration == blind


class TestSizes:
    def test_training_writes_no_model_of_scans_in_two_units(self, tmp_path: Path) -> None:
        path = tmp_path / "m.safetensors"
        scans = [scan(0), scan(1), scan(2, 1 / 25.4, "odd.ply")]
        with pytest.raises(BadInput, match=r"odd\.ply is about .* smaller than the other 2 scans .* look like in"):
            train(scans, Training(SETTINGS), name="block", out=path)
        assert not path.exists()

    @pytest.mark.parametrize("factor", [0.001, 1 / 2.54, 10.0])
    def test_calibration_leaves_out_a_scan_in_another_unit_and_names_it(
        self, model: Model, tmp_path: Path, factor: float
    ) -> None:
        odd = write_cloud_of(scan(5, factor), tmp_path / "odd.ply")
        done = model.calibrate([scan(4), odd])
        assert [score is None for score in done.scores] == [False, True]
        (sentence,) = done.refused
        assert sentence.startswith(f"{odd} is left out. It is about")
        assert "look like" in sentence

    def test_calibration_knows_training_scans_that_came_from_memory(self) -> None:
        arrays = [scan(number).points for number in range(2)]
        arrays[1] = np.concatenate([arrays[1], arrays[1][:5]])  # cleaning leaves these out
        made = fit(arrays, config=SETTINGS)
        (marks,) = [part.provenance["training_sha256"] for part in made.detector.detectors]
        assert marks == [hashlib.sha256(points.tobytes()).hexdigest() for points in arrays]
        done = made.calibrate([*arrays, scan(4)])
        assert [score is None for score in done.scores] == [True, True, False]
        with pytest.raises(BadConfig, match="has learned from all scans"):
            made.calibrate(arrays)

    def test_calibration_refuses_when_no_scan_is_left(self, model: Model) -> None:
        with pytest.raises(BadInput, match=r"None of the 2 scans can be used: .*about .* times smaller"):
            model.calibrate([scan(4, 0.001), scan(5, 0.001)])

    def test_more_good_scans_are_how_a_threshold_that_is_too_high_comes_down(self, model: Model) -> None:
        high = calibrated(model, 5.0, ((0.1, 0.2),))
        assert high.calibrate([scan(4)]).refused == ()
        (part,) = high.detector.detectors
        assert part.calibration is not None
        assert (part.calibration.small_defects, len(part.calibration.added)) == (((0.1, 0.2),), 1)


def write_cloud_of(cloud: PointCloud, path: Path) -> Path:
    write_cloud(path, cloud)
    return path
