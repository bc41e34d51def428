"""Starting the command: help, version, speed of start, exit codes of mistakes, bugs and interruptions."""

import re
import subprocess
import sys

import pytest
import torch
import typer

import dusnet
from dusnet import cli
from dusnet.cli._common import if_interrupted, mendable
from dusnet.detectors.settings import load_settings
from dusnet.errors import BadInput

VERBS = ["demo", "synth", "check", "train", "score", "compare", "evaluate", "view", "bench", "doctor"]


def test_version(run):
    assert run("--version").out == f"dusnet {dusnet.__version__}\n"


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_lists_every_verb(run, words):
    result = run(*words)
    assert result.code == 0
    assert all(f"\n  {verb} " in result.out for verb in VERBS)


@pytest.mark.parametrize("verb", [[verb] for verb in VERBS if verb != "bench"] + [["bench", "ops"], ["bench", "score"]])
def test_every_verb_has_help_with_an_example(run, verb):
    result = run(*verb, "--help")
    assert result.code == 0
    assert f"Example: dusnet {' '.join(verb)}" in " ".join(result.out.split())


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("bench", "doctor")])
def test_every_working_verb_can_be_quiet(run, verb):
    assert "--quiet" in run(verb, "--help").out


def test_help_loads_nothing_heavy():
    script = (
        "import sys; from dusnet.cli import main; main(['--help']); main(['train', '--help']); "
        "heavy = {'torch', 'open3d', 'scipy', 'sklearn', 'h5py', 'trimesh'} & set(sys.modules); assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_module_is_the_same_command():
    run = subprocess.run([sys.executable, "-m", "dusnet", "--version"], capture_output=True, text=True, check=False)
    assert run.stdout == f"dusnet {dusnet.__version__}\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["score"], "MODEL"),
        (["train", "scans"], "--out"),
        (["fly"], "fly"),
        (["check", "x", "--colour"], "--colour"),
        (["train", "x", "--out", "m", "--seed", "soon"], "--seed"),
        (["synth", "x", "--layout", "mvtec"], "--layout"),
        (["demo", "--budget", "endless"], "--budget"),
    ],
)
def test_usage_mistakes_are_one_line_and_exit_2(run, words, named):
    result = run(*words)
    assert result.code == 2
    assert named in result.sentence
    assert "--help" in result.sentence


def test_a_bug_keeps_its_traceback_and_has_an_exit_code_of_its_own():
    script = "import sys; from dusnet import cli; cli.app.command('b')(lambda: 1 / 0); sys.exit(cli.main(['b']))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == cli.BUG == 70
    assert "ZeroDivisionError" in run.stderr
    assert "Traceback" in run.stderr


def _app_that(action, monkeypatch):
    app = typer.Typer()
    app.callback()(lambda: None)
    app.command("work")(action)
    monkeypatch.setattr(cli, "app", app)


def test_interruption_says_what_was_saved_and_exits_130(run, monkeypatch):
    def work() -> None:
        with if_interrupted(lambda: "3 of 4 scans are in results."):
            raise KeyboardInterrupt

    _app_that(work, monkeypatch)
    result = run("work")
    assert result.code == 130
    assert result.sentence == "dusnet: interrupted; 3 of 4 scans are in results."


def test_interruption_outside_of_work_exits_130(run, monkeypatch):
    def work() -> None:
        raise KeyboardInterrupt

    _app_that(work, monkeypatch)
    result = run("work")
    assert result.code == 130
    assert result.sentence == "dusnet: interrupted"


def test_a_message_with_line_breaks_becomes_one_line(run, monkeypatch):
    def work() -> None:
        raise BadInput("the file\n  is bad; mend it.")

    _app_that(work, monkeypatch)
    result = run("work")
    assert (result.code, result.sentence) == (2, "dusnet: the file is bad; mend it.")


def test_full_disk_and_memory_are_the_users_to_mend_and_other_errors_are_not():
    assert "No space left" in mendable(OSError(28, "No space left on device", "out/x.ply"))
    with pytest.raises(RuntimeError) as on_the_cpu:
        torch.empty(2**60, dtype=torch.uint8)
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), on_the_cpu.value):
        sentence = mendable(error)
        settings = re.findall(r"\w+(?:\.\w+)+", sentence)
        assert {"training.down.batch", "grouping.groups", "scoring.max_centers"} <= set(settings)
        load_settings(None, [f"{setting}=1000" for setting in settings])  # they exist
    assert mendable(RuntimeError("shapes differ")) is None
    assert mendable(OSError(9, "Bad file descriptor")) is None
    assert mendable(ValueError("shapes differ")) is None


def test_output_that_nobody_reads_is_no_error():
    command = f"{sys.executable!r} -m dusnet --help | true"
    run = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert run.stderr == ""
