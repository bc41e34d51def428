"""Typed settings: one tree of small frozen sections, read from YAML, closed to unknown keys."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dusnet.errors import BadConfig

_FOLDER = Path(__file__).parent / "configs"


class _GivenTwice(yaml.MarkedYAMLError):
    """A mapping holds a key twice."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice; YAML itself would silently keep the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in mapping.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _GivenTwice(problem=key.value, problem_mark=key.start_mark)
                seen.add(key.value)
        return mapping


class Section(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _require_multiple(width: int, heads: int) -> None:
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")


def _require_ranges(*ranges: tuple[float, float]) -> None:
    for low, high in ranges:
        if not 0 < low <= high <= 1:
            raise ValueError(f"{low:g} to {high:g} is not a range between 0 and 1")


class RegistrationSettings(Section):
    """How a scan is brought into the frame of its class. Lengths are fractions of the class's bounding radius."""

    method: Literal["auto", "none", "icp", "global"] = "auto"
    points: int = Field(default=6000, ge=100, description="points of a scan that take part in the alignment")
    hypotheses: int = Field(
        default=8, ge=1, description="global: poses per family of starting poses that fine ICP follows, best is kept"
    )
    accept_residual: float = Field(
        default=0.004, gt=0, description="auto: trimmed residual above which ICP is not believed and global is tried"
    )
    accept_fitness: float = Field(
        default=0.97, ge=0, le=1, description="auto: share of points near the reference below which the same happens"
    )


class WarpSettings(Section):
    """The smooth warp after rigid registration; lengths are fractions of the class's bounding radius."""

    degree: int = Field(default=3, ge=0, le=4, description="degree of the polynomial displacement field, 0 = no warp")
    cutoff: float = Field(
        default=0.004, gt=0, description="distance from the warped surface from which on a point has no vote"
    )
    ridge: float = Field(default=1e-4, gt=0, description="penalty of the field's coefficients, per point")


class GroupingSettings(Section):
    """Farthest point sampling of centres and their nearest neighbours."""

    groups: int = Field(default=256, ge=8, description="G, centres per training step and per chunk at test")
    neighbors: int = Field(default=48, ge=3, description="K, neighbours that span a patch")
    stride: int = Field(default=3, ge=1, description="take every stride-th of the K neighbours, nearest first")
    dense: bool = Field(default=True, description="at test every input point becomes a group centre once")


class NoiseSettings(Section):
    """Noise-Gen (Eq. 1) and the coherent pseudo-defects of `dusnet.nn.noise_gen`."""

    kind: Literal["gaussian", "uniform", "salt_pepper"] = "gaussian"
    alpha: float = Field(default=0.0, ge=0, description="amplitude of the noise on centres")
    beta: float = Field(default=0.01, ge=0, description="amplitude of the noise on neighbours")
    unit: Literal["frame", "patch"] = "frame"
    coherent: float = Field(default=0.05, ge=0, description="amplitude of displacements shared by a neighbourhood")
    wall_limit: bool = Field(default=True, description="keep `coherent` below half the wall thickness of the part")


class DownNetSettings(Section):
    """Transformer that predicts anomaly-free centres (Eq. 2-4)."""

    patch_widths: tuple[int, int, int] = (64, 64, 128)
    width: int = Field(default=128, ge=8)
    layers: int = Field(default=2, ge=0)
    heads: int = Field(default=4, ge=1)
    fourier_octaves: int = Field(default=4, ge=0)
    head: Literal["offset", "absolute"] = "offset"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> DownNetSettings:
        _require_multiple(self.width, self.heads)
        return self


class GuideSettings(Section):
    """The guided Down-Net, which starts from the warped good surface and knows no part."""

    enabled: bool = Field(default=True, description="use the guided networks; false trains the paper's on every part")
    weights: Path | None = Field(default=None, description="their weights; None takes those that the package brings")
    centers: int = Field(default=10_000, ge=256, description="points of a bigger scan that become centres")
    slits: float = Field(default=0.25, ge=0, description="weight of slits in the scan (cracks); 0 leaves them out")
    neighbors: int = Field(default=32, ge=4, description="points of the scan that a group shows")
    stride: int = Field(default=2, ge=1, description="take every stride-th of the nearest points")
    places: int = Field(default=96, ge=4, description="places of the good surface that a group shows")
    patch_width: int = Field(default=64, ge=8)
    width: int = Field(default=128, ge=8)
    layers: int = Field(default=2, ge=0)
    heads: int = Field(default=4, ge=1)
    fourier_octaves: int = Field(default=3, ge=0)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> GuideSettings:
        _require_multiple(self.width, self.heads)
        return self


class UpNetSettings(Section):
    """PointNet++ network that rebuilds a dense cloud from the centres (Eq. 9-11)."""

    gamma: int = Field(default=4, ge=1, description="points rebuilt per centre")
    neighbors: int = Field(default=16, ge=1, description="neighbours of a set abstraction")
    widths: tuple[int, int] = (64, 128)
    head: Literal["offset", "absolute"] = "offset"


class LossSettings(Section):
    """Weights of Eq. 5-8 and Eq. 12-14; zero removes a term."""

    mse: float = Field(default=1.0, ge=0)
    cos: float = Field(default=1.0, ge=0)
    chamfer: float = Field(default=1.0, ge=0)
    repulsion: float = Field(default=1.0, ge=0)
    emd: float = Field(default=1.0, ge=0)
    pairing: Literal["index", "all"] = Field(
        default="index", description="MSE and COS of matching centres, or of all pairs as printed (which collapses)"
    )
    repulsion_form: Literal["punet", "paper"] = "punet"
    repulsion_h: float = Field(default=0.03, gt=0)
    repulsion_neighbors: int = Field(default=5, ge=1)
    emd_form: Literal["assignment", "one_sided"] = "assignment"


class StageSettings(Section):
    """One training stage."""

    steps: int = Field(default=500, ge=0)
    batch: int = Field(default=2, ge=1, description="clouds per step")
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps with rising learning rate")
    clip: float = Field(default=1.0, gt=0, description="gradient norm that is never exceeded")
    ema: float = Field(default=0.0, ge=0, lt=1, description="decay of the averaged weights, 0 = none")
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="learning rate after the warm-up: half a cosine down to zero, or as it is"
    )


