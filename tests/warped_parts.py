"""Surfaces known in closed form and references in float64 for the tests of the smooth warp."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dusnet.registration.warp import SPACING_SAMPLE

Array = NDArray[np.float64]
EGG = np.array([0.8, 0.64, 0.48])
ROD = np.array([0.95, 0.25, 0.2])


def surface(seed: int, count: int, axes: Array = EGG) -> tuple[Array, Array]:
    """Places on a bumpy ellipsoid and its outward unit normals there, (N, 3) and (N, 3).

    With q = p / axes the surface is |q| = 1 + bumps(q / |q|); normals are the gradient, by automatic differentiation.
    """
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = axes * direction * _radius(torch.from_numpy(direction)).numpy()[:, None]
    variable = torch.from_numpy(points).requires_grad_()
    q = variable / torch.from_numpy(axes)
    (q.norm(dim=1) - _radius(q / q.norm(dim=1, keepdim=True))).sum().backward()
    assert variable.grad is not None
    return points, torch.nn.functional.normalize(variable.grad, dim=1).numpy()


def _radius(direction: torch.Tensor) -> torch.Tensor:
    x, y, z = direction.unbind(dim=1)
    return 1 + 0.12 * x * y + 0.1 * y * z + 0.05 * torch.sin(4 * z) + 0.05 * torch.sin(5 * x)


def exponents(degree: int) -> list[tuple[int, int, int]]:
    """Of all monomials of total degree 0 to `degree`, in the order of `itertools`."""
    return [one for one in itertools.product(range(degree + 1), repeat=3) if sum(one) <= degree]


def variation(points: Array, amplitude: float, seed: int = 3, degree: int = 3) -> Array:
    """A random polynomial displacement whose largest length on these points is `amplitude`, (N, 3)."""
    rng = np.random.default_rng(seed)
    basis = np.stack([np.prod(points**one, axis=1) for one in exponents(degree)], axis=1)
    field = basis @ rng.normal(size=(basis.shape[1], 3))
    return field * (amplitude / np.linalg.norm(field, axis=1).max())


def tensor(points: Array) -> torch.Tensor:
    """As the package takes it, float32."""
    return torch.from_numpy(points).float()


def svd_normals(points: Array, neighbors: int) -> Array:
    """Normals of the planes through the nearest points, by SVD in float64, (N, 3)."""
    around = points[cKDTree(points).query(points, k=neighbors)[1]]
    return np.linalg.svd(around - around.mean(axis=1, keepdims=True))[2][:, 2]


def plane_distances(query: Array, points: Array, normals: Array, neighbors: int) -> tuple[Array, Array]:
    """Mean signed distance to the planes of the nearest points and the nearest one's normal, in float64.

    Planes that are 0.004 and the spacing farther than the nearest one are those of another face.
    """
    tree = cKDTree(points)
    index = tree.query(query, k=neighbors)[1]
    one_face = max(0.004, tree.query(points[:: 1 + len(points) // SPACING_SAMPLE], k=2)[0][:, 1].mean())
    first = normals[index[:, 0]]
    across = np.zeros((len(query), neighbors))
    for rank in range(neighbors):
        normal = normals[index[:, rank]]
        flip = np.where(np.einsum("ij,ij->i", normal, first) < 0, -1.0, 1.0)
        across[:, rank] = flip * np.einsum("ij,ij->i", query - points[index[:, rank]], normal)
    least = np.take_along_axis(across, np.abs(across).argmin(axis=1)[:, None], axis=1)
    return across.mean(axis=1, where=np.abs(across - least) < one_face), first
