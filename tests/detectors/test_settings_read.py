"""Settings of detectors: who reads which, and what older versions called them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_parts import part, tiny

from dusnet.cloud import PointCloud
from dusnet.config import Section, read_tree
from dusnet.detectors import (
    DETECTORS,
    asked_settings,
    create,
    read_by,
    require_read,
    sections_read,
)
from dusnet.detectors import former_settings as former
from dusnet.detectors.settings import Settings, load_settings, settings_from
from dusnet.errors import BadConfig


def test_the_names_are_known_without_importing_any_method() -> None:
    code = (
        "import sys, dusnet.detectors as d; assert 'crr' in d.DETECTORS; assert 'torch' not in sys.modules;"
        "from dusnet.detectors.settings import load_settings; load_settings('paper');"
        "assert 'torch' not in sys.modules;"
        "d.create('nearest', load_settings());"
        "print([m for m in sys.modules if m.startswith('dusnet.detectors.') and m.endswith(('detector', '_net'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


class TestWhoReads:
    @pytest.mark.parametrize("name", DETECTORS)
    def test_what_a_detector_reads_exists(self, name: str) -> None:
        tree = Settings().model_dump()
        for one in sections_read(name):
            found = tree
            for key in one.split("."):
                assert key in found
                found = found[key]

    @pytest.mark.parametrize(
        ("detector", "override", "sentence"),
        [
            ("dusnet", "training.down.steps=5", "dusnet does not read it; dusnet_paper, offset"),
            ("dusnet", "scoring.draws=1", "dusnet does not read it; dusnet_paper"),
            ("dusnet", "grouping.dense=false", "dusnet does not read it; dusnet_paper, offset read it (--detector)."),
            ("dusnet_paper", "guide.centers=500", "dusnet_paper does not read it; dusnet reads it (--detector)."),
            ("nearest", "cras.epochs=3", "nearest does not read it; cras reads it (--detector)."),
            ("cras", "parts.candidates=3", "cras does not read it; one model of several parts reads it."),
            ("nearest", "scoring.gap=0", "nearest does not read it; dusnet, dusnet_paper, warp read it (--detector)."),
            ("pbas", "features.scale=1", "pbas does not read it; cras reads it (--detector)."),
            ("cras", "training.down.steps=5", "cras does not read it; dusnet_paper, offset read it (--detector)."),
            ("offset", "training.up.steps=5", "offset does not read it; dusnet_paper reads it (--detector)."),
            ("offset", "training.down.batch=5", "offset does not read it; dusnet_paper reads it (--detector)."),
            (
                "btf_raw",
                "memory.radius=1",
                "btf_raw does not read it; btf_fpfh, patchcore, patchcore_unaligned",
            ),
            ("simple3d", "memory.rho=1", "simple3d does not read it; located_memory reads it (--detector)."),
            ("dusnet", "images.crop=288", "dusnet does not read it; no detector of scans does."),
        ],
    )
    def test_a_setting_without_effect_is_refused_with_who_reads_it(
        self, detector: str, override: str, sentence: str
    ) -> None:
        with pytest.raises(BadConfig) as error:
            asked_settings(None, [override], detector)
        assert str(error.value).startswith(f"Setting {override.partition('=')[0]} has no effect, because ")
        assert sentence in str(error.value)
        assert "\n" not in str(error.value)

    def test_a_file_of_ones_own_is_checked_and_a_configuration_of_the_package_is_not(self, tmp_path: Path) -> None:
        assert asked_settings("paper", (), "nearest").detector == "nearest"
        path = tmp_path / "mine.yaml"
        path.write_text("detector: nearest\nnoise: { alpha: 0.1 }\n")
        with pytest.raises(BadConfig, match=r"noise\.alpha has no effect"):
            asked_settings(path)
        assert asked_settings(path, (), "dusnet_paper").noise.alpha == 0.1

    def test_what_one_of_several_detectors_reads_is_fine(self) -> None:
        assert asked_settings(None, ["guide.centers=500"], "nearest", beside=["dusnet"]).guide.centers == 500
        assert asked_settings(None, ["parts.candidates=3"], "cras", together=True).parts.candidates == 3

    def test_an_unknown_setting_stays_unknown(self) -> None:
        with pytest.raises(BadConfig, match=r"Unknown setting 'noise\.alfa'.*'noise\.alpha'"):
            asked_settings(None, ["noise.alfa=1"], "nearest")

    @pytest.mark.parametrize("name", DETECTORS)
    def test_no_detector_asks_for_what_it_does_not_name(self, name: str) -> None:
        require_read(read_by(Settings(), sections_read(name)), [name])

    @pytest.mark.parametrize("name", DETECTORS)
    def test_a_detector_names_what_it_reads(
        self, name: str, good: list[PointCloud], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Fitting and scoring ask for no other setting."""
        settings, asked = tiny(name), set()
        of_section = {id(getattr(settings, section)): section for section in Settings.model_fields}
        of_section |= {id(settings.training.down): "training.down", id(settings.training.up): "training.up"}
        usual = Section.__getattribute__

        def noted(self: Section, key: str) -> Any:
            if id(self) in of_section and key in type(self).model_fields:
                asked.add(f"{of_section[id(self)]}.{key}")
            return usual(self, key)

        monkeypatch.setattr(Section, "__getattribute__", noted)
        detector = create(name, settings)
        detector.fit(good[:2])
        detector.score(part(9))
        monkeypatch.undo()
        read = sections_read(name)
        unnamed = {one for one in asked if not any(one == named or one.startswith(f"{named}.") for named in read)}
        assert unnamed - {"training.down", "training.up"} == set()


