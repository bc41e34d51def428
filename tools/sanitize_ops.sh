#!/usr/bin/env bash
# Compiles the CPU ops with the address and undefined-behaviour sanitizers in a folder of its own and runs their tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository="$PWD"
python="$repository/.venv/bin/python"

if ! command -v g++ >/dev/null || [ "$(uname -s)" != Linux ]; then
    echo "sanitize: needs g++ on Linux, the ops were not checked"
    exit 0
fi
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cp -r cuda_ops dusnet setup.py pyproject.toml README.md "$folder/"
mkdir -p "$folder/tests"
cp -r tests/ops tests/conftest.py "$folder/tests/"
find "$folder/dusnet" -name '_C*' -delete

cd "$folder"
export CC=gcc CXX=g++ CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1"
export LDFLAGS="-fsanitize=address,undefined"
DUSNET_BUILD=cpu "$python" setup.py -q build_ext --inplace >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
unset CFLAGS LDFLAGS

# torch and Python are not instrumented: their leaks are not ours, and the runtimes must be there first.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
export LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)"
export PYTHONPATH="$folder" DUSNET_OPS=native
"$python" -c "from dusnet import ops; assert ops.status().binary.is_relative_to('$folder'), ops.status()"
for simd in baseline auto; do
    DUSNET_SIMD="$simd" "$python" -m pytest -q -p no:cacheprovider tests/ops/test_ops_equality.py \
        tests/ops/test_ops_neighbors.py tests/ops/test_ops_farthest.py tests/ops/test_ops_index.py tests/ops/test_ops_distances.py
done
