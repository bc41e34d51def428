"""Rigid motions that a user gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dusnet.errors import BadInput
from dusnet.io import read_motion, rigid_motion

MOTION = np.eye(4)
MOTION[:3, :3] = Rotation.from_euler("zyx", [30.0, -50.0, 110.0], degrees=True).as_matrix()
MOTION[:3, 3] = [1.5, -200.0, 3e5]


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"matrix": rows, "note": "from the fixture"}])
def test_a_matrix_is_read_from_both_forms_of_the_file(tmp_path, wrap):
    path = tmp_path / "m.json"
    path.write_text("\ufeff" + json.dumps(wrap(MOTION.tolist())), encoding="utf-8")
    np.testing.assert_allclose(read_motion(path), MOTION, rtol=0, atol=1e-15 * 3e5)


def test_six_decimals_are_enough_and_are_made_exactly_rigid():
    found = rigid_motion(np.round(MOTION, 6), "m")
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), rtol=0, atol=1e-14)
    np.testing.assert_allclose(found, MOTION, rtol=0, atol=1e-6)
    with pytest.raises(BadInput, match="no rigid motion"):
        rigid_motion(np.round(MOTION, 4), "m")


def test_whole_numbers_are_numbers():
    np.testing.assert_array_equal(rigid_motion(np.eye(4, dtype=int).tolist(), "m"), np.eye(4))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.eye(3), "no 4 x 4 matrix"),
        ([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1], [0, 0, 0, 1]], "no 4 x 4 matrix"),
        ([["1", "0", "0", "0"]] * 4, "no 4 x 4 matrix"),
        (np.eye(4).astype(bool).tolist(), "no 4 x 4 matrix"),
        (None, "no 4 x 4 matrix"),
        (np.diag([1.0, 1.0, np.nan, 1.0]), "holds NaN"),
        (np.vstack([np.column_stack([np.eye(3), [1e300, 0, 0]]), [0, 0, 0, 1]]), "numbers beyond"),
        (MOTION.T, "last row other than 0, 0, 0, 1"),
        (np.diag([0.001, 0.001, 0.001, 1.0]), "stretches lengths by 0.001 to 0.001"),
        (np.diag([1.0, 1.0, 1.00001, 1.0]), "stretches lengths by 1 to 1.00001"),
        (np.zeros((4, 4)) + np.diag([0.0, 0, 0, 1]), "stretches lengths by 0 to 0"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), "a mirror"),
    ],
)
def test_what_is_no_rigid_motion_is_refused_in_one_sentence(values, words):
    with pytest.raises(BadInput, match=words) as caught:
        rigid_motion(values, "frame.json")
    message = str(caught.value)
    assert message.startswith("frame.json ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"[[1, 0", "no valid JSON"),
        (b"\xff\xfe", "no valid JSON"),
        (b"[" * 5000, "no valid JSON"),
        (b'[[NaN, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]', "no valid JSON"),
        (b'{"frame": []}', "no key matrix"),
        (b'"text"', "no 4 x 4 matrix"),
    ],
)  # fmt: skip
def test_files_that_hold_none_are_refused_by_name(tmp_path, content, words):
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words) as caught:
        read_motion(path)
    assert str(caught.value).startswith(str(path))
    with pytest.raises(BadInput, match="does not exist"):
        read_motion(tmp_path / "none.json")
