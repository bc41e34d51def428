"""How far every limit of the tests lies from what it limits, in standard deviations over seeds and BLAS kernels.

Every run is a pytest process with this file as its plugin. It shifts the seed of each generator of NumPy and torch and
writes both sides of every comparison in an assertion (`<`, `<=`, `>`, `>=`, equality with a floating number, wide
`pytest.approx`); no comparison ends a test. A comparison of arrays is written by its worst element. Runs have the seeds
0, 1, ... under the first kernel; the seeds below `--crossed` have the other kernels, too. Tests without floating
numbers run once, those that no seed changes once per kernel.

The table has the lines whose limit is nearer than `--near` deviations, on the plain scale or on that of the logarithm,
whichever is farther. A line that failed in a run is always there. Whether a line is statistical is for the reader to
say: a share within hard bounds, or a place that is drawn, has a spread and needs no distance.

Examples:
    python benchmarks/limit_spread.py tests/images --out spread
    python benchmarks/limit_spread.py tests/cad tests/geometry/test_slits.py --out spread --seeds 8 --near 5
    python benchmarks/limit_spread.py --out spread --near 1000      # print again what is there
"""

from __future__ import annotations

import argparse
import ast
import builtins
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
ROOT = Path(__file__).resolve().parent.parent
ORDER = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}
OF_ONE_LINE = 40  # comparisons that are kept of one line of a test: a loop may have thousands


# --- the plugin: in the process of a run -----------------------------------------------------------------------------


def numbers(value: Any) -> np.ndarray[Any, Any] | None:
    """The value as an array of floats, None where it is none."""
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None


