from __future__ import annotations

import numpy as np
import pytest

from dusnet.cloud import Frame
from dusnet.synthesis.toys import TOYS, Toy


@pytest.fixture(scope="module")
def toys() -> dict[str, tuple[Toy, np.ndarray, np.ndarray]]:
    found = {}
    for name, make in TOYS.items():
        toy = make()
        mesh = toy.mesh()
        found[name] = toy, mesh.vertices, mesh.faces
    return found


def test_there_are_enough_toys() -> None:
    assert len(TOYS) >= 16


def test_toys_have_the_sizes_of_the_archive(toys: dict[str, tuple[Toy, np.ndarray, np.ndarray]]) -> None:
    # Class sizes of the README: longest extent 22 to 38 mm; bounding radius 11 to 19 mm with tolerance for our forms.
    flat = 0
    for _, vertices, _ in toys.values():
        extent = np.sort(np.ptp(vertices, axis=0))
        assert 21.0 < extent[2] < 39.5
        assert 11.0 < Frame.of(vertices).scale < 20.0
        flat += extent[0] / extent[2] <= 0.4
    assert 0.6 <= flat / len(toys) <= 0.8


def test_toys_are_closed_and_of_one_piece(toys: dict[str, tuple[Toy, np.ndarray, np.ndarray]]) -> None:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    for name, (_, vertices, faces) in toys.items():
        pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        graph = csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(vertices),) * 2)
        assert connected_components(graph)[0] == 1, name
        # As many edges one way as the other: what leaves a corner comes back.
        assert (graph - graph.T).nnz == 0, name


def test_relief_is_fine_and_shallow(toys: dict[str, tuple[Toy, np.ndarray, np.ndarray]]) -> None:
    for name, (toy, vertices, _) in toys.items():
        frame = Frame.of(vertices)
        height = toy.relief.heights((vertices + frame.translation) / frame.scale)
        assert 0.0002 < height.std() < 0.004, name
