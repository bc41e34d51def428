from __future__ import annotations

import numpy as np
import pytest

from dusnet.io import Mesh
from dusnet.synthesis.level_sets import surface_net


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


def test_net_of_a_sphere_is_closed_outward_and_on_it() -> None:
    mesh = surface_net(lambda p: np.linalg.norm(p, axis=1) - 10.0, np.full(3, -10.0), np.full(3, 10.0), 0.7)
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(10.0, abs=1e-3)
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert volume(mesh) == pytest.approx(4.0 / 3.0 * np.pi * 1000.0, rel=0.01)


def test_net_of_a_torus_has_its_volume_and_one_hole() -> None:
    def torus(p: np.ndarray) -> np.ndarray:
        return np.hypot(np.hypot(p[:, 0], p[:, 1]) - 8.0, p[:, 2]) - 2.0

    mesh = surface_net(torus, np.array([-10.0, -10.0, -2.0]), np.array([10.0, 10.0, 2.0]), 0.5)
    assert volume(mesh) == pytest.approx(2.0 * np.pi**2 * 8.0 * 4.0, rel=0.01)
    # Euler characteristic V - E + F of a torus is 0, and E = 3 F / 2 of a closed surface.
    assert len(mesh.vertices) - 0.5 * len(mesh.faces) == 0
