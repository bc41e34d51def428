"""Detectors of one's own: the example of the manual as it stands there, and a sentence for everything that is wrong."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_parts import part, tiny

from dusnet.cli import main
from dusnet.cloud import PointCloud
from dusnet.detectors import create, detector_class, load_model, require_read
from dusnet.detectors.registered import RegisteredDetector
from dusnet.errors import BadConfig, BadModel, DusnetError
from dusnet.evaluation.outside import code_mark, is_outside
from dusnet.inspection.calibration import calibrate
from dusnet.io import read_cloud, write_cloud
from dusnet.io.tensors import read_tensors

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "your-detector.md"
NAME = "center_distance:CenterDistance"


def blocks(language: str) -> list[str]:
    """The code blocks of the manual in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", MANUAL.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the example of the manual, good scans and a benchmark, where Python finds what lies in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("dusnet.detectors.own._KNOWN", {})
    known = set(sys.modules)
    (tmp_path / "center_distance.py").write_text(blocks("python")[0])
    for folder, clouds in {
        "good_scans": [part(seed) for seed in range(3)],
        "bench/egg/normal": [part(seed) for seed in range(3)],
        "bench/egg/test/good": [part(10), part(11)],
        "bench/egg/test/dent": [part(12, dent=10.0), part(13, dent=6.0)],
    }.items():
        Path(folder).mkdir(parents=True)
        for number, cloud in enumerate(clouds):
            write_cloud(Path(folder) / f"{number}.ply", PointCloud(cloud.points))
    write_cloud(tmp_path / "scan.ply", PointCloud(part(9, dent=10.0).points))
    yield tmp_path
    for name in set(sys.modules) - known:
        if name in ("center_distance", "mine"):
            del sys.modules[name]


def test_the_example_runs_from_the_command_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = blocks("sh")
    for line in commands.splitlines():
        program, *words = shlex.split(line)
        assert program == "dusnet"
        extra = ["--set", "calibration.replicas=1"] if words[0] != "score" else []
        extra += ["--seeds", "1"] if words[0] == "evaluate" else []
        assert main([*words, *extra, "--quiet"]) == 0, capsys.readouterr().err
    assert {"part.safetensors", "results", "tables"} <= {path.name for path in here.iterdir()}
    table = (here / "tables" / "results.md").read_text()
    assert NAME in table
    _, metadata = read_tensors(here / "part.safetensors")
    assert metadata["detector"] == NAME
    assert metadata["calibration"] is not None


def test_the_example_runs_from_python(here: Path) -> None:
    script = here / "script.py"
    script.write_text(blocks("python")[1])
    made = runpy.run_path(str(script))
    again = made["again"].score(read_cloud(here / "scan.ply"), explain=False)
    np.testing.assert_array_equal(again.point_scores, made["scores"].point_scores)
    # The dent stands out beside good scans.
    assert made["scores"].object_score > made["detector"].score(part(20)).object_score


def test_the_example_is_short_and_the_methods_are_those_of_the_table() -> None:
    code, table = blocks("python")[0], MANUAL.read_text()
    assert 20 <= len([line for line in code.splitlines() if line.strip()]) <= 40
    assert set(re.findall(r"^\| `(\w+)\(", table, re.MULTILINE)) == set(re.findall(r"def ([a-z]\w*)\(", code))


@pytest.mark.usefixtures("here")
def test_it_is_calibrated_and_seeded_like_all_others() -> None:
    clouds = [part(seed) for seed in range(3)]
    scores = []
    for seed in (1, 1, 2):
        detector = create(NAME, tiny(), seed=seed)
        assert isinstance(detector, RegisteredDetector)
        detector.fit(clouds)
        scores.append(detector.score(part(9), explain=False).point_scores)
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    made = calibrate(detector, clouds)
    assert len(made.good) == 15


def test_its_rows_depend_on_its_code(here: Path) -> None:
    detector = create(NAME, tiny())
    assert is_outside(type(detector))
    before = code_mark(create, detector)
    file = here / "center_distance.py"
    file.write_text(file.read_text() + "\nOTHER = 1\n")
    assert code_mark(create, detector) != before