class TrainingSettings(Section):
    """The two stages and what they share."""

    down: StageSettings = StageSettings()
    up: StageSettings = StageSettings(steps=150)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    rotation_deg: float = Field(default=5.0, ge=0, description="random rigid jitter of the training clouds")
    translation: float = Field(default=0.01, ge=0, description="the same, fraction of the frame")
    points: int = Field(default=6000, ge=16, description="points of a training cloud that a step draws")
    checkpoint_every: int = Field(default=100, ge=1)
    init: Path | None = Field(default=None, description="model file whose weights training starts from")


class ScoringSettings(Section):
    """From the reconstruction to scores (Eq. 15-17 and DESIGN's better ones)."""

    surface: Literal["down", "up"] = Field(
        default="down", description="measure against the dense predicted centres or against the Up-Net's cloud"
    )
    distance: Literal["point", "plane", "displacement"] = "displacement"
    tolerance: bool = Field(default=False, description="divide by what the training clouds do at the same place")
    gap: float = Field(
        default=0.5, ge=0, description="weight of places of a good part that no input point is near, 0 = none"
    )
    doubt: float = Field(
        default=0.02, ge=0, description="weight of the guided Down-Net's doubt in a point, 0 = the distance alone"
    )
    weighting: bool = Field(default=False, description="Eq. 16's softmax weight over the 3 nearest points")
    smoothing: int = Field(default=24, ge=1, description="nearest input points that a score is averaged over")
    pooling: Literal["max", "top", "quantile"] = "top"
    pooling_fraction: float = Field(default=0.01, gt=0, le=1)
    max_centers: int = Field(
        default=40_000, ge=1000, description="points of a bigger scan that become centres; the others are interpolated"
    )
    draws: int = Field(default=0, ge=0, description="noise draws averaged at test, 0 = no noise, 1 = the paper")


class CalibrationSettings(Section):
    """The threshold that is learned from good parts alone."""

    false_alarm: float = Field(default=0.05, gt=0, lt=1)
    replicas: int = Field(default=5, ge=1, description="simulated good scans per training scan")


