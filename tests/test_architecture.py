"""Imports of the package: no circle between modules, and arrows between rooms that go one way."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "dusnet"
# From the bottom to the top: a room uses what lies below it, never what lies beside or above it.
FLOORS = (
    {"errors", "terminal", "words"},
    {"cloud", "colors", "open3d_import", "progress", "units"},
    {"config", "interop", "io", "ops"},
    {"geometry"},
    {"nn", "registration", "synthesis"},
    {"data", "training"},
    {"scans"},
    {"detectors"},
    {"inspection"},
    {"result"},
    {"summary"},
    {"cad", "display", "evaluation", "model"},
    {"batch", "doctor", "fitting", "images"},
    {"demo", "model_files", "watch"},
    {"cli"},
    {"__main__"},
)


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(tree: ast.AST, known: dict[str, Path], *, inside_functions: bool) -> set[str]:
    """Modules of the package that a module imports when it runs."""
    found: set[str] = set()
    waiting = list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop()
        if is_for_types(node) or (isinstance(node, ast.FunctionDef) and not inside_functions):
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dusnet":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        waiting += ast.iter_child_nodes(node)
    return found


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "dusnet"


MODULES = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: imports_of(tree, MODULES, inside_functions=False) - {name} for name, tree in TREES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_room_has_a_floor():
    rooms = {room_of(name) for name in MODULES} - {"dusnet"}
    assert rooms == set().union(*FLOORS)


def test_rooms_use_what_lies_below_them():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upwards = [
        f"{name} imports {other}"
        for name, tree in TREES.items()
        for other in imports_of(tree, MODULES, inside_functions=True)
        if room_of(other) != room_of(name) and "dusnet" not in (room_of(name), room_of(other))
        if floor[room_of(other)] >= floor[room_of(name)]
    ]
    assert upwards == []
