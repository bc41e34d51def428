"""The documentation can be typed: every command and option exists, every link leads somewhere, every block runs."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from documented_files import make_files

import dusnet
from dusnet.cli import main
from dusnet.evaluation.studies import load_study

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")])
NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))

NOT_RUN = (
    (r"^(make|pip|git|export|\. \.venv|\.ci/run|DUSNET_BUILD=)", "changes the environment or runs all tests"),
    (
        r"data/(Anomaly-ShapeNet|Real3D-AD)|ShapeNetPart|^python tools/prepare_data",
        "needs a public archive, which is not shipped",
    ),
    (r"--device cuda", "needs a CUDA device"),
    (r"mvtec", "needs images; tests/images makes the same calls on small ones"),
    (r"to_pytorch3d", "needs PyTorch3D; tests/test_interop.py covers it"),
    (r"^(torchrun|ssh)", "starts several processes or another machine; tests/cli/test_processes.py covers torchrun"),
    (r"^dusnet view .*--web", "serves pages until it is stopped; tests/display covers it"),
    (r"^dusnet view (?!.*--png)", "opens a window; tests/display covers it"),
    (r"^dusnet demo", "takes minutes; tests/test_demo.py runs it"),
    (
        r"^dusnet evaluate (DATASET|reported/|data/dev)|--study|^dusnet synth all ",
        "measures for minutes to hours",
    ),
    (r"^dusnet train SOURCE", "shows the form of the command"),
    (r"^python (benchmarks/|tools/train_guided)|^dusnet bench ops", "measures for minutes to hours"),
)
"""Commands and code that no test here runs: a pattern of the line, and why."""

SMALLER = {
    "train": ["--set", "calibration.replicas=1"],
    "synth": ["--set", "points=500", "--set", "good=1", "--set", "per_kind=1"],
    "synth --like": ["--set", "points=1000", "--set", "good=1", "--set", "rare=0"],
    "evaluate": ["--seeds", "1", "--classes", "bracket", "--no-calibrate"],
}
"""What is added to a command so that it does little; the last of two equal options decides."""

QUICK = {"check", "score", "compare", "view", "calibrate", "doctor"}
"""Verbs that run by default, in the pages below; the others are slow."""

FIRST_PAGES = {"README.md", "cli.md"}

FIRST = {
    "score parts.safetensors": "train bench --detector cras --one-model --out parts.safetensors --set cras.epochs=1 "
    "--set features.replicas=0 --set calibration.replicas=1",
    "score part.safetensors": "train good_scans --detector center_distance:CenterDistance --out part.safetensors "
    "--set calibration.replicas=1",
}
"""Commands that need a model, and the one that makes it; they are slow."""

MODULES = {"your-detector.md": "center_distance.py"}
"""Pages whose first block of code is a file, and its name."""

GIVEN = {
    "report.md": (
        0,
        """
        import numpy as np
        import dusnet.detectors
        from dusnet.io import read_cloud
        detector = dusnet.detectors.load_model(Path("bracket.safetensors"))
        cloud = read_cloud(Path("part.ply"))
        scores = detector.score(cloud)
        deviation = scores.deviation
        if hasattr(dusnet, "load"):
            model = dusnet.load("bracket.safetensors")
            result = model.score("part.ply")
        """,
    ),
    "viewing.md": (
        0,
        """
        import dusnet.detectors
        from dusnet.io import read_cloud
        scores = dusnet.detectors.load_model(Path("bracket.safetensors")).score(read_cloud(Path("part.ply")))
        """,
    ),
    "evaluation.md": (
        1,
        """
        from dusnet.detectors import create
        dataset, settings, out = open_dataset("bench"), load_settings("cpu-small"), Path("mine")

        def Mine(seed):
            return create("nearest", settings, seed=seed)
        """,
    ),
}
"""Objects that the code of a page takes for given: before which of its blocks, and the code that makes them."""

SLOW_PAGES = {"evaluation.md", "features.md", "synthetic.md", "ops.md", "report.md", "viewing.md", "your-detector.md"}
"""Pages whose code takes more than a few seconds."""


@dataclass(frozen=True)
class Block:
    """Code of a page: where it is, its language, and its lines."""

    page: Path
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}: {self.text.strip().splitlines()[0][:60]}"


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, and its indented lines that are commands."""
    text = page.read_text()
    fenced = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
    found = [Block(page, match[2], textwrap.dedent(match[3])) for match in fenced.finditer(text)]
    indented = re.findall(r"^ {4,6}((?:dusnet|python|torchrun|make|pip|ssh) .*)$", fenced.sub("", text), re.MULTILINE)
    return [*found, *(Block(page, "sh", f"{line}\n") for line in indented)]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def lines_of(block: Block) -> list[str]:
    """Commands of a block without comments; a line that ends with a backslash goes on."""
    joined = block.text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def reason_not_to_run(text: str) -> str | None:
    return next((reason for pattern, reason in NOT_RUN if re.search(pattern, text)), None)


COMMANDS = [(block.page, line) for block in BLOCKS if block.language in ("sh", "bash") for line in lines_of(block)]
RUNS = {
    tuple(shlex.split(line, comments=True)): (page, line)
    for page, line in sorted(COMMANDS, key=lambda one: one[0].name in FIRST_PAGES)
}
"""Each command once; from one of the first pages where they show it."""
OURS = [(page, line) for page, line in COMMANDS if line.startswith("dusnet ")]


