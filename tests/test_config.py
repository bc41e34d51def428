"""Settings: what a YAML file and `--set` may say, and what the user hears when they say something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from dusnet.config import named_configs
from dusnet.detectors import create
from dusnet.detectors.settings import Settings, load_settings, settings_from
from dusnet.errors import BadConfig


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def one_sentence(error: pytest.ExceptionInfo[BadConfig]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert message
    return message


class TestLoading:
    def test_nothing_gives_the_defaults(self) -> None:
        assert load_settings() == Settings() == load_settings(None, [])

    @pytest.mark.parametrize("name", named_configs())
    def test_every_configuration_of_the_package_loads(self, name: str) -> None:
        settings = load_settings(name)
        assert settings_from(settings.model_dump(mode="json"), "a round trip") == settings

    def test_the_package_brings_the_two_configurations_that_the_manual_names(self) -> None:
        assert {"cpu-small", "paper"} <= set(named_configs())

    def test_a_file_replaces_only_what_it_names(self, tmp_path: Path) -> None:
        settings = load_settings(write(tmp_path, "training: { down: { steps: 7 } }\nup_net: { gamma: 3 }\n"))
        default = Settings()
        assert settings.training.down.steps == 7
        assert settings.up_net.gamma == 3
        assert settings.training.down.batch == default.training.down.batch
        assert settings.training.up == default.training.up
        assert settings.scoring == default.scoring

    def test_an_empty_file_is_the_defaults(self, tmp_path: Path) -> None:
        assert load_settings(write(tmp_path, "# nothing yet\n")) == Settings()

    def test_cpu_small_spells_out_the_defaults(self) -> None:
        assert load_settings("cpu-small") == Settings()

    def test_a_path_as_a_string_works_like_a_path(self, tmp_path: Path) -> None:
        path = write(tmp_path, "detector: nearest\n")
        assert load_settings(str(path)) == load_settings(path)

    def test_settings_cannot_be_changed_in_place(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            Settings().training.down.steps = 3  # type: ignore[misc]

    def test_what_is_saved_is_what_is_loaded(self, tmp_path: Path) -> None:
        import yaml

        settings = load_settings(
            "cpu-small",
            ["training.init=some/model.safetensors", "up_net.widths=[8, 16]", "scoring.pooling=quantile"],
        )
        path = write(tmp_path, yaml.safe_dump(settings.model_dump(mode="json")))
        assert load_settings(path) == settings


class TestOverrides:
    def test_nested_values_are_read_as_yaml(self) -> None:
        settings = load_settings(
            None,
            [
                "training.down.steps=12",
                "training.down.learning_rate=1e-3",  # YAML 1.1 takes this for a string
                "grouping.dense=false",
                "up_net.widths=[8, 16]",
                "training.init=null",
                "guide.slits=0",
                "guide.weights=my/guided.safetensors",
                "detector=nearest",
            ],
        )
        assert settings.training.down.steps == 12
        assert settings.training.down.learning_rate == pytest.approx(0.001)
        assert settings.grouping.dense is False
        assert settings.up_net.widths == (8, 16)
        assert settings.training.init is None
        assert settings.guide.slits == 0
        assert settings.guide.weights == Path("my/guided.safetensors")
        assert settings.detector == "nearest"

    def test_an_override_wins_over_the_file_and_the_last_over_the_first(self, tmp_path: Path) -> None:
        path = write(tmp_path, "training: { down: { steps: 7, batch: 5 } }\n")
        settings = load_settings(path, ["training.down.steps=8", "training.down.steps=9"])
        assert (settings.training.down.steps, settings.training.down.batch) == (9, 5)

    @pytest.mark.parametrize("override", ["training.down.steps", "=5", ""])
    def test_what_is_no_assignment_is_refused(self, override: str) -> None:
        with pytest.raises(BadConfig, match=r"key\.sub=value") as error:
            load_settings(None, [override])
        one_sentence(error)

    def test_a_value_that_is_no_yaml_is_refused(self) -> None:
        with pytest.raises(BadConfig, match="not valid YAML") as error:
            load_settings(None, ["detector=[1, 2"])
        one_sentence(error)

    def test_a_value_has_no_keys_below_it(self, tmp_path: Path) -> None:
        path = write(tmp_path, "detector: nearest\n")
        with pytest.raises(BadConfig, match=r"'detector' in 'detector\.name=x' is a value") as error:
            load_settings(path, ["detector.name=x"])
        one_sentence(error)


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "wrong", "meant"),
        [
            ("training: { down: { stepz: 3 } }", "training.down.stepz", "training.down.steps"),
            ("nose: { alpha: 0.1 }", "nose", "noise"),
            ("down_net: { fourier_octave: 3 }", "down_net.fourier_octave", "down_net.fourier_octaves"),
            ("scoring: { poling: max }", "scoring.poling", "scoring.pooling"),
            ("guide: { weight: a.safetensors }", "guide.weight", "guide.weights"),
        ],
    )
    def test_an_unknown_key_names_the_nearest_known_one(
        self, tmp_path: Path, text: str, wrong: str, meant: str
    ) -> None:
        path = write(tmp_path, text)
        with pytest.raises(BadConfig) as error:
            load_settings(path)
        message = one_sentence(error)
        assert repr(wrong) in message
        assert repr(meant) in message
        assert str(path) in message

    def test_a_key_like_no_other_gets_no_suggestion(self) -> None:
        with pytest.raises(BadConfig, match=r"Unknown setting 'qqqq' in the defaults\.$"):
            load_settings(None, ["qqqq=1"])

    @pytest.mark.parametrize(
        ("override", "key"),
        [
            ("training.down.steps=many", "training.down.steps"),
            ("training.down.steps=1.5", "training.down.steps"),
            ("training.down.steps=-1", "training.down.steps"),
            ("grouping.dense=perhaps", "grouping.dense"),
            ("noise.kind=pink", "noise.kind"),
            ("noise.alpha=.nan", "noise.alpha"),
            ("up_net.widths=[8]", "up_net.widths"),
            ("down_net.patch_widths=[8, 8]", "down_net.patch_widths"),
            ("scoring.pooling_fraction=0", "scoring.pooling_fraction"),
            ("scoring.pooling_fraction=1.5", "scoring.pooling_fraction"),
            ("training.down.ema=1", "training.down.ema"),
            ("calibration.false_alarm=0", "calibration.false_alarm"),
            ("guide.centers=255", "guide.centers"),
            ("guide.centers=0", "guide.centers"),
            ("guide.neighbors=3", "guide.neighbors"),
            ("guide.places=3", "guide.places"),
            ("guide.stride=0", "guide.stride"),
            ("guide.layers=-1", "guide.layers"),
            ("warp.degree=5", "warp.degree"),
            ("features.heights=[0]", "features.heights.0"),
            ("features.heights=[4,-3]", "features.heights.1"),
            ("features.neighbors=[10,0]", "features.neighbors.1"),
            ("memory.located_neighbors=[1]", "memory.located_neighbors.0"),
            ("warp.cutoff=0", "warp.cutoff"),
            ("scoring.defect_weight=-0.1", "scoring.defect_weight"),
            ("training=3", "training"),
        ],
    )
    def test_a_wrong_value_is_named_with_its_key(self, override: str, key: str) -> None:
        with pytest.raises(BadConfig) as error:
            load_settings(None, [override])
        assert f"'{key}" in one_sentence(error)

    def test_values_that_do_not_go_together_are_one_sentence_about_their_section(self) -> None:
        with pytest.raises(BadConfig) as error:
            load_settings(None, ["features.views=0.5", "features.replicas=0"])
        assert "Section 'features' in the defaults cannot be used: views" in one_sentence(error)
        assert "Value error" not in str(error.value)

    def test_heads_must_divide_the_width(self) -> None:
        with pytest.raises(BadConfig, match="width 100 is not a multiple of heads 3") as error:
            load_settings(None, ["down_net.width=100", "down_net.heads=3"])
        one_sentence(error)

    def test_broken_yaml_is_named_with_its_line(self, tmp_path: Path) -> None:
        path = write(tmp_path, "training:\n  down: { steps: 3\nnoise: }\n")
        with pytest.raises(BadConfig, match=r"not valid YAML \(line [234]\)") as error:
            load_settings(path)
        assert str(path) in one_sentence(error)

    @pytest.mark.parametrize(
        ("text", "key", "line"),
        [
            ("scoring:\n  gap: 0.5\n  draws: 1\n  gap: 0.0\n", "gap", 4),
            ("training: { points: 100 }\nnoise: {}\ntraining: { points: 200 }\n", "training", 3),
            ('scoring: { gap: 0, "gap": 1 }\n', "gap", 1),
        ],
    )
    def test_a_key_that_is_given_twice_is_named(self, tmp_path: Path, text: str, key: str, line: int) -> None:
        path = write(tmp_path, text)
        with pytest.raises(BadConfig, match=rf"gives '{key}' twice in one section \(line {line}\)") as error:
            load_settings(path)
        assert str(path) in one_sentence(error)

    def test_a_key_that_is_given_twice_in_an_override_is_named(self) -> None:
        with pytest.raises(BadConfig, match="gives 'steps' twice") as error:
            load_settings(None, ["training.down={ steps: 1, steps: 2 }"])
        one_sentence(error)

    def test_equal_keys_of_different_sections_are_fine(self, tmp_path: Path) -> None:
        settings = load_settings(write(tmp_path, "training: { down: { steps: 3 }, up: { steps: 4 } }\n"))
        assert (settings.training.down.steps, settings.training.up.steps) == (3, 4)

    @pytest.mark.parametrize(("text", "kind"), [("- 1\n- 2\n", "list"), ("just words\n", "str"), ("7\n", "int")])
    def test_a_file_must_hold_sections(self, tmp_path: Path, text: str, kind: str) -> None:
        with pytest.raises(BadConfig, match=f"not a {kind}") as error:
            load_settings(write(tmp_path, text))
        one_sentence(error)

    @pytest.mark.parametrize("name", ["cpu-smal", "no/such/file.yaml", "."])
    def test_a_name_that_does_not_exist_lists_those_that_do(self, name: str) -> None:
        with pytest.raises(BadConfig) as error:
            load_settings(name)
        message = one_sentence(error)
        assert repr(name) in message
        assert all(known in message for known in named_configs())


def test_paper_holds_every_value_that_the_paper_prints() -> None:
    paper = load_settings("paper")
    assert paper.grouping.groups == 8192
    assert paper.grouping.neighbors == 640
    assert paper.up_net.gamma == 8
    assert paper.noise.alpha == 0.08
    assert paper.noise.beta == 0.15
    assert paper.noise.kind == "gaussian"


def test_paper_is_the_literal_reading_wherever_a_printed_formula_can_be_minimised() -> None:
    paper = load_settings("paper")
    assert (paper.noise.coherent, paper.noise.unit) == (0.0, "frame")
    assert (paper.down_net.head, paper.up_net.head) == ("absolute", "absolute")
    assert (paper.down_net.fourier_octaves, paper.grouping.dense) == (0, False)
    assert (paper.loss.repulsion_form, paper.loss.emd_form) == ("paper", "one_sided")
    weights = paper.loss
    assert {weights.mse, weights.cos, weights.chamfer, weights.repulsion, weights.emd} == {1.0}
    scoring = paper.scoring
    assert (scoring.surface, scoring.distance, scoring.weighting, scoring.pooling) == ("up", "point", True, "max")
    assert (scoring.draws, scoring.smoothing, scoring.tolerance, scoring.gap) == (1, 1, False, 0)
    assert paper.registration.method == "none"


def test_the_paper_is_a_detector_of_its_own() -> None:
    assert Settings().detector == load_settings("cpu-small").detector == "dusnet"
    assert load_settings("paper").detector == "dusnet_paper"
    create("dusnet_paper", load_settings("paper"))
    with pytest.raises(BadConfig, match=r"grouping\.dense"):
        create("dusnet_paper", load_settings("paper", ["scoring.distance=displacement"]))
