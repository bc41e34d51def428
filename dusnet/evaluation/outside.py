"""A hash of the code of detectors from outside this package: what their rows depend on besides settings.

What is hashed are the source files of the modules that define the class of a detector and of those that they use,
except the standard library, installed packages and this package; and the numbers and words that it was made with.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

_INSTALLED = ("site-packages", "dist-packages")
_PLAIN = (type(None), bool, int, float, complex, str, bytes, Path)
_PACKAGE = __name__.partition(".")[0]


def is_outside(thing: object) -> bool:
    """Whether a class or function is defined outside of this package."""
    return _top(str(getattr(thing, "__module__", ""))) != _PACKAGE


def code_mark(create: Callable[..., Any], made: object) -> str | None:
    """A hash of the code of a detector.

    Args:
        create: what makes it.
        made: a detector that it made.

    Returns:
        Hexadecimal digits; None where the source of some of the code cannot be found, as of code typed at a prompt.
    """
    digest = hashlib.sha256()
    kinds = _describe(made, digest, set())
    if not kinds:  # a detector of this package, made by a function from outside
        for text in _texts_of(create, set()):
            digest.update(text)
    files = _files_of(kinds or [create])
    if files is None:
        return None
    for content in sorted(hashlib.sha256(file.read_bytes()).digest() for file in files):
        digest.update(content)
    return digest.hexdigest()


def _describe(made: object, digest: Any, seen: set[int]) -> list[type]:
    """Put an object from outside and its parts into a hash; returns their classes."""
    own = type(made).__module__
    if id(made) in seen or not _is_followed(own, first=not seen):
        return []
    seen.add(id(made))
    kinds = [one for one in type(made).__mro__ if _top(one.__module__) == _top(own) or _is_followed(one.__module__)]
    for kind in kinds:
        for text in _texts_of([kind, *(value for _, value in sorted(vars(kind).items()))], set()):
            digest.update(text)
    for name, value in sorted(getattr(made, "__dict__", {}).items()):
        if isinstance(value, bool):
            continue  # flags are often states, not settings
        if _is_plain(value):
            digest.update(f"{name} {value!r}".encode())
        else:
            kinds += _describe(value, digest, seen)
    return kinds


def _is_followed(name: str, *, first: bool = False) -> bool:
    """Whether a module is hashed: none of Python or of this package; an installed one only as the `first`."""
    if _top(name) == _PACKAGE or _top(name) in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return first or file is None or not any(part in _INSTALLED for part in Path(file).parts)


def _is_plain(value: object) -> bool:
    """Whether a value is a setting of an object; lists are filled later."""
    if isinstance(value, tuple | frozenset):
        return all(_is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(_is_plain(one) for pair in value.items() for one in pair)
    return isinstance(value, _PLAIN)


def _texts_of(thing: object, seen: set[int]) -> Iterator[bytes]:
    """What a function does and what is written into it: its code, defaults and the values that it keeps hold of."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, _PLAIN):
        yield repr(thing).encode()
    elif isinstance(thing, list | tuple | set | frozenset):
        for one in thing:
            yield from _texts_of(one, seen)
    elif isinstance(thing, Mapping):
        yield from _texts_of(list(thing.items()), seen)
    elif isinstance(thing, partial):
        yield from _texts_of((thing.func, thing.args, thing.keywords), seen)
    elif isinstance(thing, MethodType | staticmethod | classmethod):
        yield from _texts_of(thing.__func__, seen)
    elif isinstance(thing, property):
        yield from _texts_of((thing.fget, thing.fset), seen)
    elif isinstance(thing, CodeType):
        yield thing.co_code + repr(thing.co_names).encode()
        yield from _texts_of(thing.co_consts, seen)
    elif isinstance(thing, FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if _is_full(cell)]
        yield from _texts_of((thing.__code__, thing.__defaults__, thing.__kwdefaults__, *cells), seen)
    elif isinstance(thing, type):
        yield f"{thing.__module__}.{thing.__qualname__}".encode()


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _files_of(things: Iterable[object]) -> set[Path] | None:
    """Source files of the modules of some things and of what these import, None where one of the first has none."""
    waiting = [_module_of(thing) for thing in things]
    first = set(waiting)
    own = {_top(name) for name in first}
    seen: set[str] = set()
    files: set[Path] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or not _is_followed(name, first=_top(name) in own):
            continue
        seen.add(name)
        file = _file_of(name)
        if file is not None:
            files.add(file.resolve())
            waiting += _imports_of(file, name)
        elif name in first:
            return None
    return files


def _module_of(thing: object) -> str:
    if isinstance(thing, partial):
        return _module_of(thing.func)
    named = isinstance(thing, type | FunctionType | MethodType)
    return str(thing.__module__ if named else type(thing).__module__)


def _file_of(name: str) -> Path | None:
    """The file of a module, whether or not it was imported yet; None where there is none."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None and name not in sys.modules:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return None
        file = None if spec is None else spec.origin
    return Path(file) if file is not None and Path(file).is_file() else None


def _imports_of(file: Path, name: str) -> list[str]:
    """Names that the source of a module may import, wherever in it; some are no modules."""
    if file.suffix != ".py":
        return []
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return []
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = [package] if package else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found += [base, *(f"{base}.{one.name}" for one in node.names)]
    return [one for one in found if one.strip(".")]


def _top(name: str) -> str:
    return name.partition(".")[0]