class MemorySettings(Section):
    """The peers that look local features up in a memory of normal ones (docs/peers.md). Lengths are in the frame."""

    points: int = Field(default=6000, ge=100, le=10_000, description="points that a scan is thinned to for features")
    normal_neighbors: int = Field(default=10, ge=3, description="neighbours that a normal is estimated from")
    radius: float = Field(default=0.15, gt=0, description="btf_fpfh, patchcore: radius of the support of FPFH")
    radius_neighbors: int = Field(default=100, ge=5, description="btf_fpfh, patchcore: most neighbours within it")
    simple3d_neighbors: tuple[int, ...] = Field(
        default=(40, 80, 120), min_length=1, description="simple3d: neighbours of each of its FPFH features"
    )
    located_neighbors: tuple[int, ...] = Field(
        default=(10, 20, 30), min_length=1, description="located_memory: neighbours of each of its FPFH features"
    )
    centers: int = Field(
        default=2048, ge=16, le=4096, description="simple3d, located_memory: farthest points that carry a feature"
    )
    local_mean: int = Field(
        default=128, ge=1, description="simple3d, located_memory: points that the feature of a centre is the mean of"
    )
    coreset: float | None = Field(
        default=None, gt=0, le=1, description="share of the training features that is remembered, none = the paper's"
    )
    projection: int | None = Field(
        default=None, ge=1, description="dimensions in which the coreset is chosen, none = all of the feature"
    )
    entries: int = Field(default=10_000, ge=16, le=10_000, description="most features that are remembered")
    rho: float = Field(default=0.1, gt=0, description="located_memory: distance within which memories are compared")
    reweighting: int = Field(
        default=3, ge=1, description="patchcore: memories around the nearest one that weigh the object score"
    )
    smoothing: int = Field(default=12, ge=1, description="places that a score is averaged over, 1 = none")
    smoothing_centers: int = Field(
        default=1024, ge=16, description="simple3d, located_memory: farthest points that smoothing goes through"
    )
    quantile: float = Field(
        default=0.99, gt=0, lt=1, description="located_memory: quantile of the point scores that is the object score"
    )


class OffsetSettings(Section):
    """The peer that regresses offsets (docs/peers.md): its network, and the pseudo-defects that it learns from."""

    patch_widths: tuple[int, int, int] = (32, 32, 64)
    width: int = Field(default=128, ge=8)
    layers: int = Field(default=0, ge=0)
    heads: int = Field(default=4, ge=1)
    fourier_octaves: int = Field(default=4, ge=0)
    batch: int = Field(default=8, ge=1, description="clouds per step, in place of training.down.batch")
    rotation_deg: float = Field(default=0.5, ge=0, description="random rigid jitter, in place of training.rotation_deg")
    translation: float = Field(default=0.002, ge=0, description="the same, in place of training.translation")
    clouds: int = Field(default=48, ge=1, description="damaged clouds that are made before training")
    defects: int = Field(default=12, ge=1, description="pseudo-defects on each of them")
    radius: tuple[float, float] = Field(default=(0.06, 0.30), description="their smallest and largest reach")
    amplitude: tuple[float, float] = Field(default=(0.02, 0.10), description="their smallest and largest displacement")

    @model_validator(mode="after")
    def _possible(self) -> OffsetSettings:
        _require_multiple(self.width, self.heads)
        _require_ranges(self.radius, self.amplitude)
        return self


class FeatureSettings(Section):
    """Local features that methods in feature space learn from (docs/methods/features.md)."""

    points: int = Field(default=6000, ge=100, description="points that a scan is thinned to for features")
    extractor: Literal["deviations", "heights", "fpfh", "down_net"] = Field(
        default="deviations",
        description="heights over the good surface with or without distances from it, FPFH, or patch embeddings",
    )
    down_net: Path | None = Field(
        default=None, description="down_net: model or weights file that has the patch encoder"
    )
    heights: tuple[int, ...] = Field(
        default=(4, 16, 64),
        min_length=1,
        description="deviations, heights: nearest points that each of them is the mean of",
    )
    openings: bool = Field(default=True, description="two more features that say where a scan has no points")
    normal_neighbors: int = Field(default=10, ge=3, description="fpfh: neighbours that a normal is estimated from")
    neighbors: tuple[int, ...] = Field(
        default=(10, 20, 30, 40, 80, 120), min_length=1, description="fpfh: neighbours of each of its scales"
    )
    aggregate: int = Field(
        default=16, ge=1, description="fpfh: points that the feature of a place is the mean of (patch aggregation)"
    )
    places: int = Field(default=2048, ge=16, le=8192, description="places of a part that carry a feature each")
    warp: bool = Field(default=True, description="take the smooth variation out of every scan first (docs/method.md)")
    replicas: int = Field(default=4, ge=0, description="simulated good scans per training scan to learn from as well")
    scale: float = Field(
        default=0.005, gt=0, description="spread of normal features about their centre that all channels are brought to"
    )
    smoothing: int = Field(default=48, ge=1, description="nearest points that a point score is averaged over, 1 = none")

    @model_validator(mode="after")
    def _named(self) -> FeatureSettings:
        if self.extractor == "down_net" and self.down_net is None:
            raise ValueError("extractor down_net needs the file that has the network, down_net")
        return self


class PartsSettings(Section):
    """One model of several parts (docs/methods/features.md)."""

    candidates: int = Field(
        default=5, ge=1, description="parts that a scan is registered to; to all of them where it fits none of these"
    )


