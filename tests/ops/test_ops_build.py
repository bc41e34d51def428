"""setup.py: what DUSNET_BUILD comes to, and what a source archive holds."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
import torch

from dusnet import ops

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def build() -> ModuleType:
    path = REPOSITORY / "setup.py"
    if not path.is_file():
        pytest.skip("setup.py is not beside the tests")
    spec = importlib.util.spec_from_file_location("dusnet_setup", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python_build_has_no_extension(build: ModuleType) -> None:
    assert build.resolve("python") == "python"
    assert build.extensions("python") == ([], {})


def test_auto_follows_torch_and_compiler(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils import cpp_extension

    monkeypatch.setattr(build, "find_compiler", lambda: "/usr/bin/c++")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert build.resolve("auto") == "cpu"
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    assert build.resolve("auto") == "cpu"
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", "/usr/local/cuda")
    assert build.resolve("auto") == "cuda"
    assert build.resolve("cpu") == "cpu"
    monkeypatch.setattr(build, "find_compiler", lambda: None)
    assert build.resolve("auto") == "python"


def test_what_cannot_be_built_is_refused(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(SystemExit, match="DUSNET_BUILD=cuda needs a CUDA build of torch"):
        build.resolve("cuda")
    with pytest.raises(SystemExit, match="DUSNET_BUILD must be one of auto, python, cpu, cuda, got 'fast'"):
        build.resolve("fast")
    monkeypatch.setattr(build, "find_compiler", lambda: None)
    with pytest.raises(SystemExit, match=r"DUSNET_BUILD=cpu needs a C\+\+ compiler"):
        build.resolve("cpu")


def test_without_torch_the_python_build_is_chosen_aloud(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert build.resolve("auto") == "python"
    assert "torch is not importable here" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"DUSNET_BUILD=cpu needs torch 2\.11 or newer"):
        build.resolve("cpu")


def test_architectures_fit_the_toolkit(build: ModuleType) -> None:
    assert "12.0+PTX" in build.default_architectures("13.0")
    assert "10.0" not in build.default_architectures("12.6")


@pytest.mark.usefixtures("build")
def test_file_stems_are_unique() -> None:
    sources = [*(REPOSITORY / "cuda_ops").rglob("*.cpp"), *(REPOSITORY / "cuda_ops").rglob("*.cu")]
    assert len({source.stem for source in sources}) == len(sources) == 16


def test_torch_is_not_a_build_requirement() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    required = re.search(r"\[build-system\]\s*requires = \[(.*?)\]", text, re.DOTALL)
    assert required is not None
    assert "torch" not in required.group(1)


@pytest.mark.usefixtures("build")
def test_source_archive_holds_the_sources(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "egg_info", "-e", str(tmp_path), "sdist", "-d", str(tmp_path)]
    done = subprocess.run(
        [*command, "--formats=tar"],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "DUSNET_BUILD": "python"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar")
    with tarfile.open(archive) as opened:
        inside = {name.partition("/")[2] for name in opened.getnames()}
    wanted = [path for pattern in ("*.h", "*.cpp", "*.cu") for path in (REPOSITORY / "cuda_ops").rglob(pattern)]
    assert {str(path.relative_to(REPOSITORY)) for path in wanted} <= inside
    settings = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "configs").glob("*.yaml")}
    assert "configs/paper.yaml" in settings
    assert settings | {"setup.py", "pyproject.toml", "dusnet/ops/reference.py", "dusnet/py.typed"} <= inside


@pytest.mark.usefixtures("build")
def test_an_installed_package_holds_its_settings(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "egg_info", "-e", str(tmp_path), "build_py", "-d", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "DUSNET_BUILD": "python"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    needed = [
        path.relative_to(REPOSITORY)
        for pattern in ("evaluation/*.yaml", "weights/*.safetensors", "py.typed")
        for path in (REPOSITORY / "dusnet").glob(pattern)
    ]
    settings = [path.relative_to(REPOSITORY) for path in (REPOSITORY / "configs").rglob("*.yaml")]
    assert len(needed) + len(settings) > 10
    for path in needed:
        assert (tmp_path / path).read_bytes() == (REPOSITORY / path).read_bytes()
    for path in settings:
        assert (tmp_path / "dusnet" / path).read_bytes() == (REPOSITORY / path).read_bytes()


def test_binary_depends_on_stable_symbols_only() -> None:
    binary = ops.status().binary
    if binary is None:
        pytest.skip(f"no binary to look at: {ops.status().reason}")
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    listed = subprocess.run(["nm", "-DC", "--undefined-only", str(binary)], capture_output=True, text=True, check=True)
    assert not re.findall(r"\b(?:at|c10)::|\bPy[A-Z_]", listed.stdout)
