"""The toys: sizes, closed surfaces, relief."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from dusnet.cloud import Frame
from dusnet.io import Mesh
from dusnet.synthesis.toys import TOYS

FEW = ("bar", "chick", "star", "whale")
"""Those that a short run looks at."""


@cache
def mesh(name: str) -> Mesh:
    return TOYS[name]().mesh()


def test_there_are_enough_toys() -> None:
    assert len(TOYS) >= 16


@pytest.mark.long
def test_toys_have_the_sizes_of_the_archive() -> None:
    # Class sizes of the README: longest extent 22 to 38 mm; bounding radius 11 to 19 mm with tolerance for our forms.
    flat = 0
    for name in TOYS:
        vertices = mesh(name).vertices
        extent = np.sort(np.ptp(vertices, axis=0))
        assert 21.0 < extent[2] < 39.5
        assert 11.0 < Frame.of(vertices).scale < 20.0
        flat += extent[0] / extent[2] <= 0.4
    assert 0.6 <= flat / len(TOYS) <= 0.8


@pytest.mark.parametrize("name", [name if name in FEW else pytest.param(name, marks=pytest.mark.long) for name in TOYS])
class TestToy:
    def test_it_is_closed_and_of_one_piece(self, name: str) -> None:
        vertices, faces = mesh(name).vertices, mesh(name).faces
        pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        graph = csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(vertices),) * 2)
        assert connected_components(graph)[0] == 1
        # As many edges one way as the other: what leaves a corner comes back.
        assert (graph - graph.T).nnz == 0

    def test_its_relief_is_fine_and_shallow(self, name: str) -> None:
        vertices, frame = mesh(name).vertices, Frame.of(mesh(name).vertices)
        height = TOYS[name]().relief.heights((vertices + frame.translation) / frame.scale)
        assert 0.0002 < height.std() < 0.004