class CRASSettings(Section):
    """Center-aware residual anomaly synthesis (docs/methods/cras.md)."""

    epochs: int = Field(default=20, ge=1, description="times that every feature is seen")
    batch: int = Field(default=32, ge=1, description="feature maps per step")
    places: int = Field(default=128, ge=1, description="places that a step draws from each map")
    adapter_rate: float = Field(default=1e-4, gt=0, description="learning rate of the adapter")
    discriminator_rate: float = Field(default=2e-4, gt=0, description="learning rate of the discriminator")
    adapter_layers: int = Field(default=0, ge=0, description="0 leaves features as they are")
    hidden: int = Field(default=64, ge=1, description="width of the discriminator between its layers")
    discriminator_layers: int = Field(default=3, ge=1)
    noise: float = Field(default=0.015, gt=0, description="sigma of the Gaussian noise")
    beta: float = Field(default=0.3, ge=0, le=1, description="how strongly the distance guides the noise (Eq. 5)")
    ratio: Literal["noise", "residual", "fixed"] = Field(default="noise", description="what guides it")
    center: Literal["mean", "single"] = Field(default="mean", description="over all training scans, or the first one")
    search: Literal["place", "class", "all"] = Field(
        default="place",
        description="centre vector of the same place, or the nearest one of the identified class or of all classes",
    )
    inputs: Literal["both", "residual", "raw"] = Field(default="residual", description="what the discriminator sees")


class PBASSettings(Section):
    """Progressive boundary guided anomaly synthesis (docs/methods/pbas.md)."""

    epochs: int = Field(default=20, ge=1, description="times that every feature is seen")
    batch: int = Field(default=32, ge=1, description="feature maps per step")
    places: int = Field(default=128, ge=1, description="places that a step draws from each map")
    projector_rate: float = Field(default=1e-4, gt=0, description="learning rate of the projector")
    discriminator_rate: float = Field(default=2e-4, gt=0, description="learning rate of the discriminator")
    projector_decay: float = Field(default=1e-5, ge=0, description="weight decay of the projector")
    discriminator_decay: float = Field(default=1e-2, ge=0, description="weight decay of the discriminator")
    projector_layers: int = Field(default=1, ge=0)
    hidden: int = Field(default=64, ge=1, description="width of the discriminator between its layers")
    discriminator_layers: int = Field(default=3, ge=1)
    alpha: float = Field(default=0.3, gt=0, description="how far beyond a feature its anomaly lies, in radii (Eq. 7)")
    center: Literal["alignment", "average", "iterative", "clustering"] = Field(
        default="alignment", description="how the centre map is made (Algorithm 1, or what it is compared with)"
    )
    search: Literal["place", "class"] = Field(
        default="place", description="centre vector of the same place, or the nearest one of the part"
    )
    direction: Literal["center", "random", "gaussian"] = Field(
        default="center", description="where anomalies lie: on the ray from the centre, or anywhere"
    )

    @model_validator(mode="after")
    def _possible(self) -> PBASSettings:
        if self.center == "clustering" and self.search == "place":
            raise ValueError("clusters belong to no place; set pbas.search to class")
        return self


class CRRSettings(Section):
    """Collaborative reconstruction and repair (docs/methods/crr.md)."""

    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=8, ge=1, description="feature maps per step")
    places: int = Field(default=512, ge=8, description="places of a map that attend to each other")
    learning_rate: float = Field(default=1e-3, gt=0)
    width: int = Field(default=64, ge=8, description="channels of a token")
    layers: int = Field(default=2, ge=0, description="transformer blocks of the decoder")
    heads: int = Field(default=4, ge=1)
    fourier_octaves: int = Field(default=4, ge=0)
    hidden: float = Field(default=0.3, ge=0, lt=1, description="share of the places whose features are masked")
    damaged: int = Field(default=4, ge=1, description="damaged copies of every scan, real or simulated")
    defects: int = Field(default=6, ge=1, description="pseudo-defects on each of them")
    radius: tuple[float, float] = Field(default=(0.06, 0.30), description="their smallest and largest reach")
    amplitude: tuple[float, float] = Field(default=(0.02, 0.10), description="their smallest and largest displacement")

    @model_validator(mode="after")
    def _possible(self) -> CRRSettings:
        _require_multiple(self.width, self.heads)
        _require_ranges(self.radius, self.amplitude)
        return self