class Recorder:
    """Writes a line of JSON per comparison to the file of the run."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.test = ""
        self.counted: dict[tuple[str, str], int] = defaultdict(int)

    def write(self, place: str, sign: str, left: float, limit: float, holds: bool, whole: bool = False) -> None:
        """Keep one comparison of the running test, if it is one of the first of its line."""
        count = self.counted[self.test, place + sign] = self.counted[self.test, place + sign] + 1
        if self.test and count <= OF_ONE_LINE:
            row = {"test": self.test, "place": place, "count": count, "sign": sign, "left": left, "limit": limit}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**row, "holds": bool(holds), "whole": whole}) + "\n")

    def compare(self, place: str, sign: str, left: Any, right: Any) -> Any:
        """Does what `left SIGN right` does, but an ordinary False becomes True once it is written."""
        functions: dict[str, Callable[[Any, Any], Any]] = {
            "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
            "==": lambda a, b: a == b,
        }  # fmt: skip
        outcome = functions[sign](left, right)
        if sign == "==" and type(right).__name__ == "ApproxScalar" and np.isscalar(left):
            tolerance, expected = float(right.tolerance), float(right.expected)
            if tolerance <= 2e-5 * max(abs(expected), 1e-9):
                return outcome
            self.write(place, "~", float(left) - expected, tolerance, outcome)
            return True
        whole = all(isinstance(one, int) for one in (left, right))
        first, second = numbers(left), numbers(right)
        if first is None or second is None or (sign == "==" and (whole or first.ndim or second.ndim)):
            return outcome
        difference = first - second
        if not difference.size:
            return outcome
        worst = int(np.argmax(difference) if sign[0] == "<" else np.argmin(difference))
        first, second = (one.reshape(-1)[worst] for one in np.broadcast_arrays(first, second))
        self.write(place, sign, float(first), float(second), bool(np.all(numbers(outcome) == 1)), whole)
        return True if isinstance(outcome, bool | np.bool_) or not getattr(outcome, "ndim", 1) else outcome


class Instrument(ast.NodeTransformer):
    """Every outermost comparison of an assertion goes through the recorder."""

    def __init__(self, path: str) -> None:
        self.path, self.asserting = path, False

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        """Comparisons within are instrumented, others are not."""
        self.asserting = True
        node.test = self.visit(node.test)
        self.asserting = False
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        """What chooses elements is no limit."""
        node.value = self.visit(node.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """A chain of comparisons becomes one call per sign."""
        if not self.asserting or any(type(one) not in ORDER for one in node.ops):
            return node
        if isinstance(node.ops[0], ast.Eq) and not self.of_floats(node.comparators[0]):
            return node
        calls: list[ast.expr] = []
        for number, (sign, left, right) in enumerate(
            zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False)
        ):
            place = f"{self.path}:{node.lineno}:{node.col_offset + number}"
            words = [ast.Constant(place), ast.Constant(ORDER[type(sign)]), left, right]
            calls.append(ast.Call(ast.Name("_limit_compare", ast.Load()), list(words), []))
        made = calls[0] if len(calls) == 1 else ast.BoolOp(ast.And(), calls)
        return ast.fix_missing_locations(ast.copy_location(made, node))

    @staticmethod
    def of_floats(node: ast.expr) -> bool:
        """Whether an equality with it is worth a row."""
        constant = isinstance(node, ast.Constant) and isinstance(node.value, float)
        return constant or "approx" in ast.unparse(node)[:14]


def shift_seeds(by: int) -> None:
    """Every generator that is made from a seed gets another one."""
    import torch

    made, seeded = np.random.default_rng, torch.manual_seed

    def default_rng(seed: Any = None) -> np.random.Generator:
        if isinstance(seed, int | np.integer):
            return made(int(seed) + 1009 * by)
        return made([*seed, by] if isinstance(seed, list | tuple) else seed)

    class Generator(torch.Generator):
        def manual_seed(self, seed: int) -> torch.Generator:
            return super().manual_seed(int(seed) + 1009 * by)

    np.random.default_rng = default_rng
    torch.Generator = Generator  # type: ignore[misc]
    torch.manual_seed = lambda seed: seeded(int(seed) + 1009 * by)


def pytest_configure(config: Any) -> None:
    """Instrument all modules of tests/ as they are imported."""
    if "LIMIT_SPREAD_OUT" not in os.environ:
        return
    import _pytest.assertion.rewrite as rewrite
    import pytest

    sys.pycache_prefix = str(Path(os.environ["LIMIT_SPREAD_OUT"]).parent / "pycache")  # apart from uninstrumented code
    recorder = Recorder(os.environ["LIMIT_SPREAD_OUT"])
    builtins._limit_compare = recorder.compare  # type: ignore[attr-defined]
    plain = rewrite.rewrite_asserts

    def instrumented(module: ast.Module, source: bytes, path: str | None = None, config: Any = None) -> None:
        if path is not None and Path(path).is_relative_to(ROOT / "tests"):
            Instrument(str(Path(path).relative_to(ROOT))).visit(module)
        plain(module, source, path, config)

    rewrite.rewrite_asserts = instrumented
    pytest.register_assert_rewrite(*{one.stem for one in (ROOT / "tests").rglob("*.py") if one.stem != "conftest"})
    if shift := int(os.environ["LIMIT_SPREAD_SEED"]):
        shift_seeds(shift)

    class Tests:
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_logstart(self, nodeid: str) -> None:
            recorder.test = nodeid

    config.pluginmanager.register(Tests())


# --- the script: all runs and their table ----------------------------------------------------------------------------


def run(tests: list[str], out: Path, kernel: str, seed: int) -> Path:
    """One process; what is there already is not run again."""
    from blas_spread import KERNELS

    rows = out / f"{kernel}-{seed}.jsonl"
    if not rows.is_file():
        part = rows.with_suffix(".part")
        part.unlink(missing_ok=True)
        names = out / "tests.txt"
        names.write_text("\n".join(tests) + "\n")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **KERNELS[kernel]}
        environment |= {"LIMIT_SPREAD_OUT": str(part), "LIMIT_SPREAD_SEED": str(seed)}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        words = ["-p", "limit_spread", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", f"@{names}"]
        part.touch()
        subprocess.run([sys.executable, "-m", "pytest", *words], env=environment, cwd=ROOT, check=False)
        part.rename(rows)
    return rows


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def deviations(sign: str, left: np.ndarray[Any, Any], limit: np.ndarray[Any, Any]) -> float:
    """How many standard deviations of the difference the limit lies away; infinite where nothing scatters."""

    def away(difference: np.ndarray[Any, Any]) -> float:
        spread = float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
        return float(difference.mean()) / spread if spread > 1e-9 * max(1e-3, float(np.abs(left).max())) else np.inf

    if sign == "==":
        return np.inf if (left == limit).all() else 0.0
    if sign == "~":
        return away(limit - np.sign(left.mean()) * left)
    turn = -1 if sign[0] == "<" else 1
    positive = (left > 0).all() and (limit > 0).all()
    return max(away(turn * (left - limit)), away(turn * np.log(left / limit)) if positive else -np.inf)


def table(files: list[Path], near: float) -> None:
    """Print the lines whose limit is nearer than that: the case of each that is the nearest."""
    found: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    for file in files:
        for row in rows_of(file):
            found[row["place"], row["sign"], row["test"], row["count"]][file.stem] = row
    lines: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for (place, sign, test, _count), rows in found.items():
        left, limit = (np.array([one[name] for one in rows.values()]) for name in ("left", "limit"))
        failed = [name for name, one in rows.items() if not one["holds"]]
        away = deviations(sign, left, limit)
        lines[place, sign].append((-1.0 if failed else away, test, left, limit, failed))
    sources: dict[str, list[str]] = {}
    for (place, sign), cases in sorted(lines.items(), key=lambda one: (one[0][0].split(":")[0], _line(one[0][0]))):
        away, test, left, limit, failed = min(cases, key=lambda one: one[0])
        if not away < near:
            continue
        path, line = place.split(":")[:2]
        text = sources.setdefault(path, (ROOT / path).read_text().splitlines())[int(line) - 1].strip()
        print(f"{path}:{line} {text[:110]}")
        what = " ".join(f"{one.mean():.4g} ({one.std(ddof=1) if len(one) > 1 else 0:.2g})" for one in (left, limit))
        print(
            f"    {away:.1f} deviations, {len(left)} runs: {what} [{left.min():.4g}, {left.max():.4g}] {sign}", end=" "
        )
        print(f"{test.split('::')[-1]}, {len(cases)} cases{' FAILED ' + ' '.join(failed) if failed else ''}")


def _line(place: str) -> tuple[int, int]:
    line, column = place.split(":")[1:]
    return int(line), int(column)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", help="folders, files or names of tests, as pytest takes them")
    parser.add_argument("--out", type=Path, required=True, help="work folder; runs that are in it are not run again")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--crossed", type=int, default=1, help="seeds that run under every kernel")
    parser.add_argument("--near", type=float, default=4.0, help="deviations; limits that are nearer are printed")
    chosen = parser.parse_args()
    if chosen.tests:
        from blas_spread import KERNELS

        chosen.out.mkdir(parents=True, exist_ok=True)
        out, (own, *others) = chosen.out.resolve(), KERNELS
        first = rows_of(run(chosen.tests, out, own, 0))
        floating = list(dict.fromkeys(row["test"] for row in first if not row["whole"]))
        again = floating and chosen.seeds > 1
        second = {json.dumps(row) for row in rows_of(run(floating, out, own, 1))} if again else set()
        scattered = {row["test"] for row in first if not row["whole"] and json.dumps(row) not in second}
        runs = [(own, seed) for seed in range(2, chosen.seeds)]
        runs += [(kernel, seed) for seed in range(chosen.crossed) for kernel in others]
        for kernel, seed in runs:
            tests = [one for one in floating if seed == 0 or one in scattered]
            if tests:
                run(tests, out, kernel, seed)
    table(sorted(chosen.out.glob("*.jsonl")), chosen.near)


if __name__ == "__main__":
    main()