class TestOlderVersions:
    @pytest.mark.parametrize("value", ["true", "false"])
    def test_the_switch_names_the_two_detectors(self, value: str) -> None:
        with pytest.raises(BadConfig, match=r"guide\.enabled .* dusnet for .* dusnet_paper for .*--detector") as error:
            load_settings(None, [f"guide.enabled={value}"])
        assert "\n" not in str(error.value)

    def test_another_name_is_said(self) -> None:
        with pytest.raises(BadConfig, match=r"scoring\.doubt .* is called scoring\.defect_weight now"):
            load_settings(None, ["scoring.doubt=0"])

    def test_the_rule_of_one_peer_became_that_of_all(self) -> None:
        with pytest.raises(
            BadConfig, match=r"memory\.quantile .* scoring\.pooling=quantile .*scoring\.pooling_fraction"
        ):
            load_settings(None, ["memory.quantile=0.95"])

    @pytest.mark.parametrize("key", former.FIXED)
    def test_a_constant_is_read_with_its_value_alone(self, key: str) -> None:
        section, _, last = key.partition(".")
        assert last not in Settings().model_dump()[section]
        with pytest.raises(BadConfig, match="no setting any more"):
            load_settings(None, [f"{key}=77"])
        assert settings_from({section: {last: former.FIXED[key]}}, "old.yaml") == Settings()

    @pytest.mark.parametrize(
        ("key", "value"), [("pbas.projector_decay", "1e-5"), ("crr.radius", (0.06, 0.3)), ("memory.reweighting", "3.0")]
    )
    def test_a_constant_may_be_written_in_any_way(self, key: str, value: object) -> None:
        section, _, last = key.partition(".")
        assert settings_from({section: {last: value}}, "old.yaml") == Settings()

    @pytest.mark.parametrize("value", ["much", None, [3], [0.06, 0.3, 0.3], {"a": 1}])
    def test_what_is_no_such_number_is_refused(self, value: object) -> None:
        with pytest.raises(BadConfig, match="no setting any more"):
            settings_from({"crr": {"radius": value}}, "old.yaml")

    def test_names_of_today_are_left_alone(self) -> None:
        tree, source = read_tree("paper")
        assert former.without_constants(tree, source) == tree

    def test_what_is_given_stays_as_it_was(self) -> None:
        tree = {"memory": {"reweighting": 3, "rho": 0.2}, "detector": "nearest"}
        assert former.without_constants(tree, "x") == {"memory": {"rho": 0.2}, "detector": "nearest"}
        assert tree["memory"] == {"reweighting": 3, "rho": 0.2}