class ImageSettings(Section):
    """The image form of cras, pbas and crr (docs/methods/images.md)."""

    resize: int = Field(default=329, ge=8, description="pixels of the shorter side of an image")
    crop: int = Field(default=288, ge=8, description="pixels of each side of the middle that is looked at")
    weights: Path | None = Field(default=None, description="weights of WideResNet50, none = torchvision downloads them")
    neighborhood: int = Field(default=3, ge=1, description="places that a feature is the mean of, in each direction")
    sigma: float = Field(default=4.0, ge=0, description="of the Gaussian filter on score maps in pixels, 0 = none")

    @model_validator(mode="after")
    def _possible(self) -> ImageSettings:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}")
        if self.neighborhood % 2 == 0:
            raise ValueError(f"neighborhood {self.neighborhood} is even, so that it has no middle")
        return self


class Settings(Section):
    """Everything that decides what a detector computes."""

    detector: str = "dusnet"
    registration: RegistrationSettings = RegistrationSettings()
    warp: WarpSettings = WarpSettings()
    grouping: GroupingSettings = GroupingSettings()
    noise: NoiseSettings = NoiseSettings()
    down_net: DownNetSettings = DownNetSettings()
    guide: GuideSettings = GuideSettings()
    up_net: UpNetSettings = UpNetSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()
    memory: MemorySettings = MemorySettings()
    offset: OffsetSettings = OffsetSettings()
    features: FeatureSettings = FeatureSettings()
    parts: PartsSettings = PartsSettings()
    cras: CRASSettings = CRASSettings()
    pbas: PBASSettings = PBASSettings()
    crr: CRRSettings = CRRSettings()
    images: ImageSettings = ImageSettings()
    calibration: CalibrationSettings = CalibrationSettings()


def named_configs() -> list[str]:
    """Names of the configurations that the package brings."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))


def load_settings(name_or_path: str | Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Settings from a named configuration or a YAML file, with single values replaced.

    Args:
        name_or_path: one of `named_configs()`, a path to a YAML file, or None for the defaults.
        overrides: `key.sub=value` strings; the value is read as YAML.

    Raises:
        BadConfig: the file or name does not exist, is no YAML, or holds an unknown key or a wrong value.
    """
    tree, source = ({}, "the defaults") if name_or_path is None else _read(name_or_path)
    for override in overrides:
        _apply_override(tree, override)
    return settings_from(tree, source)


def settings_from(tree: Mapping[str, Any], source: str) -> Settings:
    """Settings from a nested mapping, for example one stored in a model file.

    Args:
        tree: section -> key -> value.
        source: where the mapping came from, for the error message.
    """
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise BadConfig(_explain(error, source)) from error


def _read(name_or_path: str | Path) -> tuple[dict[str, Any], str]:
    path = Path(name_or_path)
    if str(name_or_path) in named_configs():
        text, source = (_FOLDER / f"{name_or_path}.yaml").read_text(), f"configuration {name_or_path}"
    elif path.is_file():
        source = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BadConfig(f"{source} is not UTF-8 text; give a YAML file of settings.") from error
    else:
        raise BadConfig(
            f"There is no configuration or file {str(name_or_path)!r}; use a YAML file or one of "
            f"{', '.join(named_configs())}."
        )
    try:
        tree = yaml.load(text, _Loader)
    except _GivenTwice as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark is not None else ""
        raise BadConfig(f"{source} gives {error.problem!r} twice in one section{line}; keep one of them.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise BadConfig(f"{source} is not valid YAML{line}; correct it and try again.") from error
    if tree is None:
        return {}, source
    if not isinstance(tree, dict):
        raise BadConfig(f"{source} must hold sections such as `training:`, not a {type(tree).__name__}.")
    return tree, source


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise BadConfig(f"{override!r} is not of the form key.sub=value, for example training.down.steps=500.")
    try:
        value = yaml.load(text, _Loader)
    except _GivenTwice as error:
        raise BadConfig(f"The value in {override!r} gives {error.problem!r} twice; keep one of them.") from error
    except yaml.YAMLError as error:
        raise BadConfig(f"The value in {override!r} is not valid YAML; quote it.") from error
    *sections, last = key.strip().split(".")
    node = tree
    for section in sections:
        node = node.setdefault(section, {})
        if not isinstance(node, dict):
            raise BadConfig(f"{section!r} in {override!r} is a value, not a section.")
    node[last] = value


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _known_keys(field.annotation, f"{prefix}{name}.")


def _explain(error: ValidationError, source: str) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = list(_known_keys(Settings))
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        return f"Unknown setting {key!r} in {source}{hint}"
    return f"Setting {key!r} in {source} is {problem['input']!r}: {problem['msg'].rstrip('.')}."
