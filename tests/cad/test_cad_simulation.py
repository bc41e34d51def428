"""Simulated good scans of a CAD model."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from cad_parts import stepped_box, write_stl

from dusnet.cad.alignment import CadAligner
from dusnet.cad.simulation import CadScans
from dusnet.cad.surface import CadSurface
from dusnet.errors import BadConfig, BadInput


@pytest.fixture
def stl(tmp_path):
    return write_stl(tmp_path / "part.stl", stepped_box())


def test_scans_lie_as_far_off_as_was_said(stl):
    surface = CadSurface(stepped_box())
    aligner = CadAligner(surface)
    for variation, noise, low, high in ((0.0, 0.0, 0.0, 1e-4), (0.0, 0.002, 1e-3, 4e-3), (0.02, 0.0, 2e-3, 0.02)):
        scan = CadScans(stl, variation=variation, noise=noise, points=3000).scan(0)
        found = aligner.align(scan.points)
        distance = surface.nearest(scan.points @ found.matrix[:3, :3].T + found.matrix[:3, 3]).distances
        assert low <= np.quantile(distance, 0.9) / surface.radius <= high


def test_equal_values_give_equal_scans_and_others_do_not(stl):
    scans = CadScans(stl, points=1000, seed=3)
    np.testing.assert_array_equal(scans.scan(1).points, CadScans(stl, points=1000, seed=3).scan(1).points)
    assert not np.array_equal(scans.scan(0).points[:100], scans.scan(1).points[:100])
    assert not np.array_equal(scans.scan(0).points[:100], CadScans(stl, points=1000, seed=4).scan(0).points[:100])


def test_the_first_scan_lies_where_the_model_does(stl):
    """The others lie where a fixture would put a part: up to 5 degrees and 3 % of the radius away."""
    surface = CadSurface(stepped_box())
    scans = CadScans(stl, variation=0.0, noise=0.0, points=1000)
    apart = [surface.nearest(scans.scan(index).points).distances.max() for index in range(3)]
    assert apart[0] < 1e-6 * surface.radius
    assert min(apart[1:]) > 0.003 * surface.radius


def test_provenance_names_the_file_and_every_value(stl):
    found = CadScans(stl, count=2, variation=0.02, noise=0.003, points=700, seed=5).provenance()
    assert found["sha256"] == hashlib.sha256(stl.read_bytes()).hexdigest()
    assert found["radius"] == pytest.approx(CadSurface(stepped_box()).radius)
    assert found["in_place"] is True
    del found["sha256"], found["radius"], found["in_place"]
    assert found == {"file": "part.stl", "scans": 2, "variation": 0.02, "noise": 0.003, "points": 700, "seed": 5}


@pytest.mark.parametrize(
    ("values", "named"),
    [({"count": 0}, "--cad-scans"), ({"variation": -1.0}, "--cad-variation"), ({"noise": 2.0}, "--cad-noise")],
)
def test_values_out_of_range_are_named(stl, values, named):
    with pytest.raises(BadConfig, match=named):
        CadScans(stl, **values).require_usable()


def test_a_file_that_is_no_mesh_is_refused(tmp_path):
    (tmp_path / "part.stl").write_text("nothing")
    with pytest.raises(BadInput, match="STL"):
        CadScans(tmp_path / "part.stl").require_usable()
