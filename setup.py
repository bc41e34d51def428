"""Builds the native ops where torch and a compiler are there; everything else is in pyproject.toml.

DUSNET_BUILD decides: `python` (no binary), `cpu`, `cuda`, or `auto` (the default): cuda when the installed torch is a
CUDA build and a toolkit is found, else cpu when a C++ compiler is found, else python. torch is imported here, not asked
for in build-system.requires: an isolated build would compile against another torch than the one that runs.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SOURCES = Path("cuda_ops")
CONFIGS = Path("configs")
# The oldest torch whose stable interface the binary uses (2.11); it also loads in every later one.
TARGET = "-DTORCH_TARGET_VERSION=0x020b000000000000"
OLDEST_TORCH = (2, 11)
HOST_FLAGS = [
    "-O3",
    "-g0",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
    TARGET,
]
# Fused multiply-add would round differently from the CPU and the plain-torch ops.
CUDA_FLAGS = ["-O3", "-fmad=false", "--expt-relaxed-constexpr", "-Xcompiler=-fvisibility=hidden", TARGET]
CHOICES = ("auto", "python", "cpu", "cuda")


def say(text: str) -> None:
    """Tell whoever builds; pip shows it with -v and when a build fails."""
    print(f"[dusnet build] {text}", file=sys.stderr, flush=True)  # noqa: T201


class BuildWithConfigs(build_py):
    """Puts `configs/` of the source tree into the package, too; an editable install reads them where they are."""

    def run(self) -> None:
        """Build the package, then copy the configurations."""
        super().run()
        if not self.editable_mode:
            for source, target in self._configs():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What is written, for wheels and for uninstalling."""
        return [*super().get_outputs(include_bytecode), *(target for _, target in self._configs())]

    def _configs(self) -> list[tuple[str, str]]:
        found = sorted(path.relative_to(ROOT) for path in (ROOT / CONFIGS).rglob("*.yaml"))
        return [(str(path), str(Path(self.build_lib) / "dusnet" / path)) for path in found]


def import_torch() -> Any:
    """The torch to build against, or None with an explanation."""
    try:
        import torch
    except ImportError:
        say(
            "torch is not importable here (an isolated build does not see it): installing without compiled ops, the "
            "plain-torch ones run instead. For the compiled ones: install torch, then "
            "`pip install --no-build-isolation .`"
        )
        return None
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < OLDEST_TORCH:
        say(f"torch {torch.__version__} is older than 2.11, which the compiled ops need: installing without them.")
        return None
    return torch


def find_compiler() -> str | None:
    """The C++ compiler that the build will use."""
    named = os.environ.get("CXX", "").split()
    return shutil.which(named[0]) if named else shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def resolve(asked: str) -> str:
    """What DUSNET_BUILD comes to on this machine: python, cpu or cuda."""
    if asked not in CHOICES:
        raise SystemExit(f"DUSNET_BUILD must be one of {', '.join(CHOICES)}, got {asked!r}.")
    if asked == "python":
        return "python"
    torch = import_torch()
    if torch is None:
        if asked != "auto":
            raise SystemExit(f"DUSNET_BUILD={asked} needs torch 2.11 or newer at build time; see the note above.")
        return "python"
    from torch.utils.cpp_extension import CUDA_HOME

    compiler = find_compiler()
    has_cuda = torch.version.cuda is not None and CUDA_HOME is not None
    say(f"torch {torch.__version__}, CUDA {torch.version.cuda}, toolkit {CUDA_HOME}, C++ compiler {compiler}")
    if asked == "cuda" and not has_cuda:
        raise SystemExit("DUSNET_BUILD=cuda needs a CUDA build of torch and a CUDA toolkit (set CUDA_HOME).")
    if compiler is None:
        if asked != "auto":
            raise SystemExit(f"DUSNET_BUILD={asked} needs a C++ compiler; install g++ or set CXX.")
        say("NOTE: no C++ compiler was found: installing without compiled ops, the plain-torch ones run instead.")
        return "python"
    return "cuda" if has_cuda and asked in ("auto", "cuda") else "cpu"


def default_architectures(cuda_version: str) -> str:
    """GPU generations to compile for, as far as the toolkit knows them.

    Without a list and without a visible GPU, torch's build fails with an IndexError.
    """
    major, minor = (int(part) for part in cuda_version.split(".")[:2])
    return "7.5;8.0;8.6;8.9;9.0;10.0;12.0+PTX" if (major, minor) >= (12, 8) else "7.5;8.0;8.6;8.9;9.0+PTX"


def extensions(build: str) -> tuple[list[Any], dict[str, Any]]:
    """The extension modules and build commands of a kind of build."""
    if build == "python":
        return [], {}
    import torch
    from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension

    folders = [SOURCES / "include", SOURCES / "cpu"]
    sources = [
        SOURCES / "bindings.cpp",
        *sorted(path.relative_to(ROOT) for path in (ROOT / SOURCES / "cpu").glob("*.cpp")),
    ]
    flags: dict[str, list[str]] = {"cxx": list(HOST_FLAGS)}
    kind = CppExtension
    if build == "cuda":
        kind = CUDAExtension
        folders.append(SOURCES / "cuda")
        sources += sorted(path.relative_to(ROOT) for path in (ROOT / SOURCES / "cuda").glob("*.cu"))
        flags = {"cxx": [*HOST_FLAGS, "-DUSE_CUDA"], "nvcc": [*CUDA_FLAGS, "-DUSE_CUDA"]}
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", default_architectures(str(torch.version.cuda)))
        say(f"TORCH_CUDA_ARCH_LIST={os.environ['TORCH_CUDA_ARCH_LIST']}")
    headers = [str(path.relative_to(ROOT)) for path in (ROOT / SOURCES).rglob("*.h")]
    extension = kind(
        name="dusnet._C",
        sources=[str(path) for path in sources],
        include_dirs=[str(ROOT / folder) for folder in folders],
        extra_compile_args=flags,
        depends=headers,
        py_limited_api=limited_api(),
    )
    return [extension], {"build_ext": BuildExtension.with_options(no_python_abi_suffix=not limited_api())}


def limited_api() -> bool:
    """Whether one binary can serve all Python versions: not on free-threaded Python."""
    return not sysconfig.get_config_var("Py_GIL_DISABLED")


if __name__ == "__main__":
    asked = os.environ.get("DUSNET_BUILD", "auto")
    build = resolve(asked)
    say(f"DUSNET_BUILD={asked} resolves to {build}, limited Python API: {build != 'python' and limited_api()}")
    modules, commands = extensions(build)
    options = {"bdist_wheel": {"py_limited_api": "cp310"}} if modules and limited_api() else {}
    setup(ext_modules=modules, cmdclass={"build_py": BuildWithConfigs, **commands}, options=options)
