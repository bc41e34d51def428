"""The CUDA sources: they compile, their kernels are right in emulation, and on a device they equal the CPU."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ops_clouds
import pytest
import torch

from dusnet import ops
from dusnet.ops.derivatives import cuda_index_bytes

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "cuda_ops"
EMULATION = Path(__file__).resolve().parent / "emulation"


@pytest.mark.slow
def test_every_cuda_source_compiles(tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not on the PATH, so the CUDA sources were not compiled")
    command = [sys.executable, str(SOURCES / "compile_check.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.o"))) == len(list((SOURCES / "cuda").glob("*.cu"))) == 5


def _emulator() -> Path:
    """The CUDA sources as a host library; built once per state of the sources."""
    files = sorted(path for folder in (SOURCES, EMULATION) for path in folder.rglob("*") if path.is_file())
    state = hashlib.sha256(b"".join(path.read_bytes() for path in files if path.suffix != ".pyc"))
    state.update(torch.__version__.encode())
    folder = REPOSITORY / "build" / "emulation" / state.hexdigest()[:16]
    library = folder / "emulated.so"
    if library.is_file():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(torch.__file__).parent
    flags = ["-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-w"]
    flags += ["-DDUSNET_EMULATE", "-Ddusnet=dusnet_emulated", "-DTORCH_TARGET_VERSION=0x020b000000000000"]
    flags += [f"-I{EMULATION}", f"-I{SOURCES / 'include'}", f"-I{SOURCES / 'cuda'}", f"-isystem{root / 'include'}"]
    objects, jobs = [], []
    for source in [SOURCES / "bindings.cpp", *sorted((SOURCES / "cuda").glob("*.cu"))]:
        objects.append(str(folder / f"{source.stem}.o"))
        jobs.append(subprocess.Popen(["g++", *flags, "-x", "c++", "-c", str(source), "-o", objects[-1]]))
    assert [job.wait() for job in jobs] == [0] * len(jobs)
    link = ["-L" + str(root / "lib"), "-ltorch", "-ltorch_cpu", "-lc10"]
    subprocess.run(["g++", "-shared", "-o", str(library) + ".new", *objects, *link], check=True)
    Path(str(library) + ".new").replace(library)
    return library


@pytest.fixture(scope="module")
def emulated() -> Any:
    if shutil.which("g++") is None or sys.platform != "linux":
        pytest.skip("emulating the CUDA kernels needs g++ on Linux")
    if not SOURCES.is_dir():
        pytest.skip("the CUDA sources are not beside the tests")
    torch.ops.load_library(str(_emulator()))
    return torch.ops.dusnet_emulated


@pytest.fixture(
    params=[pytest.param("emulated", marks=pytest.mark.long), pytest.param("device", marks=pytest.mark.gpu)]
)
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a CUDA op on CPU tensors: emulated, or on a device."""
    if request.param == "emulated":
        library = request.getfixturevalue("emulated")
        return lambda name, *arguments: getattr(library, name)(*arguments)
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if ops.status().backend != "cuda":
        pytest.skip(f"the ops are not compiled for CUDA: {ops.status().reason}")

    def on_device(name: str, *arguments: Any) -> Any:
        moved = [value.cuda() if isinstance(value, torch.Tensor) else value for value in arguments]
        result = getattr(torch.ops.dusnet, name)(*moved)
        return result.cpu() if isinstance(result, torch.Tensor) else tuple(value.cpu() for value in result)

    return on_device


def _cpu(name: str, *arguments: Any) -> Any:
    return getattr(torch.ops.dusnet, name)(*arguments)


