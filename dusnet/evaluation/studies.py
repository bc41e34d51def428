"""Studies: one detector in several variants, each a named line of the tables; the format is in docs/evaluation.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from dusnet.config import Section, configs_folder, read_yaml, tree_of
from dusnet.detectors import asked_settings, require_read
from dusnet.detectors.settings import load_settings, settings_from
from dusnet.errors import BadConfig
from dusnet.evaluation.contender import Contender, title_of
from dusnet.evaluation.corruption import Corruption
from dusnet.evaluation.markdown import number, table

_FULL_SCALE = "paper"
_TITLES: dict[Literal["o_auroc", "p_auroc"], str] = {"o_auroc": "O-AUROC", "p_auroc": "P-AUROC"}
Tree = dict[str, Any]


class Variant(Section):
    """One line of a study.

    Attributes:
        name: what the tables call it, after the detector's name.
        detector: what it is about; None is every detector of the study.
        settings: what differs from the study's other lines, in sections as in a configuration.
        small: what differs in addition where the configuration is not `paper`.
        corruption: what is done to the test scans.
        printed: what the source prints for this line.
    """

    name: str = Field(min_length=1)
    detector: str | None = None
    settings: Tree = Field(default_factory=dict)
    small: Tree = Field(default_factory=dict)
    corruption: Corruption | None = None
    printed: dict[Literal["o_auroc", "p_auroc"], float] = Field(default_factory=dict)


class Study(Section):
    """Several variants of a detector that are compared.

    Attributes:
        title: what varies.
        detector: what it is about, where nobody chooses another one; None is that of the settings.
        source: where the study was printed, None for one of our own.
        notes: how it is read here.
        settings: what all variants have in common besides the configuration.
        small: the same in addition where the configuration is not `paper`.
        variants: the lines.
    """

    title: str
    detector: str | None = None
    source: str | None = None
    notes: tuple[str, ...] = ()
    settings: Tree = Field(default_factory=dict)
    small: Tree = Field(default_factory=dict)
    variants: tuple[Variant, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _different_names(self) -> Study:
        names = [(variant.detector, variant.name) for variant in self.variants]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two variants are called {twice[1]!r}")
        return self

    @property
    def own_detectors(self) -> list[str]:
        """The detectors that its variants name, each once."""
        return list(dict.fromkeys(one.detector for one in self.variants if one.detector is not None))

    @property
    def leaves_detectors_open(self) -> bool:
        """Whether a variant is about the detectors that somebody chooses."""
        return any(one.detector is None for one in self.variants)


def named_studies() -> list[str]:
    """Names of the studies that the package brings."""
    return sorted(path.stem for path in (configs_folder() / "studies").glob("*.yaml"))


def load_study(name_or_path: str | Path) -> Study:
    """A study that the package brings, or one of your own.

    Args:
        name_or_path: one of `named_studies()` or a YAML file.

    Raises:
        BadConfig: it does not exist, is no YAML, or holds an unknown key or a wrong value.
    """
    known = str(name_or_path) in named_studies()
    path = (configs_folder() / "studies") / f"{name_or_path}.yaml" if known else Path(name_or_path)
    if not path.is_file():
        raise BadConfig(
            f"There is no study or file {str(name_or_path)!r}; use a YAML file or one of {', '.join(named_studies())}."
        )
    tree = read_yaml(path, f"Study {path}")
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "it"
        raise BadConfig(
            f"{key} in study {path} is wrong: {problem['msg'].rstrip('.')}; see docs/evaluation.md for the format."
        ) from error


def contenders(
    study: Study,
    detectors: Sequence[str],
    *,
    together: Sequence[str] = (),
    config: str | None = None,
    overrides: Sequence[str] = (),
) -> list[Contender]:
    """Every variant of every detector, named `detector: variant`, or `detector (one model): variant`.

    A variant that names its detector is a contender once, with a model per class.

    Later ones win: the configuration, the study's common settings, `overrides`, the variant's own. The `small` parts
    follow the part that they belong to unless the configuration is `paper`.

    Args:
        study: the variants.
        detectors: names of detectors that learn a model per class.
        together: names of detectors that learn all classes with one model.
        config: a named configuration or a YAML file, None for the defaults.
        overrides: `key.sub=value` strings, as for `dusnet.detectors.settings.load_settings`.

    Raises:
        BadConfig: a setting does not exist, has a wrong value, or none of the detectors reads it.
    """
    small = config != _FULL_SCALE
    free = [*detectors, *together] if study.leaves_detectors_open else []
    chosen = [*free, *study.own_detectors]
    asked_settings(config, overrides, chosen[0], beside=chosen, together=bool(together))
    common = load_settings(config).model_dump(mode="json")
    for tree in (study.settings, study.small if small else {}, *map(tree_of, overrides)):
        common = _merged(common, tree)
    open_variants = [variant for variant in study.variants if variant.detector is None]
    entries = [(name, False, variant) for name in detectors for variant in open_variants]
    entries += [(name, True, variant) for name in together for variant in open_variants]
    entries += [(one.detector, False, one) for one in study.variants if one.detector is not None]
    found = []
    for detector, one_model, variant in entries:
        tree = _merged(_merged(common, variant.settings), variant.small if small else {})
        settings = settings_from(tree | {"detector": detector}, f"variant {variant.name!r}")
        readers = chosen if variant.detector is None else [variant.detector]
        require_read(variant.settings, readers, together=bool(together))
        name = f"{title_of(detector, together=one_model)}: {variant.name}"
        found.append(Contender(name, detector, settings, variant.corruption, one_model))
    return found


def printed(study: Study) -> str:
    """What the source of a study prints, as a Markdown section of its own; empty where nothing is printed."""
    if not any(variant.printed for variant in study.variants):
        return ""
    rows = [[one.name, *(number(one.printed.get(key, math.nan), 3) for key in _TITLES)] for one in study.variants]
    head = f"Not measured here. {study.source or study.title}.\n\n"
    return head + table("lrr", ["variant", *_TITLES.values()], rows)


def _merged(tree: Mapping[str, Any], other: Mapping[str, Any]) -> Tree:
    result = dict(tree)
    for key, value in other.items():
        known = result.get(key)
        result[key] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return result
