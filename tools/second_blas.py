"""Print the name of an OpenBLAS kernel that this machine can run and that rounds unlike its own.

`OPENBLAS_CORETYPE` set to that name makes NumPy and SciPy compute as they do on another processor. What a kernel does
decides, not its name: several processors share kernels, and a kernel of wider instructions ends the process.
Exit code 1 and a sentence where there is none (NumPy with another BLAS).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

CANDIDATES = ("Haswell", "Prescott", "Sandybridge", "ARMV8", "NEOVERSEN1")

# Products and factors of matrices that are wider than a vector of any processor.
DIGEST = """
import hashlib
import numpy as np
import scipy.linalg
matrix = np.random.default_rng(0).normal(size=(200, 100))
made = [matrix.T @ matrix, matrix.astype(np.float32).T @ matrix.astype(np.float32), scipy.linalg.lu_factor(matrix)[0]]
print(hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in made)).hexdigest())
"""


def digest(kernel: str | None) -> str | None:
    """What a process of that kernel computes, or None where it cannot run; None is the machine's own kernel."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    if kernel is not None:
        environment["OPENBLAS_CORETYPE"] = kernel
    done = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def second_kernel() -> str | None:
    """The first candidate that runs and does not compute as the machine's own kernel."""
    own = digest(None)
    for kernel in CANDIDATES:
        found = digest(kernel)
        if found is not None and found != own:
            return kernel
    return None


def main() -> int:
    """Print the kernel."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    kernel = second_kernel()
    if kernel is None:
        sys.stderr.write("second_blas: no OpenBLAS kernel computes unlike this machine's own.\n")
        return 1
    sys.stdout.write(f"{kernel}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
