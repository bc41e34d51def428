"""Settings that older versions had: how files with them are read, and what to say to somebody who still gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dusnet.config import shown
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
"""Settings that became constants, with the value that they have now; files may name them with this value."""
TRAINING_ONLY = frozenset(
    {
        "loss.repulsion_h",
        "loss.repulsion_neighbors",
        "pbas.projector_decay",
        "pbas.discriminator_decay",
        "crr.radius",
        "crr.amplitude",
    }
)
"""Those of them that scoring does not read: a model that was trained with another value scores as ever."""
SWITCH = "guide.enabled"
"""Chose between the two detectors `dusnet` and `dusnet_paper`, when both had the name of the first."""
QUANTILE = "memory.quantile"
"""The object score of `located_memory` when the peers with a memory did not read `scoring.pooling`."""
_OWN_RULE = frozenset({"btf_raw", "btf_fpfh", "patchcore", "patchcore_unaligned", "simple3d", "located_memory"})
"""The peers with a memory: their models of that time name a rule in `scoring` that took no part in their scores."""


def translated(tree: Any, source: str, *, stored: bool = False, detector: str | None = None) -> Any:
    """Settings that an older version may have written, under their names of today.

    Args:
        tree: section -> key -> value; anything else comes back as it is, and is refused where it is validated.
        source: where it came from, for the error message.
        stored: they are those of a model file, in which former names are read as well; whoever gives settings is told
            the names of today.
        detector: of that model file.

    Raises:
        BadConfig: a setting that is a constant now has another value, or a setting that is given has a former name.
    """
    if not isinstance(tree, Mapping):
        return tree
    made: dict[str, Any] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
    if stored and detector in _OWN_RULE:
        _keep_own_rule(made, detector)
    for key in (SWITCH, QUANTILE, *RENAMED, *FIXED):
        section, _, last = key.partition(".")
        if not isinstance(made.get(section), dict) or last not in made[section]:
            continue
        value = made[section].pop(last)
        if key in FIXED and not _same(value, FIXED[key]):
            if stored and key in TRAINING_ONLY:
                continue
            if stored:
                raise BadConfig(f"{source} has {key} {shown(value)} and this version has always {FIXED[key]}.")
            said = f"is no setting any more and always {FIXED[key]}; leave it out"
        elif key in RENAMED:
            made[section].setdefault(RENAMED[key].partition(".")[2], value)
            said = f"is called {RENAMED[key]} now; rename it"
        elif key == SWITCH:
            said = (
                "became two detectors: choose dusnet for the guided networks or dusnet_paper for networks that are "
                "trained on the part, with --detector or the setting detector"
            )
        elif key == QUANTILE:
            said = (
                "became the rule that all detectors share: give scoring.pooling=quantile and, as "
                "scoring.pooling_fraction, 1 less the quantile"
            )
        else:
            continue
        if not stored:
            raise BadConfig(f"Setting {key} in {source} {said}.")
    return made


def _keep_own_rule(made: dict[str, Any], detector: str) -> None:
    """Take the rule out of the settings of a model of a peer with a memory that was written before it was read.

    A quantile of `located_memory` that is not its own becomes the shared one, which takes a score of the scan where it
    was interpolated between two.
    """
    memory, scoring = made.get("memory"), made.get("scoring")
    if not isinstance(memory, dict) or "views" in memory or not isinstance(scoring, dict):
        return
    scoring.pop("pooling", None)
    scoring.pop("pooling_fraction", None)
    quantile = memory.get("quantile")
    if detector == "located_memory" and isinstance(quantile, float) and 0 < quantile < 1 and quantile != 0.99:
        scoring |= {"pooling": "quantile", "pooling_fraction": 1 - quantile}


def _same(value: Any, fixed: float | list[float]) -> bool:
    """Whether a setting has this value, written in any way that a number is read from (YAML reads `1e-5` as text)."""
    given, expected = (one if isinstance(one, list | tuple) else [one] for one in (value, fixed))
    try:
        return [float(one) for one in given] == expected
    except (TypeError, ValueError, OverflowError):
        return False


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
