from __future__ import annotations

import numpy as np
import pytest
import trimesh

from dusnet.cloud import Frame
from dusnet.synthesis.likeness.household import THINGS, thing


@pytest.mark.parametrize("name", sorted(THINGS))
def test_every_thing_is_one_closed_solid_of_thin_shells(name: str) -> None:
    mesh = thing(name)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.body_count == 1
    assert solid.volume > 0.0
    radius = Frame.of(mesh.vertices).scale
    assert 2.0 < solid.area / radius**2 < 12.0
    if name not in ("eraser0", "microphone0", "tap0", "tap1", "headset0"):
        # Two sides of a wall of thickness w have the area 2 V / w.
        assert 0.008 < 2.0 * solid.volume / solid.area / radius < 0.045


def test_instances_of_one_form_differ() -> None:
    for form in ("bowl", "vase"):
        meshes = [thing(f"{form}{number}") for number in range(3)]
        areas = [trimesh.Trimesh(one.vertices, one.faces).area / Frame.of(one.vertices).scale ** 2 for one in meshes]
        assert np.diff(np.sort(areas)).min() > 0.5
