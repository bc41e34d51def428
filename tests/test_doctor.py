"""The page about the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from dusnet import doctor, ops
from dusnet.cli import main


def test_this_machine_is_well_and_the_page_has_what_a_bug_report_needs(capsys):
    assert main(["doctor"]) == 0
    page = capsys.readouterr().out
    for words in (
        torch.__version__,
        ops.status().backend,
        "self-test",
        "found a bump",
        "numpy",
        sys.version.split()[0],
    ):
        assert words in page
    assert page.rstrip().endswith("dusnet can train and score here.")


def test_a_missing_package_is_bad_and_named_with_its_command(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "required_packages", lambda: ["numpy", "package-that-nobody-made"])
    assert main(["doctor"]) == 2
    page = capsys.readouterr().out
    assert "-m pip install package-that-nobody-made" in page
    assert "see packages" in page


def test_a_check_that_breaks_is_a_line_and_the_others_still_run(monkeypatch):
    def broken():
        raise OSError("driver fell over")

    monkeypatch.setattr(doctor, "_devices", broken)
    found = {finding.topic: finding for finding in doctor.examine()}
    assert found["devices"].state == "bad"
    assert "driver fell over" in found["devices"].text
    assert found["self-test"].state == "ok"


def test_plain_torch_ops_are_a_note_with_the_reason():
    script = "from dusnet.doctor import _ops; finding = _ops(); print(finding.state, finding.text)"
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DUSNET_OPS": "python"},
    )
    assert run.stdout.startswith("note python: ")
    assert "DUSNET_OPS" in run.stdout


def test_without_a_compiler_the_command_to_get_one_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    finding = doctor._compiler()
    assert finding.state == "note"
    assert "apt-get install -y g++" in finding.text


def test_only_bad_findings_make_a_machine_unwell():
    fine = [doctor.Finding("a", "ok", ""), doctor.Finding("b", "note", "")]
    assert doctor.well(fine)
    assert not doctor.well([*fine, doctor.Finding("c", "bad", "")])
