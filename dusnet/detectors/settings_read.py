"""Which detector reads which settings; one that is given and not read is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dusnet.config import named_configs, read_tree
from dusnet.detectors.former_settings import FIXED
from dusnet.detectors.registry import DETECTORS, detector_class
from dusnet.detectors.settings import Settings, settings_from
from dusnet.errors import BadConfig


def sections_read(name: str, *, together: bool = False) -> frozenset[str]:
    """The settings that a detector reads: sections, and `section.key` where it reads that one of a section.

    Args:
        name: as for `detector_class`.
        together: whether one model learns several parts.

    Raises:
        BadConfig: there is no detector of that name.
    """
    own = detector_class(name).settings_sections
    return own | {"parts"} if together else own


def read_by(settings: Settings, sections: frozenset[str]) -> dict[str, Any]:
    """The values of the settings that some sections name, as JSON."""
    include: dict[str, Any] = {}
    for one in sorted(sections):  # a section comes before its keys
        *outer, last = one.split(".")
        node: Any = include
        for section in outer:
            node = node if node is True else node.setdefault(section, {})
        if node is not True:
            node[last] = True
    return settings.model_dump(mode="json", include=include)


def asked_settings(
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    detector: str | None = None,
    *,
    beside: Sequence[str] = (),
    together: bool = False,
) -> Settings:
    """The settings that somebody asks for, of which the detector reads every one that is given.

    A configuration of the package may hold settings of several detectors; a file or a single value may not hold any
    that has no effect.

    Args:
        config: one of `dusnet.config.named_configs()`, a YAML file, or None for the defaults.
        overrides: `key.sub=value` strings.
        detector: as for `detector_class`; None leaves it to the settings.
        beside: other detectors that the same settings are given for; what one of them reads is not refused.
        together: whether one model learns several parts.

    Raises:
        BadConfig: as `load_settings` and `detector_class`, or a setting that is given is not read.
    """
    tree, source = read_tree(config, overrides)
    if detector is not None:
        tree["detector"] = detector
    settings = settings_from(tree, source)
    given = read_tree(None if config is not None and str(config) in named_configs() else config, overrides)[0]
    require_read(given, [settings.detector, *beside], together=together)
    return settings


def require_read(given: Mapping[str, Any], detectors: Sequence[str], *, together: bool = False) -> None:
    """Refuse settings that none of the chosen detectors reads.

    Args:
        given: section -> key -> value.
        detectors: names as for `detector_class`.
        together: whether one model learns several parts.

    Raises:
        BadConfig: it names one of them, and the detectors that read it.
    """
    read = frozenset[str]().union(*(sections_read(name, together=together) for name in detectors))
    for key in _leaves(given):
        if key == "detector" or key in FIXED or _is_read(key, read):
            continue
        others = [name for name in DETECTORS if _is_read(key, sections_read(name))]
        if others:
            advice = f"{', '.join(others)} {'reads' if len(others) == 1 else 'read'} it (--detector)"
        else:
            advice = "one model of several parts reads it" if key.startswith("parts.") else "no detector of scans does"
        chosen = " and ".join(dict.fromkeys(detectors))
        raise BadConfig(f"Setting {key} has no effect, because {chosen} does not read it; {advice}.")


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _is_read(key: str, sections: frozenset[str]) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in sections)