@pytest.mark.usefixtures("here")
def test_settings_that_it_does_not_read_are_refused() -> None:
    require_read({"scoring": {"pooling": "max"}, "registration": {"method": "icp"}}, [NAME])
    with pytest.raises(BadConfig, match="because center_distance:CenterDistance does not read it"):
        require_read({"scoring": {"gap": 0}}, [NAME])


def test_a_file_does_not_decide_which_code_is_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = create(NAME, tiny())
    detector.fit([part(0)])
    detector.save(here / "model.safetensors")
    monkeypatch.setattr("dusnet.detectors.own._KNOWN", {})
    del sys.modules["center_distance"]
    with pytest.raises(BadModel, match="name it with --detector") as error:
        load_model(here / "model.safetensors")
    assert "\n" not in str(error.value)
    assert main(["score", "model.safetensors", "scan.ply", "--out", "results", "--quiet"]) == 2
    assert NAME in capsys.readouterr().err
    assert "center_distance" not in sys.modules
    load_model(here / "model.safetensors", detector=NAME)
    load_model(here / "model.safetensors")  # was named in this process


WRONG = {
    "Half": "class Half:\n    def fit(self, scans): pass\n",
    "Needy": "class Needy:\n    def __init__(self, size): pass\n    def fit(self, scans): pass\n"
    "    def score(self, points): return points[:, 0]\n",
    "thing": "thing = 3\n",
    "Short": "class Short:\n    def fit(self, scans): pass\n    def score(self, points): return points[:3, 0]\n",
    "Words": "class Words:\n    def fit(self, scans): pass\n    def score(self, points): return ['a'] * len(points)\n",
    "Odd": "class Odd:\n    def fit(self, scans): pass\n    def score(self, points): return points[:, 0]\n"
    "    def save(self): return 'words'\n    def load(self, arrays): pass\n",
}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mine:", "not of the form package.module:Class"),
        (":Half", "not of the form package.module:Class"),
        ("a b:C", "not of the form package.module:Class"),
        ("no_such_module:Thing", "no module no_such_module"),
        ("mine.inner:Thing", "no module mine.inner"),
        ("needs_another:Thing", "needs another_module"),
        ("mine:Missing", "has no class Missing"),
        ("mine:thing", "mine:thing is no class"),
        ("mine:Half", "has no method score"),
        ("mine:Needy", "cannot be made without size"),
    ],
)
def test_a_wrong_name_is_one_sentence(here: Path, name: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.py").write_text("\n".join(WRONG.values()))
    (here / "needs_another.py").write_text("import another_module\n")
    with pytest.raises(BadConfig, match=re.escape(sentence)) as error:
        detector_class(name)
    assert "\n" not in str(error.value)
    assert main(["train", "good_scans", "--out", "m.safetensors", "--detector", name, "--quiet"]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mine:Short", "gave float64 of shape (3,) for 1200 points"),
        ("mine:Words", "return one number per point"),
        ("mine:Odd", "gave no arrays by name"),
    ],
)
def test_a_wrong_answer_is_one_sentence(here: Path, name: str, sentence: str) -> None:
    (here / "mine.py").write_text("\n".join(WRONG.values()))
    detector = create(name, tiny())
    detector.fit([part(0)])
    act = (lambda: detector.save(here / "m.safetensors")) if name == "mine:Odd" else (lambda: detector.score(part(1)))
    with pytest.raises(DusnetError, match=re.escape(sentence)) as error:
        act()
    assert "\n" not in str(error.value)


def test_a_class_without_methods_for_files_says_so(here: Path) -> None:
    (here / "mine.py").write_text(WRONG["Short"].replace("[:3, 0]", "[:, 0]"))
    detector = create("mine:Short", tiny())
    detector.fit([part(0)])
    detector.score(part(1))
    with pytest.raises(BadConfig, match="has no method save and no method load"):
        detector.save(here / "m.safetensors")