def marked(page: Path, line: str):
    """A command as a parameter, skipped with its reason or marked as slow."""
    marks = []
    reason = reason_not_to_run(line)
    if reason:
        marks.append(pytest.mark.skip(reason=reason))
    elif page.name not in FIRST_PAGES or line.split()[1] not in QUICK:
        marks.append(pytest.mark.slow)
    return pytest.param(line, marks=marks, id=f"{page.name}: {line[:70]}")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return make_files(tmp_path_factory.mktemp("documented"))


@pytest.fixture
def files(made, tmp_path, monkeypatch) -> Path:
    """A copy of the files, which the test may change, as the working folder."""
    folder = shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(folder)
    for block in BLOCKS:
        name = MODULES.get(block.page.name)
        if name and block.language == "python" and not (folder / name).exists():
            (folder / name).write_text(block.text)
    return folder


def test_there_is_something_to_check():
    assert len(OURS) > 30
    assert {block.language for block in BLOCKS} <= {"sh", "bash", "python", "yaml", "text"}


@pytest.mark.parametrize(("page", "line"), OURS, ids=[f"{page.name}: {line[:70]}" for page, line in OURS])
def test_documented_command_exists(page, line, capsys):
    del page
    words = shlex.split(line, comments=True)
    verb = words[1:3] if words[1] == "bench" else words[1:2]
    assert main([*verb, "--help"]) == 0
    known = set(re.findall(r"--?[a-z][a-z-]*", capsys.readouterr().out))
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_every_page_is_in_the_navigation_of_the_site():
    docs = REPOSITORY / "docs"
    listed = set(re.findall(r"[\w/-]+\.(?:md|ipynb)$", (REPOSITORY / "mkdocs.yml").read_text(), re.MULTILINE))
    assert {path.relative_to(docs).as_posix() for path in (*docs.rglob("*.md"), *NOTEBOOKS)} - listed == set()


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_files_of_the_package_that_a_page_names_exist(page):
    named = set(re.findall(r"`((?:dusnet|tests|benchmarks|configs|cuda_ops|tools)/[\w/.-]+)[`:]", page.read_text()))
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()


@pytest.mark.parametrize("line", [marked(page, line) for page, line in RUNS.values()])
@pytest.mark.long
def test_documented_command_runs(line, files, capsys):
    words = shlex.split(line, comments=True)
    assert words[0] == "dusnet", f"say in NOT_RUN why {line!r} cannot run"
    verb = words[1]
    if verb == "synth":
        shutil.rmtree(files / words[2], ignore_errors=True)
    for needs, before in FIRST.items():
        assert needs not in line or main([*before.split(), "--quiet"]) == 0
    smaller = ["--cad-points", "1500"] if "--cad" in words and verb == "train" else []
    code = main([*words[1:], *SMALLER.get(f"{verb} --like" if "--like" in words else verb, []), *smaller])
    assert code in ((0, 1, 2) if "--gate" in words else (0,)), capsys.readouterr().err


PYTHON_PAGES = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW_PAGES else [])
    for page in PAGES
    if any(block.language == "python" for block in blocks_of(page))
]


@pytest.mark.parametrize("page", PYTHON_PAGES)
@pytest.mark.long
def test_documented_code_runs(page, files, monkeypatch):
    """All blocks of a page, one after the other, as if typed into one session; `fit` calibrates with few scans."""
    del files
    few = functools.partial(dusnet.fit, settings=["calibration.replicas=1"])
    monkeypatch.setitem(dusnet.__dict__, "fit", few)
    space: dict[str, object] = {"__name__": "documented", "Path": Path}
    blocks = [block for block in blocks_of(page) if block.language == "python"]
    place, given = GIVEN.get(page.name, (0, ""))
    reasons = []
    for number, block in enumerate(blocks):
        if number == place:
            exec(textwrap.dedent(given), space)  # noqa: S102  (the project's own documentation)
        reason = reason_not_to_run(block.text)
        if reason:
            reasons.append(reason)
        else:
            exec(compile(block.text, block.name, "exec"), space)  # noqa: S102
    if len(reasons) == len(blocks):
        pytest.skip(reasons[0])


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=lambda block: block.name)
def test_documented_study_can_be_read(block, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(block.text)
    assert load_study(str(path)).variants


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.name for path in NOTEBOOKS])
@pytest.mark.long
def test_notebook_runs(path, tmp_path):
    """From the first cell to the last, in a kernel of its own, within a minute."""
    nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra 'docs': pip install -e '.[docs]'")
    nbclient = pytest.importorskip("nbclient", reason="notebooks need the extra 'docs': pip install -e '.[docs]'")
    pytest.importorskip("ipykernel", reason="notebooks need the extra 'docs': pip install -e '.[docs]'")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are made, not kept; clear them"
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()


def test_every_reason_is_used():
    """A pattern that matches nothing any more is removed from the list."""
    texts = [line for _, line in COMMANDS] + [block.text for block in BLOCKS if block.language == "python"]
    unused = [pattern for pattern, _ in NOT_RUN if not any(re.search(pattern, text) for text in texts)]
    assert not unused
