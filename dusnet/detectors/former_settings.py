"""Settings that older versions had, and what to say to somebody who still gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dusnet.errors import BadConfig

RENAMED = {"scoring.doubt": "scoring.defect_weight"}
FIXED: dict[str, Any] = {
    "registration.hypotheses": 8,
    "registration.accept_fitness": 0.97,
    "loss.repulsion_h": 0.03,
    "loss.repulsion_neighbors": 5,
    "memory.normal_neighbors": 10,
    "memory.radius_neighbors": 100,
    "memory.reweighting": 3,
    "features.normal_neighbors": 10,
    "pbas.projector_decay": 1e-5,
    "pbas.discriminator_decay": 1e-2,
    "crr.fourier_octaves": 4,
    "crr.radius": [0.06, 0.3],
    "crr.amplitude": [0.02, 0.1],
}
"""Settings that became constants, with the value that they have now; whoever gives settings may name this value."""
SWITCH = "guide.enabled"
"""Chose between the two detectors `dusnet` and `dusnet_paper`, when both had the name of the first."""
QUANTILE = "memory.quantile"
"""The object score of `located_memory` when the peers with a memory did not read `scoring.pooling`."""


def without_constants(tree: Any, source: str) -> Any:
    """Settings that somebody gives, without those that are constants now and are given with their value.

    Args:
        tree: section -> key -> value; anything else comes back as it is, and is refused where it is validated.
        source: where it came from, for the error message.

    Raises:
        BadConfig: a setting that is a constant now has another value, or a setting has a former name.
    """
    if not isinstance(tree, Mapping):
        return tree
    made: dict[str, Any] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
    for key in (SWITCH, QUANTILE, *RENAMED, *FIXED):
        section, _, last = key.partition(".")
        if not isinstance(made.get(section), dict) or last not in made[section]:
            continue
        value = made[section].pop(last)
        if key not in FIXED or not _same(value, FIXED[key]):
            raise BadConfig(f"Setting {key} in {source} {_advice(key)}.")
    return made


def _advice(key: str) -> str:
    """What became of a setting, as the end of a sentence."""
    if key == SWITCH:
        return (
            "became two detectors: choose dusnet for the guided networks or dusnet_paper for networks that are "
            "trained on the part, with --detector or the setting detector"
        )
    if key == QUANTILE:
        return (
            "became the rule that all detectors share: give scoring.pooling=quantile and, as "
            "scoring.pooling_fraction, 1 less the quantile"
        )
    if key in RENAMED:
        return f"is called {RENAMED[key]} now; rename it"
    return f"is no setting any more and always {FIXED[key]}; leave it out"


def _same(value: Any, fixed: float | list[float]) -> bool:
    """Whether a setting has this value, written in any way that a number is read from (YAML reads `1e-5` as text)."""
    given, expected = (one if isinstance(one, list | tuple) else [one] for one in (value, fixed))
    try:
        return [float(one) for one in given] == expected
    except (TypeError, ValueError, OverflowError):
        return False
