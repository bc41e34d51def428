"""Settings that older versions had: how files with them are read, and what to say to somebody who still gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dusnet.config import shown
from dusnet.errors import BadConfig

RENAMED = {"scoring.doubt": "scoring.defect_weight"}
FIXED: dict[str, Any] = {"registration.hypotheses": 8, "registration.accept_fitness": 0.97}
"""Settings that became constants, with the value that they have now."""
SWITCH = "guide.enabled"
"""Chose between the two detectors `dusnet` and `dusnet_paper`, when both had the name of the first."""


def refuse(tree: Any, source: str) -> None:
    """Say what has become of a setting of an older version.

    Args:
        tree: section -> key -> value.
        source: where it came from, for the error message.

    Raises:
        BadConfig: there is such a setting.
    """
    if _given(tree, SWITCH):
        raise BadConfig(
            f"Setting {SWITCH} in {source} became two detectors: choose dusnet for the guided networks or dusnet_paper "
            "for networks that are trained on the part, with --detector or the setting detector."
        )
    for key, name in RENAMED.items():
        if _given(tree, key):
            raise BadConfig(f"Setting {key} in {source} is called {name} now; rename it.")
    for key, value in FIXED.items():
        if _given(tree, key):
            raise BadConfig(f"Setting {key} in {source} is no setting any more and always {value}; leave it out.")


def translated(tree: Any, source: str) -> Any:
    """The settings of a file of an older version under their names of today.

    Args:
        tree: section -> key -> value; anything else comes back as it is, and is refused where it is validated.
        source: where it came from, for the error message.

    Raises:
        BadConfig: a setting that is a constant now has another value.
    """
    if not isinstance(tree, Mapping):
        return tree
    made: dict[str, Any] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
    for key in (SWITCH, *RENAMED, *FIXED):
        if not _given(made, key):
            continue
        section, _, last = key.partition(".")
        value = made[section].pop(last)
        if key in RENAMED:
            made[section].setdefault(RENAMED[key].partition(".")[2], value)
        elif key in FIXED and value != FIXED[key]:
            raise BadConfig(f"{source} has {key} {shown(value)} and this version has always {FIXED[key]}.")
    return made


def detector_of(metadata: Mapping[str, Any]) -> str:
    """The name that the detector of a model file has today.

    Args:
        metadata: of the file, with the name of a detector.
    """
    name: str = metadata["detector"]
    settings = metadata.get("settings")
    guide = settings.get("guide") if isinstance(settings, Mapping) else None
    unguided = isinstance(guide, Mapping) and guide.get("enabled") is False
    return "dusnet_paper" if name == "dusnet" and unguided else name


def _given(tree: Any, key: str) -> bool:
    section, _, last = key.partition(".")
    found = tree.get(section) if isinstance(tree, Mapping) else None
    return isinstance(found, Mapping) and last in found
