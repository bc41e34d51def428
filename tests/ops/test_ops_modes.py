"""Which implementation runs, and why: environment variable, missing binary, damaged binary, old torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dusnet import ops
from dusnet.ops.native import REBUILD
from dusnet.ops.schemas import SCHEMAS

REPOSITORY = Path(__file__).resolve().parents[2]
BINDINGS = REPOSITORY / "cuda_ops" / "bindings.cpp"

CHECK = """
import torch
from dusnet import ops
x = torch.rand(1, 40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
ops.chamfer_distance(x, x.detach() + 0.1).backward()
assert torch.isfinite(x.grad).all()
assert len(set(ops.farthest_point_sample(x, 40)[0].tolist())) == 40
print(ops.status().backend + "|" + ops.status().reason)
"""


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DUSNET_OPS"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_plain_torch_on_request() -> None:
    rules = "torch.library.opcheck(torch.ops.dusnet.knn.default, (x.detach(), x.detach(), 3, None, None, None))"
    done = _run(CHECK + rules, DUSNET_OPS="python")
    assert done.returncode == 0, done.stderr
    backend, reason = done.stdout.strip().split("|")
    assert backend == "python"
    assert "DUSNET_OPS=python" in reason


def test_unknown_mode_is_refused() -> None:
    done = _run("import dusnet.ops", DUSNET_OPS="fast")
    assert done.returncode == 1
    assert "BadConfig: DUSNET_OPS must be auto, native or python, got 'fast'" in done.stderr


def _copy(folder: Path) -> Path:
    """The package without its binary in a folder of its own."""
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(REPOSITORY / "dusnet", folder / "dusnet", ignore=ignore)
    return folder


def _run_copy(folder: Path, code: str = CHECK, **environment: str) -> tuple[str, str]:
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    done = _run(start + code, **environment)
    assert done.returncode == 0, done.stderr
    backend, reason = done.stdout.strip().split("|")
    return backend, reason


def test_without_a_binary(tmp_path: Path) -> None:
    backend, reason = _run_copy(_copy(tmp_path))
    assert backend == "python"
    assert reason.startswith("No compiled ops are installed beside the package; build them with: pip install")
    refused = _run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import dusnet.ops", DUSNET_OPS="native")
    assert "DUSNET_OPS=native forbids the plain-torch ops. No compiled ops" in refused.stderr


def test_a_missing_binary_is_said_once(tmp_path: Path) -> None:
    folder = str(_copy(tmp_path))
    code = f"import sys; sys.path.insert(0, {folder!r})\nfrom dusnet import ops\nimport dusnet.ops.native\n"
    for mode, times in (("auto", 1), ("python", 0)):
        done = _run(code, DUSNET_OPS=mode)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("No compiled ops are installed beside the package") == times


def test_damaged_binary(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    (folder / "dusnet" / "_C.abi3.so").write_bytes(b"not a library")
    backend, reason = _run_copy(folder)
    assert backend == "python"
    assert reason.startswith("The compiled ops in _C.abi3.so did not load (")


def test_old_torch(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    (folder / "dusnet" / "_C.abi3.so").write_bytes(b"")
    backend, reason = _run_copy(folder, "import torch\ntorch.__version__ = '2.10.1'\n" + CHECK)
    assert backend == "python"
    assert "need torch 2.11 or newer, but 2.10.1 runs" in reason


def test_status_of_this_process() -> None:
    status = ops.status()
    assert status.backend in ("cpu", "cuda", "python")
    assert (status.binary is None) == (status.backend == "python")
    assert status.reason.endswith((".", REBUILD))
    assert status.threads >= 1


def test_schemas_are_the_same_in_both_languages() -> None:
    if not BINDINGS.is_file():
        pytest.skip("the C++ sources are not beside the tests")
    blocks = re.findall(r"m\.def\(\s*((?:\"[^\"]*\"\s*)+)\)", BINDINGS.read_text())
    texts = ["".join(re.findall(r"\"([^\"]*)\"", block)) for block in blocks]
    assert texts == [name + schema for name, schema in SCHEMAS.items()]
