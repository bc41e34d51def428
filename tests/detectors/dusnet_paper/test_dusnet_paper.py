"""The paper's networks: ways of scoring, starting weights, interruption, contradictions in the settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree
from small_parts import part, tiny

from dusnet.cloud import PointCloud
from dusnet.detectors import Detector, create, load_model
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig, BadModel
from dusnet.progress import Silent, Task

LITERAL = {"distance": "point", "tolerance": False, "gap": 0, "smoothing": 1, "pooling": "max"}


def fitted(settings: Settings, good: list[PointCloud], **fit: Any) -> Detector:
    detector = create("dusnet_paper", settings, seed=1)
    detector.fit(good, **fit)
    return detector


@pytest.fixture(scope="module")
def stored(hasty: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "hasty.safetensors"
    hasty.save(path)
    return path


def rescored(stored: Path, good: list[PointCloud], **scoring: object) -> Detector:
    """The networks of the stored model, scored in another way, without training again."""
    settings = tiny(training={"down": {"steps": 0}, "up": {"steps": 0}, "points": 600, "init": stored}, scoring=scoring)
    return fitted(settings, good)


class TestScoring:
    @pytest.mark.parametrize("surface", ["up", "down"])
    def test_equation_15_is_the_distance_to_the_reconstruction(
        self, stored: Path, good: list[PointCloud], surface: str
    ) -> None:
        detector = rescored(stored, good, surface=surface, **LITERAL)
        cloud = part(9, dent=6)
        scores = detector.score(cloud)
        assert scores.reconstruction is not None
        assert scores.distances is not None
        assert scores.object_score == pytest.approx(float(scores.point_scores.max()))
        if surface == "up":
            expected = cKDTree(scores.reconstruction).query(cloud.points)[0]
            np.testing.assert_allclose(scores.distances, expected, atol=1e-3)  # mm

    def test_equation_16_weighs_down_the_lonely(self, stored: Path, good: list[PointCloud]) -> None:
        cloud = part(9, dent=6)
        plain = rescored(stored, good, surface="up", **LITERAL).score(cloud)
        weighted = rescored(stored, good, surface="up", weighting=True, **LITERAL).score(cloud)
        assert plain.reconstruction is not None
        near = cKDTree(plain.reconstruction).query(cloud.points, k=3)[0]
        scale = float(plain.distances[0] / plain.point_scores[0])  # type: ignore[index]
        units = np.exp(near / scale)
        expected = (1 - units[:, 0] / units.sum(axis=1)) * near[:, 0] / scale
        np.testing.assert_allclose(weighted.point_scores, expected, atol=1e-5)

    @pytest.mark.parametrize(
        "scoring",
        [
            {"distance": "plane", "tolerance": False},
            {"distance": "plane", "surface": "up", "tolerance": False},
            {"pooling": "quantile"},
            {"draws": 2},
            {"tolerance": True},
            {"tolerance": True, "max_centers": 1000},
            {"max_centers": 1000},
        ],
        ids=str,
    )
    def test_every_way_scores_every_point(
        self, stored: Path, good: list[PointCloud], scoring: dict[str, object]
    ) -> None:
        scores = rescored(stored, good, **scoring).score(part(9))
        assert scores.point_scores.shape == (1200,)
        assert np.isfinite(scores.point_scores).all()
        assert scores.point_scores.std() > 0

    def test_displacement_is_how_far_the_net_moves_each_point(self, stored: Path, good: list[PointCloud]) -> None:
        detector = rescored(stored, good, tolerance=False, gap=0, smoothing=1)
        scores = detector.score(part(9))
        assert scores.distances is not None
        assert 0 < scores.distances.mean() < 4.0  # mm
        np.testing.assert_allclose(scores.distances / scores.point_scores, scores.distances[0] / scores.point_scores[0])

    def test_interpolated_points_score_between_the_centres_around_them(
        self, stored: Path, good: list[PointCloud]
    ) -> None:
        bare = {"tolerance": False, "gap": 0, "smoothing": 1}
        all_centres = rescored(stored, good, **bare).score(part(9), explain=False).point_scores
        thinned = rescored(stored, good, max_centers=1000, **bare).score(part(9), explain=False).point_scores
        assert thinned.max() <= all_centres.max() + 1e-6
        assert np.corrcoef(thinned, all_centres)[0, 1] > 0.9  # .999, deviation .0003 over six seeds


class TestReconstruction:
    def test_has_gamma_points_for_nearly_every_centre(self, hasty: Detector) -> None:
        rebuilt = hasty.score(part(9), explain=False).reconstruction
        assert rebuilt is not None
        assert rebuilt.shape == (1200 // 32 * 32 * 2, 3)
        assert rebuilt.dtype == np.float64

    def test_lies_on_the_part(self, trained: Detector) -> None:
        cloud = part(9)
        rebuilt = trained.score(cloud, explain=False).reconstruction
        assert rebuilt is not None
        dense = part(60, points=20_000).points
        # In mm, of a part of 40 mm; 1.7, deviation .05 over five seeds.
        assert cKDTree(dense).query(rebuilt)[0].mean() < 3.0
        assert cKDTree(rebuilt).query(cloud.points)[0].mean() < 3.0


class TestGap:
    def test_a_hole_scores_at_its_rim(self, stored: Path, good: list[PointCloud]) -> None:
        """A scan without the points of a cap of 12 mm radius: nothing is displaced, something is missing."""
        whole = part(9, points=3000, dent=1e-9)
        assert whole.labels is not None
        holed = whole.select(~whole.labels)
        away = cKDTree(whole.points[whole.labels]).query(holed.points)[0]
        scores = rescored(stored, good).score(holed, explain=False).point_scores
        without = rescored(stored, good, gap=0).score(holed, explain=False).point_scores
        added = scores - without
        assert added.min() >= 0
        # .049, deviation .004 over four seeds; far away at most .001, where chance leaves a small hole.
        assert added[away < 3].max() > 0.01
        assert added[away > 8].max() < 0.25 * added[away < 3].max()

    def test_a_whole_scan_has_no_gap(self, stored: Path, good: list[PointCloud]) -> None:
        cloud = part(9, points=3000)
        scores = rescored(stored, good).score(cloud, explain=False).point_scores
        without = rescored(stored, good, gap=0).score(cloud, explain=False).point_scores
        assert (scores - without).max() < 0.01  # the least that a hole adds; chance leaves small ones

    def test_the_weight_multiplies(self, stored: Path, good: list[PointCloud]) -> None:
        whole = part(9, points=3000, dent=1e-9)
        assert whole.labels is not None
        none, half, one = (
            rescored(stored, good, gap=gap).score(whole.select(~whole.labels), explain=False).point_scores
            for gap in (0, 0.5, 1)
        )
        np.testing.assert_allclose(one - none, 2 * (half - none), atol=1e-6)


class TestStart:
    def test_training_starts_from_the_weights_of_a_model(
        self, stored: Path, hasty: Detector, good: list[PointCloud]
    ) -> None:
        settings = tiny(training={"down": {"steps": 0}, "up": {"steps": 0}, "points": 600, "init": stored})
        again = fitted(settings, good)
        expected, found = hasty.score(part(9)), again.score(part(9))
        np.testing.assert_array_equal(found.point_scores, expected.point_scores)

    def test_other_shapes_are_refused(self, stored: Path, good: list[PointCloud]) -> None:
        settings = tiny(training={"init": stored, "points": 600}, up_net={"gamma": 3, "widths": (16, 16)})
        with pytest.raises(BadModel, match="no networks of this shape") as error:
            fitted(settings, good)
        assert str(stored) in str(error.value)
        assert "\n" not in str(error.value)

    def test_the_model_of_another_method_is_refused(
        self, nearest: Detector, good: list[PointCloud], tmp_path: Path
    ) -> None:
        nearest.save(tmp_path / "nearest.safetensors")
        with pytest.raises(BadModel, match="no networks of this shape"):
            fitted(tiny(training={"init": tmp_path / "nearest.safetensors"}), good)

    def test_a_missing_model_is_refused(self, good: list[PointCloud], tmp_path: Path) -> None:
        with pytest.raises(BadModel, match="no model file"):
            fitted(tiny(training={"init": tmp_path / "none.safetensors"}), good)

    def test_a_model_no_longer_needs_what_it_started_from(
        self, stored: Path, good: list[PointCloud], tmp_path: Path
    ) -> None:
        start = tmp_path / "start.safetensors"
        start.write_bytes(stored.read_bytes())
        settings = tiny(training={"down": {"steps": 2}, "up": {"steps": 2}, "points": 600, "init": start})
        fitted(settings, good).save(tmp_path / "model.safetensors")
        start.unlink()
        assert np.isfinite(load_model(tmp_path / "model.safetensors").score(part(9), explain=False).object_score)


class Killed(Exception):
    pass


class KillAfter(Silent):
    """Raises after some steps of the tasks whose description holds a word."""

    def __init__(self, word: str, steps: int) -> None:
        self.word, self.left = word, steps

    @contextmanager
    def task(self, description: str, total: int | None = None) -> Iterator[Task]:
        del total
        outer = self

        class Counter:
            def advance(self, steps: int = 1) -> None:
                outer.left -= steps if outer.word in description else 0
                if outer.left < 0:
                    raise Killed

            def describe(self, text: str) -> None:
                del text

        yield Counter()


class TestInterruption:
    SETTINGS = tiny(
        training={
            "down": {"steps": 6, "batch": 1},
            "up": {"steps": 6, "batch": 1},
            "points": 600,
            "checkpoint_every": 2,
        }
    )

    @pytest.mark.parametrize("stage", ["down-net", "up-net"])
    def test_a_resumed_fit_scores_the_same_bits(self, good: list[PointCloud], tmp_path: Path, stage: str) -> None:
        expected = fitted(self.SETTINGS, good).score(part(9))
        with pytest.raises(Killed):
            fitted(self.SETTINGS, good, workdir=tmp_path, progress=KillAfter(stage, 3))
        found = fitted(self.SETTINGS, good, workdir=tmp_path, resume=True).score(part(9))
        np.testing.assert_array_equal(found.point_scores, expected.point_scores)
        np.testing.assert_array_equal(found.reconstruction, expected.reconstruction)

    @pytest.mark.parametrize("changed", ["scans", "settings", "seed"])
    def test_a_checkpoint_of_another_training_is_refused(
        self, good: list[PointCloud], tmp_path: Path, changed: str
    ) -> None:
        fitted(self.SETTINGS, good, workdir=tmp_path)
        scans = good[:2] if changed == "scans" else good
        settings = self.SETTINGS
        if changed == "settings":
            settings = settings.model_copy(update={"noise": settings.noise.model_copy(update={"beta": 0.02})})
        detector = create("dusnet_paper", settings, seed=2 if changed == "seed" else 1)
        with pytest.raises(BadModel, match="other scans, settings or seed"):
            detector.fit(scans, workdir=tmp_path, resume=True)

    def test_the_folder_holds_curves_for_both_stages(self, good: list[PointCloud], tmp_path: Path) -> None:
        settings = tiny(training={"down": {"steps": 10, "batch": 1}, "up": {"steps": 10, "batch": 1}, "points": 600})
        fitted(settings, good, workdir=tmp_path)
        for stage in ("down-net", "up-net"):
            (line,) = (tmp_path / f"{stage}.jsonl").read_text().splitlines()
            assert json.loads(line)["step"] == 10


class TestContradictions:
    @pytest.mark.parametrize(
        ("sections", "named"),
        [
            ({"grouping": {"dense": False}}, "grouping.dense"),
            ({"scoring": {"distance": "point", "tolerance": True}}, "scoring.tolerance"),
        ],
    )
    def test_are_named(self, sections: dict[str, object], named: str) -> None:
        with pytest.raises(BadConfig) as error:
            create("dusnet_paper", tiny(**sections))
        assert named in str(error.value)
        assert "\n" not in str(error.value)
