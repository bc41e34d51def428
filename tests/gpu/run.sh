#!/usr/bin/env bash
# Everything that needs a GPU, in one call on a bare machine: torch 2.11 or newer built for CUDA, nvcc and pytest; no
# network. Builds the ops in a copy, compares them with the CPU, looks for wrong memory accesses and races, and times
# them.
#
#   tests/gpu/run.sh [RESULTS]        PYTHON=python3 names the interpreter
set -euo pipefail
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
results="$(mkdir -p "${1:-gpu-results}" && cd "${1:-gpu-results}" && pwd)"
python="${PYTHON:-python3}"

fail() { echo "gpu: $*" >&2; exit 1; }
"$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null || fail "torch sees no CUDA device"
command -v nvcc >/dev/null || fail "nvcc is not on the PATH"
"$python" -c 'import pytest, scipy' 2>/dev/null || fail "pytest and SciPy are needed"

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cp -r "$repository"/{cuda_ops,dusnet,benchmarks,setup.py,pyproject.toml,README.md} "$folder/"
mkdir -p "$folder/tests"
cp -r "$repository"/tests/{ops,conftest.py} "$folder/tests/"
find "$folder/dusnet" -name '_C*' -delete
cd "$folder"
export PYTHONPATH="$folder" DUSNET_OPS=native

echo "gpu: building for the GPU of this machine"
capability="$("$python" -c 'import torch; print("{}.{}".format(*torch.cuda.get_device_capability()))')"
TORCH_CUDA_ARCH_LIST="$capability" DUSNET_BUILD=cuda "$python" setup.py -q build_ext --inplace \
    >"$results/build.log" 2>&1 || { tail -n 40 "$results/build.log"; fail "the ops did not build"; }
"$python" - <<'PYTHON' | tee "$results/machine.txt"
import torch
from dusnet import ops
print(torch.__version__, torch.cuda.get_device_name(), ops.status())
assert ops.status().backend == "cuda"
PYTHON

failed=0
echo "gpu: comparing with the CPU"
"$python" -m pytest -q -p no:cacheprovider tests/ops/test_ops_cuda.py -k device 2>&1 | tee "$results/tests.log" || failed=1

if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        echo "gpu: $tool"
        compute-sanitizer --tool "$tool" --error-exitcode 9 --log-file "$results/$tool.log" \
            "$python" -m pytest -q -p no:cacheprovider tests/ops/test_ops_cuda.py -k "device and not large" \
            >"$results/$tool.out" 2>&1 || { tail -n 20 "$results/$tool.log"; failed=1; }
    done
else
    echo "gpu: compute-sanitizer is not installed, memory and races were not looked at"
fi

echo "gpu: timing"
"$python" - <<'PYTHON' | tee "$results/ops.md"
from dusnet.evaluation.speed import FULL, as_markdown, time_ops
from dusnet.progress import Silent
print(as_markdown(time_ops([FULL], "cuda", Silent())))
PYTHON
"$python" benchmarks/paper_cost.py --device cuda --runs 10 2>&1 | tee "$results/paper.md" || failed=1
"$python" benchmarks/step_cost.py --device cuda --variants plain bf16 compile 2>&1 | tee "$results/steps.md" || failed=1
exit "$failed"
