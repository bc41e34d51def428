"""The default detector: files, limits, and what a scan gets. Its networks are small, and learn for a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from guided_parts import GUIDE, UP, networks, small_guide, write_weights
from safetensors.torch import save_file
from scipy.spatial import cKDTree
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from small_parts import SIZE_MM, part, tiny

from dusnet.cloud import PointCloud
from dusnet.config import LossSettings, StageSettings, WarpSettings
from dusnet.detectors import Detector, create, load_model
from dusnet.detectors.dusnet.simulated_scans import DamagedScan, damaged_scans_of
from dusnet.detectors.dusnet.stage import GuidedStage, GuidedUpStage
from dusnet.errors import BadModel

DOWN_STEPS, UP_STEPS = 60, 160
HOLE = np.array([0.0, 0.0, 1.0])


def learned(net: torch.nn.Module, stage: GuidedStage | GuidedUpStage, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        stage.loss(net, generator).total.backward()
        optimizer.step()
    net.eval()


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights from two random solids."""
    scans: list[DamagedScan] = []
    for number in (4, 9):
        scans += damaged_scans_of(0, number, WarpSettings(degree=2), small_guide())
    (down, up), batch = networks(), StageSettings(batch=2)
    learned(down, GuidedStage(down, scans, batch, groups=96), DOWN_STEPS)
    learned(up, GuidedUpStage(up, scans, batch, LossSettings(), groups=48), UP_STEPS)
    return write_weights(tmp_path_factory.mktemp("taught") / "taught.safetensors", down, up)


