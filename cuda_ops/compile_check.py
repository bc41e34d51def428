"""Compiles every CUDA source to an object file; needs nvcc and torch's headers, no GPU and no CUDA build of torch.

python cuda_ops/compile_check.py [OUTPUT_FOLDER] [--arch 75,90,120]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = [
    "-std=c++20",
    "-O3",
    "-fmad=false",
    "--expt-relaxed-constexpr",
    "-Xcompiler=-fPIC,-fvisibility=hidden",
    "-DUSE_CUDA",
    "-DTORCH_TARGET_VERSION=0x020b000000000000",
]


def command(nvcc: str, source: Path, target: Path, architectures: list[str]) -> list[str]:
    """The nvcc call for one source."""
    import torch

    headers = Path(torch.__file__).parent / "include"
    folders = [f"-I{HERE / 'include'}", f"-I{HERE / 'cuda'}", f"-I{headers}"]
    codes = [f"-gencode=arch=compute_{one},code=sm_{one}" for one in architectures]
    return [nvcc, *codes, *FLAGS, *folders, "-c", str(source), "-o", str(target)]


def compile_all(folder: Path, architectures: list[str]) -> list[Path]:
    """Compile every .cu into `folder`; raises CalledProcessError with the compiler's output where one fails."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise FileNotFoundError("nvcc is not on the PATH; install a CUDA toolkit.")
    objects = []
    for source in sorted((HERE / "cuda").glob("*.cu")):
        target = folder / f"{source.stem}.o"
        subprocess.run(command(nvcc, source, target, architectures), check=True, capture_output=True, text=True)
        objects.append(target)
    return objects


def main() -> int:
    """Compile and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where the object files stay")
    parser.add_argument("--arch", default="90", help="GPU generations, separated by commas")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            objects = compile_all(chosen.folder or Path(temporary), chosen.arch.split(","))
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            print(getattr(error, "stderr", None) or error, file=sys.stderr)  # noqa: T201
            return 1
        for item in objects:
            print(f"{item.name}: {item.stat().st_size} bytes")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
