"""Files that somebody else has written: mutants of right ones, and what may come of them."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from dusnet.errors import DusnetError

SECONDS = 20.0
"""For one mutant, on a machine that does much else: the slowest right file takes a fiftieth of it."""
LONGEST_SENTENCE = 600
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3.5, 100, 5000, 10**9, 10**18, 2**63, 10**30, -(10**18), 10**400),
    *(0.0, -0.5, 1e-300, 1e300, float("nan"), float("inf"), "", "x", "none", "a" * 3000, "\x1b[31m\n", "1e999"),
    *([], {}, [[]], [1, 2, 3], {"a": 1}, ["x"] * 50, [float("nan")], {"": {}}),
)
TYPES = (torch.float16, torch.float64, torch.int8, torch.bool, torch.complex64, torch.bfloat16, torch.int64)


class TooLong(Exception):
    """A mutant took longer than any may."""


@contextlib.contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Ends what takes too long, where the system can."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def end(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refused_or_right(read: Callable[[], object], what: object) -> bool:
    """Whether a mutant was read; a refusal must be one sentence, and anything else is an error of the test."""
    try:
        with limited():
            read()
    except DusnetError as error:
        text = str(error)
        assert text, what
        assert "\n" not in text, (what, text)
        assert len(text) < LONGEST_SENTENCE, (what, text)
        return False
    except Exception as error:
        raise AssertionError(f"{what!r:.300} ended in {type(error).__name__}: {error!s:.200}") from error
    return True


def places_in(tree: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a tree of JSON has values."""
    if at:
        yield at
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from places_in(value, (*at, key))
    elif isinstance(tree, list):
        for key, value in enumerate(tree[:6]):
            yield from places_in(value, (*at, key))


def mutated_tree(rng: random.Random, tree: Any) -> tuple[Any, str]:
    """A tree with one or two values that are others or are gone, and what was done."""
    tree, done = copy.deepcopy(tree), []
    for _ in range(rng.choice((1, 1, 1, 2))):
        *path, last = rng.choice(list(places_in(tree)) or [("x",)])
        parent = tree
        for key in path:
            parent = parent[key]
        kind = rng.random()
        value = parent[last] if isinstance(parent, list) or last in parent else None
        if kind < 0.15:
            del parent[last]
        elif kind < 0.3 and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            parent[last] = rng.choice((-value, value * 1e6, value / 1e6, value + 1, int(value) * 2))
        elif kind < 0.36 and isinstance(parent, dict):
            parent[f"unknown{rng.random()}"] = rng.choice(VALUES)
        else:
            parent[last] = rng.choice(VALUES)
        done.append(f"{'.'.join(map(str, path))}.{last}"[-80:])
    return tree, " and ".join(done)


def mutated_text(rng: random.Random, text: str) -> str:
    """A text with a piece that is another one, is there twice, or is gone."""
    pieces = ("[", "{", "]", "}", ":", ",", '"', "'", "&a ", "*a", "!!int ", "!!timestamp ", "? ", "- ", "<<: ", "\t")
    pieces += ("\n", "#", "%", "|", "null", "NaN", "Infinity", "2001-99-99", "1:1:1", "0x" + "f" * 30, "9" * 5000)
    pieces += ("[" * 3000, "{a: " * 3000, "\x00", "\ud800", "é", "=", ".", "..", "1e999", "-.inf", "yes", "~", "@", "`")
    start = rng.randrange(len(text) + 1)
    end = min(len(text), start + rng.choice((0, 0, 1, 3, 20)))
    return text[:start] + rng.choice((rng.choice(pieces), text[start:end] * 2, "")) + text[end:]


def mutated_tensors(rng: random.Random, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Tensors of which one is another, of another shape or kind, or gone, and what was done."""
    name = rng.choice(sorted(tensors))
    value = tensors[name].clone()
    some = rng.randrange(max(1, value.numel()))
    floating = value.is_floating_point() and value.numel() > 0

    def with_value(number: float) -> Tensor:
        if floating:
            value.view(-1)[some] = number
        return value

    changes: dict[str, Callable[[], Tensor | None]] = {
        "gone": lambda: None,
        "empty": lambda: value.reshape(-1)[:0],
        "shorter": lambda: value[:-1] if value.dim() else value.reshape(1),
        "twice": lambda: torch.cat([value, value]) if value.dim() else value.repeat(2),
        "flat": lambda: value.reshape(-1),
        "of another kind": lambda: value.to(rng.choice(TYPES)),
        "one number": lambda: torch.tensor(1.0),
        "zero": lambda: torch.zeros_like(value),
        "NaN": lambda: with_value(float("nan")),
        "infinite": lambda: with_value(float("inf")),
        "huge": lambda: with_value(1e30),
        "negative": lambda: with_value(-1e3),
        "large all over": lambda: value.sign() * 9e5 if floating else value,
    }
    kind = rng.choice(sorted(changes))
    changed = changes[kind]()
    rest = {key: one for key, one in tensors.items() if key != name}
    return rest if changed is None else {**rest, name: changed}, f"{name} is {kind}"


def as_json(tree: Any) -> str:
    """JSON as a program writes it that does not care: with NaN, and with whole numbers of any size."""
    return json.dumps(tree)