@pytest.fixture(scope="session")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that give every point a defect probability of one half."""
    return write_weights(tmp_path_factory.mktemp("new") / "new.safetensors", *networks())


def fitted(weights: Path, good: list[PointCloud], *, guide: dict[str, object] | None = None, **changes) -> Detector:
    sections = {"guide": GUIDE | {"weights": weights} | (guide or {}), "up_net": UP, "warp": {"degree": 2}}
    detector = create("dusnet", tiny("dusnet", **sections | changes), seed=1)
    detector.fit(good)
    return detector


@pytest.fixture(scope="module")
def guided(taught: Path, good: list[PointCloud]) -> Detector:
    return fitted(taught, good)


def holed(points: int = 3000) -> PointCloud:
    """A good scan without the points within 35 degrees of one direction; labels are those within 44."""
    cloud = part(20, points=points)
    direction = cloud.points / np.linalg.norm(cloud.points, axis=1, keepdims=True)
    angle = np.rad2deg(np.arccos(direction @ HOLE))
    return PointCloud(cloud.points[angle > 35], labels=(angle < 44)[angle > 35])


class TestScores:
    def test_a_dent_has_the_highest_scores(self, guided: Detector) -> None:
        for seed in (40, 41):
            cloud = part(seed, points=2000, dent=4)
            # .9997, deviation .0003 over five seeds.
            assert roc_auc_score(cloud.labels, guided.score(cloud, explain=False).point_scores) > 0.9

    def test_new_weights_move_every_point_half_the_way(self, new: Path, good: list[PointCloud]) -> None:
        """The score without smoothing and gap: half of the distance to the surface, plus a quarter of the weight."""
        scoring = {"smoothing": 1, "gap": 0.0, "defect_weight": 0.02}
        detector = fitted(new, good, warp={"degree": 0}, scoring=scoring)
        template = create("template", tiny("template", scoring={"smoothing": 1}), seed=1)
        template.fit(good)
        cloud = part(9, dent=4)
        found, expected = detector.score(cloud, explain=False), template.score(cloud, explain=False)
        np.testing.assert_allclose(found.distances, expected.distances / 2, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.point_scores, expected.point_scores / 2 + 0.005, rtol=1e-3, atol=1e-5)
        without = fitted(new, good, warp={"degree": 0}, scoring=scoring | {"defect_weight": 0.0}).score(
            cloud, explain=False
        )
        np.testing.assert_allclose(without.point_scores, found.point_scores - 0.005, rtol=1e-3, atol=1e-6)

    def test_smoothing_is_the_mean_over_the_nearest_points(self, new: Path, good: list[PointCloud]) -> None:
        raw, smoothed = (
            fitted(new, good, scoring={"smoothing": count, "gap": 0.0})
            .score(part(9, dent=4), explain=False)
            .point_scores
            for count in (1, 8)
        )
        points = part(9, dent=4).points
        expected = raw[cKDTree(points).query(points, k=8)[1]].mean(axis=1)
        np.testing.assert_allclose(smoothed, expected, rtol=1e-4, atol=1e-7)

    def test_the_rim_of_a_hole_is_high_because_of_the_gap(self, new: Path) -> None:
        clouds, cloud = [part(seed, points=3000) for seed in range(2)], holed()
        seen, blind = (
            fitted(new, clouds, scoring={"smoothing": 8, "gap": gap}).score(cloud, explain=False) for gap in (0.5, 0.0)
        )
        more = seen.point_scores - blind.point_scores
        assert (more >= -1e-7).all()
        far = cloud.points @ HOLE < np.linalg.norm(cloud.points, axis=1) * np.cos(np.deg2rad(65))
        # Over four seeds .116 (deviation .004), and .006 times that far away (.012): chance leaves small holes, too.
        assert more[cloud.labels].max() > 0.02
        assert more[far].max() < 0.1 * more[cloud.labels].max()
        assert more[cloud.labels].mean() > 10 * more[~cloud.labels].mean()
        assert roc_auc_score(cloud.labels, seen.point_scores) > roc_auc_score(cloud.labels, blind.point_scores)

    @pytest.mark.parametrize("centers", [300, 10_000])
    def test_a_bulge_leaves_no_gap_below_it(self, new: Path, centers: int) -> None:
        """Of 8 mm, farther from the surface than the largest accidental void: what is displaced is not missing."""
        clouds, cloud = [part(seed, points=3000) for seed in range(2)], part(20, points=3000, dent=-8)
        seen, blind = (
            fitted(new, clouds, guide={"centers": centers}, scoring={"gap": gap}).score(cloud, explain=False)
            for gap in (0.5, 0.0)
        )
        more = seen.point_scores - blind.point_scores
        # With the points in the place of their feet it would be .03.
        assert more[cloud.labels].max() < 0.005

    def test_a_hole_smaller_than_the_space_between_centres_is_seen(self, new: Path) -> None:
        """300 of 6000 points are judged; what is missing shows beside all of them."""
        clouds, cloud = [part(seed, points=6000) for seed in range(2)], part(20, points=6000)
        angle = np.rad2deg(np.arccos(cloud.points @ HOLE / np.linalg.norm(cloud.points, axis=1)))
        scan = PointCloud(cloud.points[angle > 14])
        options = {"guide": {"centers": 300}}
        scores = [
            fitted(new, clouds, scoring={"smoothing": 8, "gap": gap}, **options).score(scan, explain=False).point_scores
            for gap in (0.5, 0.0)
        ]
        more, away = scores[0] - scores[1], angle[angle > 14]
        beside = more[away < 17].max()
        assert beside > 0.01  # .026, deviation .005 over five seeds
        assert more[away > 40].max() < 0.5 * beside  # .04 times, deviation .06; chance leaves small holes, too

    def test_slits_add_to_the_score_by_their_weight(self, new: Path) -> None:
        clouds, cloud = [part(seed, points=6000) for seed in range(4)], part(20, points=6000)
        directions = cloud.points / np.linalg.norm(cloud.points, axis=1, keepdims=True)
        height, along = np.rad2deg(np.arcsin(directions[:, 2])), np.rad2deg(np.arctan2(*directions[:, 1::-1].T))
        beside = np.abs(along) < 70
        kept = ~(beside & (np.abs(height) < 3))
        scan, beside, height = PointCloud(cloud.points[kept]), beside[kept], np.abs(height[kept])
        none, half, whole = (
            fitted(new, clouds, scoring={"gap": 0.0}, guide={"slits": weight}).score(scan, explain=False).point_scores
            for weight in (0.0, 0.5, 1.0)
        )
        np.testing.assert_allclose(whole - none, 2 * (half - none), atol=1e-6)
        added = whole - none
        assert added[beside & (height < 6)].max() > 0.015  # .039, one usual distance; far away none
        assert added[height > 20].max() < 0.1 * added[beside & (height < 6)].max()

    def test_what_is_rebuilt_lies_near_the_part_and_fills_the_hole(self, taught: Path) -> None:
        detector = fitted(taught, [part(seed, points=3000) for seed in range(2)])
        cloud = holed()
        rebuilt = detector.score(cloud, explain=False).reconstruction
        assert rebuilt is not None
        assert np.isfinite(rebuilt).all()
        whole = cKDTree(part(50, points=20_000).points)
        # .1, deviation .02 over five seeds; the spacing of the scan is .05.
        assert np.quantile(whole.query(rebuilt)[0], 0.95) < 0.2 * SIZE_MM
        missing = part(51, points=3000).points
        missing = missing[missing @ HOLE > np.linalg.norm(missing, axis=1) * np.cos(np.deg2rad(20))]
        scanned, filled = (cKDTree(points).query(missing)[0] for points in (cloud.points, rebuilt))
        assert scanned.min() > 0.08 * SIZE_MM
        assert np.median(filled) < 0.5 * np.median(scanned)  # .12 times, deviation .06

    def test_timings_are_those_of_its_steps(self, guided: Detector) -> None:
        timings = guided.score(part(9)).timings
        assert set(timings) == {"registration", "warp", "down_net", "up_net", "scoring", "deviation", "total"}
        assert all(seconds >= 0 for seconds in timings.values())
        assert sum(timings.values()) - timings["total"] <= timings["total"] * 1.001


class TestBigScans:
    def test_every_point_of_a_big_scan_gets_a_score(self, taught: Path, good: list[PointCloud]) -> None:
        detector, cloud = fitted(taught, good, guide={"centers": 500}), part(40, points=3000, dent=4)
        found = detector.score(cloud, explain=False)
        assert found.point_scores.shape == found.distances.shape == (3000,)
        assert np.isfinite(found.point_scores).all()
        assert roc_auc_score(cloud.labels, found.point_scores) > 0.85  # .999, deviation .001 over five seeds

    def test_scores_between_centres_lie_between_their_scores(self, new: Path, good: list[PointCloud]) -> None:
        """Interpolated scores leave the range of no neighbourhood: they vary less than those of all points."""
        cloud = part(40, points=3000, dent=4)
        few, all_of_them = (
            fitted(new, good, guide={"centers": centers}, scoring={"smoothing": 1, "gap": 0.0}).score(
                cloud, explain=False
            )
            for centers in (500, 3000)
        )
        # Over five seeds .98 times (deviation .03) and .90 (.06).
        assert few.point_scores.max() <= all_of_them.point_scores.max() * 1.1
        assert spearmanr(few.point_scores[cloud.labels], all_of_them.point_scores[cloud.labels]).statistic > 0.6

    def test_a_scan_with_just_as_many_points_is_judged_whole(self, new: Path, good: list[PointCloud]) -> None:
        cloud = part(40, points=600, dent=4)
        limited, free = (
            fitted(new, good, guide={"centers": centers}).score(cloud, explain=False) for centers in (600, 10_000)
        )
        np.testing.assert_array_equal(limited.point_scores, free.point_scores)


class TestRepeatable:
    def test_the_same_scan_gets_the_same_scores(self, guided: Detector, taught: Path, good: list[PointCloud]) -> None:
        first, again = guided.score(part(9, dent=4)), guided.score(part(9, dent=4))
        other = fitted(taught, good).score(part(9, dent=4))
        for found in (again, other):
            np.testing.assert_array_equal(found.point_scores, first.point_scores)
            np.testing.assert_array_equal(found.reconstruction, first.reconstruction)
            assert found.object_score == first.object_score

    def test_global_generators_are_left_alone(self, guided: Detector) -> None:
        before = torch.get_rng_state()
        guided.score(part(9))
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_order_of_points_only_decides_who_is_grouped_with_whom(self, guided: Detector, new: Path, good) -> None:
        """Exact up to rounding where groups do not attend to each other, and nearly so where they do."""
        cloud = part(9, dent=4)
        order = np.random.default_rng(0).permutation(len(cloud))
        for detector, exact in ((fitted(new, good), True), (guided, False)):
            straight, permuted = detector.score(cloud), detector.score(cloud.select(order))
            if exact:
                np.testing.assert_allclose(permuted.point_scores, straight.point_scores[order], rtol=1e-3, atol=1e-5)
            else:
                # .94, deviation .05 over five seeds.
                assert spearmanr(permuted.point_scores, straight.point_scores[order]).statistic > 0.7
            assert permuted.object_score == pytest.approx(straight.object_score, rel=0.1)


class TestFiles:
    def test_a_model_needs_no_weights_file_beside_it(
        self, taught: Path, good: list[PointCloud], tmp_path: Path
    ) -> None:
        weights = tmp_path / "weights.safetensors"
        weights.write_bytes(taught.read_bytes())
        detector, path = fitted(weights, good), tmp_path / "model.safetensors"
        detector.save(path)
        weights.unlink()
        loaded = load_model(path)
        for cloud in (part(9, dent=4), part(10, points=2000)):
            expected, found = detector.score(cloud, explain=False), loaded.score(cloud, explain=False)
            np.testing.assert_array_equal(found.point_scores, expected.point_scores)
            np.testing.assert_array_equal(found.distances, expected.distances)
            np.testing.assert_array_equal(found.reconstruction, expected.reconstruction)
            assert found.object_score == expected.object_score

    def test_weights_of_another_shape_are_refused_by_name(self, good: list[PointCloud], tmp_path: Path) -> None:
        path = write_weights(tmp_path / "wide.safetensors", *networks(width=32), guide=GUIDE | {"width": 32})
        with pytest.raises(BadModel, match=r"wide\.safetensors were made with guide\.width 32, not 16"):
            fitted(path, good)

    def test_weights_of_one_network_alone_are_refused(self, good: list[PointCloud], tmp_path: Path) -> None:
        path = write_weights(tmp_path / "half.safetensors", networks()[0], torch.nn.Linear(1, 1))  # type: ignore[arg-type]
        with pytest.raises(BadModel, match="lack a part"):
            fitted(path, good)

    def test_a_file_of_another_program_is_refused(self, good: list[PointCloud], tmp_path: Path) -> None:
        path = tmp_path / "foreign.safetensors"
        save_file({"down.norm.weight": torch.ones(3)}, path)
        with pytest.raises(BadModel, match=r"foreign\.safetensors .* another program"):
            fitted(path, good)

    def test_a_model_file_is_no_weights_file(self, guided: Detector, good: list[PointCloud], tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        guided.save(path)
        with pytest.raises(BadModel, match=r"model\.safetensors holds no guided networks.*train_guided"):
            fitted(path, good)

    def test_a_missing_file_is_named(self, good: list[PointCloud], tmp_path: Path) -> None:
        with pytest.raises(BadModel, match=r"no .* file .*absent\.safetensors"):
            fitted(tmp_path / "absent.safetensors", good)

    def test_a_damaged_file_is_refused(self, taught: Path, good: list[PointCloud], tmp_path: Path) -> None:
        path, content = tmp_path / "damaged.safetensors", bytearray(taught.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(BadModel, match=r"damaged\.safetensors is damaged"):
            fitted(path, good)
