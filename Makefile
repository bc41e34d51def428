# Every path is relative, so that the folder may have any name, spaces included.
#
#   make demo     set up once, then train and score on the embedded benchmark
#   make test     set up once, then every check: lint, format, types, tests
#   make bench    race the point-cloud ops against other packages, in an environment of its own
#   make docs     build the documentation site into site/
#   make unit-blas  the numeric tests as on another processor: with a second BLAS kernel
#
# Variables: PYTHON, TORCH, DUSNET_BUILD (see tools/setup_environment.sh), DEMO_OUT, DEMO_BUDGET, PYTEST_ARGS, BENCH_SIZES;
# OMP_NUM_THREADS is the number of threads of each test process, 1 unless it is set.

SHELL := /bin/bash
PY := .venv/bin/python
STAMP := .venv/.dusnet-ready
NATIVE := $(shell find cuda_ops -type f 2>/dev/null)

PYTHON ?= python3
TORCH ?=
DUSNET_BUILD ?= auto
DEMO_OUT ?= demo
DEMO_BUDGET ?= full
PYTEST_ARGS ?=
BENCH_SIZES ?= full
OMP_NUM_THREADS ?= 1
# Tests whose figures pass through BLAS or LAPACK.
NUMERIC_TESTS := $(addprefix tests/,cad detectors geometry inspection nn registration training)
export PYTHON TORCH DUSNET_BUILD

.DEFAULT_GOAL := help
.PHONY: help setup demo bench test lint types unit unit-long unit-blas cuda-check sanitize docs format clean distclean

help:
	@echo "make demo     train and score on the embedded benchmark (results in $(DEMO_OUT)/)"
	@echo "make bench    race the point-cloud ops against other packages"
	@echo "make test     lint, format check, types and tests"
	@echo "make docs     build the documentation site into site/"
	@echo "make unit-blas   the numeric tests with a second BLAS kernel"
	@echo "make cuda-check  compile the CUDA sources with nvcc, to object files"
	@echo "make sanitize    run the tests of the ops under sanitizers"
	@echo "make setup    only make the environment .venv"
	@echo "make format   rewrite the sources in the project's format"
	@echo "make clean    remove caches and build products; make distclean removes .venv and the demo too"

setup: $(STAMP)

# Also made anew when a C++ or CUDA source changes: the editable install compiles them.
$(STAMP): pyproject.toml setup.py requirements/torch.txt tools/setup_environment.sh $(NATIVE)
	@bash tools/setup_environment.sh
	@touch $(STAMP)

demo: $(STAMP)
	@$(PY) -m dusnet demo --out "$(DEMO_OUT)" --budget "$(DEMO_BUDGET)"

# Waiting threads must not spin: the peers bring thread pools of their own.
bench: $(STAMP)
	@bash tools/setup_bench_environment.sh
	@OMP_WAIT_POLICY=passive .venv-bench/bin/python -m dusnet bench ops --sizes "$(BENCH_SIZES)"

test: lint types unit

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(STAMP)
	@$(PY) -m mypy

# A process per core; with one thread each they do not wait for one another.
unit: $(STAMP)
	@OMP_NUM_THREADS=$(OMP_NUM_THREADS) $(PY) -m pytest -n logical --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

# What takes so long that nobody waits for it while working.
unit-long: $(STAMP)
	@OMP_NUM_THREADS=$(OMP_NUM_THREADS) $(PY) -m pytest -n logical --maxprocesses 8 --dist load -m 'long and not slow' $(PYTEST_ARGS)

# MKL, which torch brings, is told to round otherwise, too.
unit-blas: $(STAMP)
	@kernel="$$($(PY) tools/second_blas.py)" || exit 0; echo "numeric tests with OPENBLAS_CORETYPE=$$kernel"; \
	OPENBLAS_CORETYPE="$$kernel" MKL_CBWR=COMPATIBLE OMP_NUM_THREADS=$(OMP_NUM_THREADS) \
	$(PY) -m pytest -n logical --maxprocesses 8 --dist loadfile $(PYTEST_ARGS) $(NUMERIC_TESTS)

# No GPU and no CUDA build of torch needed; without nvcc there is nothing to check.
cuda-check: $(STAMP)
	@if command -v nvcc >/dev/null; then $(PY) cuda_ops/compile_check.py; \
	else echo "cuda-check: nvcc is not installed, the CUDA sources were not compiled"; fi

# The tests of the ops under the address and undefined-behaviour sanitizers.
sanitize: $(STAMP)
	@bash tools/sanitize_ops.sh

# Strict: a dead link, a page outside of the navigation or a name without documentation ends it. Runs the notebooks.
docs: $(STAMP)
	@$(PY) -m mkdocs build --quiet --site-dir site

format: $(STAMP)
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean:
	@rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
	@find dusnet tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	@rm -rf .venv .venv-bench "$(DEMO_OUT)"
	@find dusnet -name '_C*.so' -delete
