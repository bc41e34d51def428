"""YAML of settings: words, numbers, lists and sections, read in time in proportion to the text whatever is in it.

YAML has more than settings need: aliases that repeat values, dates, sets, tags of programs. What settings do not need
is refused here, once for all files and for every `--set`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dusnet.errors import BadConfig

LARGEST = 256 * 1024
"""Bytes of a text; the largest file that the package brings has 34,000."""
MOST_VALUES = 20_000
"""Values in a text, each counted as often as it is repeated by an alias."""
DEEPEST = 24
"""Levels of lists and sections in each other; settings have three."""
LONGEST = 8192
"""Characters of a value: twice the longest path of a file."""
LARGEST_WHOLE = 2**63 - 1
"""The largest whole number that every library behind the settings can hold."""
_SHOWN = 80


class BadYaml(ValueError):
    """Why a text holds no settings, as the second half of a sentence about it."""


def read_yaml(path: Path, what: str) -> Any:
    """What a YAML file holds.

    Args:
        path: the file.
        what: the thing to name in an error, such as its path.

    Raises:
        BadConfig: the file cannot be read, is no text, or holds what settings cannot hold.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise BadConfig(f"{what} cannot be read ({error.strerror}); check the path and its permissions.") from error
    try:
        return parse_yaml(data.decode("utf-8") if len(data) <= LARGEST else " " * len(data))
    except UnicodeDecodeError as error:
        raise BadConfig(f"{what} is not UTF-8 text; give a YAML file of settings.") from error
    except BadYaml as error:
        raise BadConfig(f"{what} {error}.") from error


def parse_yaml(text: str) -> Any:
    """The value of a YAML text: None, bool, int, float, str, and lists and dicts of them with words as keys.

    No two places of the value share a list or a dict.

    Raises:
        BadYaml: the text is no YAML, or holds what settings cannot hold.
    """
    if len(text) > LARGEST:
        raise BadYaml(f"is longer than the {LARGEST // 1024} KiB that settings can have; give a YAML file of settings")
    try:
        return _copied(yaml.load(text, _Loader))
    except yaml.MarkedYAMLError as error:
        raise BadYaml(f"is not valid YAML{_line(error.problem_mark)}; correct it and try again") from error
    except yaml.YAMLError as error:  # characters that no text has
        raise BadYaml("is not valid YAML; correct it and try again") from error


def shown(value: object) -> str:
    """A value for an error message: as Python writes it, and not longer than a line."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"a {type(value).__name__} of more digits than can be written"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def require_plain(tree: object) -> None:
    """Check that a tree that did not come from YAML holds no more than one from YAML can.

    Raises:
        BadYaml: it is too deep or too big, a key is no word, or a whole number is out of range.
    """
    waiting: list[tuple[object, int]] = [(tree, 1)]
    seen = 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            raise BadYaml(_too_deep() if depth > DEEPEST else _too_many())
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str) or not key.isprintable():
                    raise BadYaml(f"has the key {shown(key)}, which is no word; settings are named by words")
            waiting += [(one, depth + 1) for one in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(one, depth + 1) for one in value]
        elif isinstance(value, int) and abs(value) > LARGEST_WHOLE:
            raise BadYaml(_out_of_range())


class _Loader(yaml.SafeLoader):
    """A SafeLoader that keeps count, and that knows the kinds of values that settings have.

    It refuses a key that is given twice as well; YAML itself would silently keep the last.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth, self._values = 0, 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        alias = self.peek_event() if self.check_event(yaml.AliasEvent) else None  # type: ignore[no-untyped-call]
        before = self._values
        self._depth += 1
        if self._depth > DEEPEST:
            raise BadYaml(_too_deep())
        node = super().compose_node(parent, index)
        self._depth -= 1
        if alias is None:
            self._values += 1
            self._sizes[id(node)] = self._values - before
        elif id(node) in self._sizes:
            self._values += self._sizes[id(node)]
        else:  # it is not complete yet
            raise BadYaml(f"holds a value that contains itself{_line(alias.start_mark)}; write the values out")
        if self._values > MOST_VALUES:
            raise BadYaml(_too_many())
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if len(node.value) > LONGEST:
            raise BadYaml(
                f"holds a value of {len(node.value)} characters{_line(node.start_mark)}, more than the {LONGEST} that "
                "a setting can have; shorten it"
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in mapping.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise BadYaml(
                        f"gives {shown(key.value)} twice in one section{_line(key.start_mark)}; keep one of them"
                    )
                seen.add(key.value)
        return mapping

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        # Lists and sections are made at once, so that the merging of sections ends where the counting did.
        del deep
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            self.flatten_mapping(node)
            for key, _ in node.value:
                if key.tag != "tag:yaml.org,2002:str":
                    raise BadYaml(
                        f"has a key that is no word{_line(key.start_mark)}; settings are named by words, and a word "
                        "that YAML takes for something else needs quotes"
                    )
        try:
            return super().construct_object(node, deep=True)
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
            if isinstance(error, BadYaml):
                raise
            raise BadYaml(
                f"holds {shown(getattr(node, 'value', ''))}{_line(node.start_mark)}, which is not what its tag "
                f"{node.tag.rpartition(':')[2]} says; leave out the tag or correct the value"
            ) from error

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        """A whole number that every library can hold."""
        if len(node.value) > 100 or abs(value := int(self.construct_yaml_int(node))) > LARGEST_WHOLE:
            raise BadYaml(_out_of_range(_line(node.start_mark)))
        return value

    def refuse(self, node: yaml.Node) -> None:
        """Dates, sets, binary data and objects of programs."""
        raise BadYaml(
            f"holds a value with the tag {shown(node.tag.rpartition(':')[2])}{_line(node.start_mark)}; settings are "
            "words, numbers, lists and sections"
        )


_KINDS = ("null", "bool", "float", "str", "seq", "map")
_Loader.yaml_constructors = {
    **{f"tag:yaml.org,2002:{kind}": yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{kind}"] for kind in _KINDS},
    "tag:yaml.org,2002:int": _Loader.construct_whole,
    None: _Loader.refuse,
}
# A date is a word: no setting is one.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _copied(value: Any) -> Any:
    """The same without lists and dicts that two places share through an alias."""
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def _line(mark: Any) -> str:
    return "" if mark is None else f" (line {mark.line + 1})"


def _too_deep() -> str:
    return f"has lists or sections more than {DEEPEST} deep in each other; settings need three"


def _too_many() -> str:
    return f"stands for more than {MOST_VALUES} values; settings need far fewer"


def _out_of_range(line: str = "") -> str:
    return f"holds a whole number beyond 64 bits{line}; give a smaller one"