@pytest.mark.parametrize("name", ["random", "grid", "duplicates", "identical", "outlier", "one"])
def test_neighbors_equal_the_cpu(run: Callable[..., Any], name: str) -> None:
    points = ops_clouds.tensor(name)
    size = points.shape[1]
    query = points.flip(1)[:, :3] + (0.0 if name in ops_clouds.EXACT else 0.01)
    lengths = torch.tensor([max(1, size // 3)] + [size] * (len(points) - 1))
    for k in sorted({1, min(3, size), min(16, size), min(40, size)}):
        for a, b in zip(
            run("knn", query, points, k, None, None, None),
            _cpu("knn", query, points, k, None, None, None),
            strict=True,
        ):
            assert torch.equal(a, b)
        ragged = (query, points, 0.7, k, torch.full((len(points),), 2), lengths, None)
        for a, b in zip(run("ball_query", *ragged), _cpu("ball_query", *ragged), strict=True):
            assert torch.equal(a, b)


def _large(name: str) -> torch.Tensor:
    """(2, 4500, 3): above what is searched without an index."""
    generator = torch.Generator().manual_seed(7)
    points = torch.rand(2, 4500, 3, generator=generator)
    points[..., 2] = 0.2 * torch.sin(5 * points[..., 0])
    if name == "outlier":
        points[0, 17] = 1e6
    elif name == "grid":
        points = (points * 12).floor()
    elif name == "identical":
        points[:] = 0.25
    return points


@pytest.mark.slow
@pytest.mark.parametrize("name", ["surface", "outlier", "grid", "identical"])
def test_searches_of_large_clouds_equal_the_cpu(run: Callable[..., Any], name: str) -> None:
    points = _large(name)
    query = torch.cat([points[:, :1], points[:, :1] * 0.5 + 0.3, points[:, :1] + 30.0], dim=1)
    for lengths in (None, torch.tensor([4500, 70])):
        index = run("build_index", points, lengths)
        for k, known in ((1, None), (32, index), (33, index), (640, None)):
            expected = _cpu("knn", query, points, k, None, lengths, None)
            found = run("knn", query, points, k, None, lengths, known)
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True)), (k, known is None)
        for k in (8, 100):
            expected = _cpu("ball_query", query, points, 0.05, k, None, lengths, None)
            found = run("ball_query", query, points, 0.05, k, None, lengths, index)
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_end_of_a_ragged_large_cloud_is_searched_whole(run: Callable[..., Any]) -> None:
    """The last leaves of the padded cloud are empty: they may not count towards the k points of the first bound."""
    points = torch.rand(1, 4500, 3, generator=torch.Generator().manual_seed(2))
    points[0, 1952:1992] = 1.0
    lengths = torch.tensor([1992])
    expected = _cpu("knn", points[:, 1991:1992], points, 64, None, lengths, None)
    found = run("knn", points[:, 1991:1992], points, 64, None, lengths, None)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert (found[1] >= 0).all()


def test_an_index_of_other_points_is_refused(run: Callable[..., Any]) -> None:
    points = _large("surface")
    other = run("build_index", points[:, :4200].contiguous(), None)
    with pytest.raises(RuntimeError, match="the index was not built from these points"):
        run("knn", points[:, :2], points, 1, None, None, other)


@pytest.mark.parametrize("count", [1, 32, 33, 5000])
def test_index_has_the_shape_that_the_compiler_is_told(run: Callable[..., Any], count: int) -> None:
    points = torch.rand(2, count, 3, generator=torch.Generator().manual_seed(1))
    assert run("build_index", points, None).shape == (2, cuda_index_bytes(count))


@pytest.mark.parametrize("name", ["random", "grid", "duplicates", "outlier", "one"])
def test_samples_equal_the_cpu(run: Callable[..., Any], name: str) -> None:
    points = ops_clouds.tensor(name)
    k = min(12, points.shape[1])
    lengths = torch.tensor([max(1, k // 2)] + [points.shape[1]] * (len(points) - 1))
    for given in (None, lengths):
        arguments = (points, k, 0, given)
        assert torch.equal(run("farthest_point_sample", *arguments), _cpu("farthest_point_sample", *arguments))


def test_samples_of_a_large_cloud_equal_the_cpu(run: Callable[..., Any]) -> None:
    generator = torch.Generator().manual_seed(2)
    for points in (
        torch.rand(1, 8500, 3, generator=generator),
        torch.randint(0, 9, (1, 8300, 3), generator=generator).float(),
    ):
        arguments = (points, 8, 3, torch.tensor([8250]))
        assert torch.equal(run("farthest_point_sample", *arguments), _cpu("farthest_point_sample", *arguments))


def test_interpolation_and_scatter_equal_the_cpu(run: Callable[..., Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    features, weights = torch.randn(2, 9, 4, generator=generator), torch.rand(2, 20, 3, generator=generator)
    index = torch.randint(-1, 9, (2, 20, 3), generator=generator)
    assert torch.equal(
        run("three_interpolate", features, index, weights), _cpu("three_interpolate", features, index, weights)
    )
    values = torch.randn(2, 60, 4, generator=generator)
    flat = index.flatten(1)
    assert torch.equal(run("scatter_sum", values, flat, 9), _cpu("scatter_sum", values, flat, 9))


@pytest.mark.parametrize("count", [1, 2, 40])
def test_match_is_as_good_as_on_the_cpu(run: Callable[..., Any], count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    x, y = torch.rand(2, count, 3, generator=generator), torch.rand(2, count, 3, generator=generator)
    lengths = torch.tensor([count, max(1, count // 2)])
    ours, converged = run("earth_movers_match", x, y, 1e-2, 10_000, lengths)
    theirs, _ = _cpu("earth_movers_match", x, y, 1e-2, 10_000, lengths)
    assert converged.all()
    for b, size in enumerate(lengths.tolist()):
        assert sorted(ours[b, :size].tolist()) == list(range(size))
        assert (ours[b, size:] == -1).all()
        costs = [(x[b, :size] - y[b, match[b, :size]]).norm(dim=1).mean() for match in (ours, theirs)]
        assert abs(costs[0] - costs[1]) <= 1e-2


@pytest.mark.slow
def test_match_of_several_groups_of_leaves_is_as_good_as_on_the_cpu(run: Callable[..., Any]) -> None:
    generator = torch.Generator().manual_seed(3)
    x, y = torch.rand(2, 1, 1100, 3, generator=generator)
    ours, converged = run("earth_movers_match", x, y, 3e-2, 10_000, None)
    theirs, _ = _cpu("earth_movers_match", x, y, 3e-2, 10_000, None)
    assert converged.all()
    assert sorted(ours[0].tolist()) == list(range(1100))
    costs = [float((x[0] - y[0, match[0]]).norm(dim=1).mean()) for match in (ours, theirs)]
    assert abs(costs[0] - costs[1]) <= 3e-2 * costs[1]


def test_interrupted_match_is_a_bijection(run: Callable[..., Any]) -> None:
    x = torch.rand(1, 20, 3, generator=torch.Generator().manual_seed(1))
    assignment, converged = run("earth_movers_match", x, x.flip(1) * 0.01, 1e-4, 1, None)
    assert not converged.any()
    assert sorted(assignment[0].tolist()) == list(range(20))


@pytest.mark.gpu
def test_sampling_and_searches_can_be_captured_in_a_graph_on_the_device() -> None:
    """Replayed on other points, a captured graph gives what the calls give: nothing waits for the host."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if ops.status().backend != "cuda":
        pytest.skip(f"the ops are not compiled for CUDA: {ops.status().reason}")
    points = _large("surface").cuda()

    def everything() -> list[torch.Tensor]:
        picked = ops.farthest_point_sample(points, 64)
        centers = ops.gather_points(points, picked)
        squared, index = ops.knn(centers, points, 100)
        weights, near = ops.three_nn(points, centers)
        both = ops.chamfer_distance(points, centers)
        assert isinstance(both, torch.Tensor)
        return [picked, squared, index, weights, near, both]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        everything()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = everything()
    points.copy_(_large("grid").cuda())
    graph.replay()
    for found, expected in zip(captured, everything(), strict=True):
        assert torch.equal(found, expected)
