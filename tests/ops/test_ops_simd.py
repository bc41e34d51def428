"""One answer on every instruction set: what the processor can run, each in a process of its own, equals brute force."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dusnet import ops

REPOSITORY = Path(__file__).resolve().parents[2]
CPU_SOURCES = REPOSITORY / "cuda_ops" / "cpu"
BUILD = """
import hashlib
import numpy as np, torch
from dusnet import ops
from dusnet.ops import reference

torch.set_num_threads(2)
rng = np.random.default_rng(3)

def surface(count):  # a bent sheet: what scans look like
    u, v = rng.random((2, count))
    return np.stack([u, v, 0.3 * np.sin(5 * u) * np.cos(4 * v)], axis=1)

clouds = {
    "surface": surface(3000),
    "far outlier": np.concatenate([surface(2500), [[9e5, -9e5, 3.0]]]),
    "eightfold": np.repeat(surface(300), 8, axis=0)[rng.permutation(2400)],
    "grid": rng.integers(0, 9, size=(2500, 3)).astype(float),
    "two heaps": np.concatenate([np.full((700, 3), 0.25), np.full((800, 3), 0.75)]),
    "line": np.linspace(0, 1, 1700)[:, None] * np.array([[1.0, 0.0, 0.0]]),
}
digest = hashlib.sha256()
for name, cloud in clouds.items():
    for dtype in (torch.float32, torch.float64):
        points = torch.tensor(cloud, dtype=dtype)[None]
        others = torch.tensor(surface(97), dtype=dtype)[None]
        for query in (points, others, points[:, :1] + 40.0):
            for k in (1, 2, 3, 5, 8, 9, 30, 640):
                found = ops.knn(query[:, ::7], points, k)
                if k in (1, 8, 9, 640):
                    expected = reference.knn(query[:, ::7], points, k, None, None, None)
                    assert all(torch.equal(a, b) for a, b in zip(found, expected)), (name, dtype, k)
                digest.update(found[0].numpy().tobytes() + found[1].numpy().tobytes())
            ball = ops.ball_query(query[:, ::7], points, 0.1, 20)
            digest.update(ball[0].numpy().tobytes() + ball[1].numpy().tobytes())
        chosen = ops.farthest_point_sample(points, 900, start=5)
        assert torch.equal(chosen[:, :40], reference.farthest_point_sample(points, 40, 5, None)), (name, dtype)
        digest.update(chosen.numpy().tobytes())
        x, y = points[:, :500], points[:, 500:1000]
        digest.update(ops.earth_movers_distance(x, y)[1].numpy().tobytes())
print(ops.status().simd, digest.hexdigest())
"""


def _run(level: str, code: str = BUILD) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DUSNET_SIMD": level, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def _levels() -> list[str]:
    """What this processor can run."""
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").is_file() else []
    wanted = {"avx2": {"avx2"}, "avx512": {"avx512f", "avx512dq", "avx512bw", "avx512vl"}}
    return ["baseline", *(level for level, needed in wanted.items() if needed <= set(flags))]


@pytest.mark.usefixtures("native")
def test_every_instruction_set_gives_the_same() -> None:
    digests = {}
    for level in _levels():
        done = _run(level)
        assert done.returncode == 0, done.stderr
        chosen, digest = done.stdout.split()
        assert chosen == level
        digests[level] = digest
    assert len(set(digests.values())) == 1, digests


@pytest.mark.usefixtures("native")
def test_the_best_is_chosen_alone() -> None:
    assert ops.status().simd in _levels()
    if "DUSNET_SIMD" not in os.environ:
        assert ops.status().simd == _levels()[-1]


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("level", ["avx2", "avx512"])
def test_what_the_processor_lacks_is_refused_with_a_sentence(level: str, tmp_path: Path) -> None:
    """Instructions that a processor does not have would end the process without a word."""
    if level in _levels():
        pytest.skip(f"this processor has {level}")
    done = _run(level, "import dusnet.ops")
    assert done.returncode == 1
    said = f"BadConfig: This processor cannot run DUSNET_SIMD={level}; unset it for the best one it can."
    assert said in done.stderr
    np.savetxt(tmp_path / "scan.xyz", np.random.default_rng(0).normal(size=(100, 3)))
    refused = subprocess.run(
        [sys.executable, "-m", "dusnet", "train", str(tmp_path), "--out", str(tmp_path / "model.safetensors")],
        env={**os.environ, "DUSNET_SIMD": level, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert f"cannot run DUSNET_SIMD={level}" in refused.stderr


def test_an_unknown_instruction_set_is_refused() -> None:
    done = _run("mmx", "import dusnet.ops")
    assert done.returncode == 1
    assert "BadConfig: DUSNET_SIMD must be one of auto, baseline, avx2, avx512, got 'mmx'" in done.stderr


@pytest.mark.parametrize("level", ["avx2", "avx512"])
def test_code_for_newer_processors_stays_to_itself(tmp_path: Path, level: str) -> None:
    """What the linker may merge (weak symbols) could replace code that older processors run, too."""
    if platform.machine() != "x86_64" or shutil.which("g++") is None or shutil.which("nm") is None:
        pytest.skip("needs g++ and nm on x86-64")
    source = CPU_SOURCES / f"simd_{level}.cpp"
    if not source.is_file():
        pytest.skip("the C++ sources are not beside the tests")
    target = tmp_path / "level.o"
    flags = ["-std=c++20", "-O1", "-fPIC", "-ffp-contract=off", "-w", f"-I{CPU_SOURCES}"]
    subprocess.run(["g++", *flags, "-c", str(source), "-o", str(target)], check=True)
    listed = subprocess.run(["nm", "-C", "--defined-only", str(target)], capture_output=True, text=True, check=True)
    symbols = re.findall(r"^\w+ (\w) (.*)$", listed.stdout, re.MULTILINE)
    assert any("search" in name for _, name in symbols)
    assert [name for kind, name in symbols if kind in "WVu"] == []
    assert all(f"dusnet::{level}::" in name for kind, name in symbols if kind in "TDBR")
