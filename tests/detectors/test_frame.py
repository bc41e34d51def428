"""The frame of a class, and thresholds with a promised rate of false alarms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from small_parts import motion, part

from dusnet.cloud import PointCloud
from dusnet.config import RegistrationSettings
from dusnet.detectors.base import Scores
from dusnet.detectors.frame import ClassFrame
from dusnet.geometry import part_places
from dusnet.inspection.verdict import Expectations, decide
from dusnet.io.stored import Unusable
from dusnet.progress import Silent

NONE, ICP = RegistrationSettings(method="none"), RegistrationSettings(method="icp", points=1000)


def learn(clouds: list[PointCloud], settings: RegistrationSettings = NONE) -> ClassFrame:
    return ClassFrame.learn(clouds, settings, seed=0, progress=Silent())[0]


class TestClassFrame:
    def test_training_clouds_fill_the_unit_sphere(self, good: list[PointCloud]) -> None:
        _, in_frame = ClassFrame.learn(good, NONE, seed=0, progress=Silent())
        everything = np.concatenate(in_frame)
        assert [len(points) for points in in_frame] == [len(cloud) for cloud in good]
        assert np.linalg.norm(everything, axis=1).max() == pytest.approx(1)
        np.testing.assert_allclose(everything.min(axis=0), -everything.max(axis=0), atol=1e-12)

    def test_a_scan_goes_there_and_back(self, good: list[PointCloud]) -> None:
        cloud = part(9).transformed(motion(3, (1e6, -2e6, 50.0)))
        frame = learn(good, ICP)
        placed = frame.place(cloud)
        points, alignment = placed.points, placed.alignment
        assert np.linalg.norm(points, axis=1).max() < 1.1
        np.testing.assert_allclose(frame.send_back(points, alignment), cloud.points, atol=1e-6)

    def test_lengths_are_kept(self, good: list[PointCloud]) -> None:
        frame = learn(good, ICP)
        cloud = part(9).transformed(motion(3, (5.0, 0, 0)))
        points = frame.place(cloud).points
        expected = np.linalg.norm(np.diff(cloud.points, axis=0), axis=1)
        found = np.linalg.norm(np.diff(points, axis=0), axis=1) * frame.frame.scale
        np.testing.assert_allclose(found, expected, rtol=1e-9)

    def test_the_reference_is_a_thinned_choice_of_the_training_points(self, good: list[PointCloud]) -> None:
        reference = learn(good).reference
        everything = {tuple(row) for cloud in good for row in cloud.points}
        assert all(tuple(row) in everything for row in reference)
        assert len(reference) <= len(everything)

    def test_the_residual_of_the_training_is_remembered(self, good: list[PointCloud]) -> None:
        assert learn(good[:1], ICP).residual == 0
        moved = [good[0], good[1].transformed(motion(4, (30.0, 0, 0)))]
        assert 0 < learn(moved, ICP).residual < 0.02 < learn(moved, NONE).residual

    def test_restoring_gives_the_same_alignment(self, good: list[PointCloud]) -> None:
        frame = learn(good, ICP)
        again = ClassFrame.restore(frame.metadata(), frame.tensors(), ICP, seed=0)
        cloud = part(9).transformed(motion(3, (5.0, 0, 0)))
        np.testing.assert_array_equal(frame.place(cloud).points, again.place(cloud).points)
        assert frame.tensors()["reference"].dtype == torch.float64

    def test_a_file_knows_which_side_is_outside(self, good: list[PointCloud], monkeypatch: pytest.MonkeyPatch) -> None:
        frame = learn(good, ICP)
        tensors, normals = frame.tensors(), frame.places.normals
        monkeypatch.setattr(part_places, "outward_normals", None)
        again = ClassFrame.restore(frame.metadata(), tensors, ICP, seed=0)
        assert torch.equal(again.places.normals, normals)
        with pytest.raises(Unusable, match="its tensor outward holds no unit vectors"):
            ClassFrame.restore(frame.metadata(), tensors | {"outward": 2 * normals}, ICP, seed=0)
        with pytest.raises(Unusable, match="its tensor outward is float32 of shape"):
            ClassFrame.restore(frame.metadata(), tensors | {"outward": normals[1:]}, ICP, seed=0)

    @pytest.mark.parametrize(("factor", "said"), [(0.001, True), (0.3, True), (0.4, False), (2.5, False), (25.4, True)])
    def test_a_size_that_differs_more_than_threefold_is_said(
        self, good: list[PointCloud], factor: float, said: bool
    ) -> None:
        warnings = learn(good).place(PointCloud(part(9).points * factor)).warnings
        assert len(warnings) == said
        assert all("unit" in warning for warning in warnings)

    @pytest.mark.parametrize("sizes", [(1200,), (1200, 1200), (1200, 1200, 1200), (5000, 1200, 1200)])
    def test_whole_training_scans_leave_out_nothing(self, sizes: tuple[int, ...]) -> None:
        """Even a scan that most of the reference comes from."""
        frame = learn([part(seed, points=count) for seed, count in enumerate(sizes)])
        assert frame.unseen == 0
        assert frame.coverage_of(frame.frame.apply(part(9).points)).unjudged_share == 0

    def test_training_with_single_views_raises_what_scans_may_leave_out(self, good: list[PointCloud]) -> None:
        def from_the_left(seed: int) -> PointCloud:
            points = part(seed).points
            return PointCloud(points[points[:, 0] < 12])

        share = len(from_the_left(0)) / len(part(0))
        whole, views = learn(good), learn([*good, from_the_left(3)])
        assert whole.unseen == 0
        assert views.unseen == pytest.approx(1 - share, abs=0.08)
        scan = from_the_left(9)
        scores = Scores(np.zeros(len(scan), np.float32), 0.0, threshold=1.0, is_anomalous=False)
        for frame, codes in ((whole, ("part_not_seen",)), (views, ())):
            seen = replace(scores, unseen=frame.coverage_of(frame.frame.apply(scan.points)).unjudged_share)
            assert decide(seen, scan.points, expected=Expectations(unseen=frame.unseen)).codes == codes

    def test_what_training_scans_leave_out_is_stored(self, good: list[PointCloud]) -> None:
        frame = learn(good)
        frame.unseen, frame.places = 0.28, replace(frame.places, lost=0.04)
        again = ClassFrame.restore(frame.metadata(), frame.tensors(), NONE, seed=0)
        assert (again.unseen, again.places.lost) == (0.28, 0.04)

    def test_pieces_that_training_scans_leave_out_here_and_there_say_nothing(self) -> None:
        whole = [part(seed, points=4000) for seed in range(3)]
        middles = [cloud.points[(cloud.points @ way).argmax()] for cloud, way in zip(whole, np.eye(3), strict=True)]
        reach = 0.15 * np.ptp(whole[0].points, axis=0).max()
        holed = [
            cloud.select(np.linalg.norm(cloud.points - middle, axis=1) > reach)
            for cloud, middle in zip(whole, middles, strict=True)
        ]
        assert learn(whole).places.lost == 0.0
        frame = learn(holed)
        assert frame.places.lost > 0.0
        assert frame.unseen == pytest.approx(
            max(1 - len(a) / len(b) for a, b in zip(holed, whole, strict=True)), abs=0.03
        )

    @pytest.mark.parametrize("which", [0, 2])
    def test_a_stray_point_in_a_training_scan_changes_nothing(self, good: list[PointCloud], which: int) -> None:
        radius = np.linalg.norm(good[which].points, axis=1).max()
        stray = 8 * radius * np.array([[0.6, 0.0, 0.8]])
        spoiled = list(good)
        spoiled[which] = PointCloud(np.concatenate([good[which].points, stray]))
        clean, frame = learn(good, ICP), learn(spoiled, ICP)
        assert frame.frame.scale == clean.frame.scale
        np.testing.assert_array_equal(frame.frame.translation, clean.frame.translation)
        assert (frame.points, frame.residual) == (clean.points, clean.residual)
        assert np.linalg.norm(frame.reference, axis=1).max() <= 1.01 * radius
        scan = part(9).points
        scores = Scores(np.zeros(len(scan), np.float32), 0.0, threshold=1.0, is_anomalous=False)
        assert decide(scores, scan, expected=Expectations(scale=frame.frame.scale)).codes == ()
        assert frame.place(part(9)).warnings == ()

    def test_stray_points_that_are_left_out_are_counted(self, good: list[PointCloud]) -> None:
        class Listener(Silent):
            said: ClassVar[list[str]] = []

            def log(self, message: str) -> None:
                self.said.append(message)

        spoiled = PointCloud(np.concatenate([good[0].points, [[900.0, 0, 0], [0, -900.0, 0]]]), path=Path("bolt.ply"))
        ClassFrame.learn([spoiled, *good[1:]], NONE, seed=0, progress=Listener())
        (line,) = Listener.said
        assert line.startswith("bolt.ply: 2 stray points")
