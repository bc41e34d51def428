"""Results of `compare` from before bodies were counted: the schema takes them, and they are read and shown."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from cad_parts import stepped_box, write_stl

from dusnet.cad.comparison import CadModel, Tolerance
from dusnet.cloud import PointCloud
from dusnet.display.report.comparison import panel
from dusnet.display.report.lengths import Lengths
from dusnet.io import sample_mesh
from dusnet.result import Result
from dusnet.summary import stored_results

COUNTED = ("bodies", "united", "left_out", "not_united")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("compared")
    mesh = stepped_box()
    model = CadModel(write_stl(folder / "box.stl", mesh), search=False)
    scan = PointCloud(sample_mesh(mesh, 800, np.random.default_rng(1))[0])
    found = model.compare(scan, Tolerance.of(0.2, 0.2, "mm"), stem="part")
    found.write(folder)
    return found


def check(record: dict[str, Any]) -> None:
    jsonschema.validate(record, Result.json_schema(), jsonschema.Draft202012Validator)


def test_a_record_without_counts_of_bodies_is_valid_is_read_and_is_shown(result: Result) -> None:
    record = json.loads(result.json_path.read_text())
    check(record)
    for key in COUNTED:
        del record["comparison"]["cad"][key]
        check(record)
    result.json_path.write_text(json.dumps(record))
    again = Result.read(result.json_path)
    assert again.record == record
    assert (again.verdict, again.object_score) == (result.verdict, result.object_score)
    assert [[one.stem for one in stored_results(result.json_path.parent)[0]]] == [["part"]]
    assert "not counted" in panel(again.comparison, Lengths("mm", 3, 4))


def test_what_is_there_must_still_be_right(result: Result) -> None:
    for key in COUNTED:
        for wrong in (-1, 1.5, "1", None):
            cad = result.record["comparison"]["cad"] | {key: wrong}
            with pytest.raises(jsonschema.ValidationError):
                check(result.record | {"comparison": result.record["comparison"] | {"cad": cad}})
    for key in ("file", "sha256", "unit", "triangles", "watertight"):
        cad = {name: value for name, value in result.record["comparison"]["cad"].items() if name != key}
        with pytest.raises(jsonschema.ValidationError):
            check(result.record | {"comparison": result.record["comparison"] | {"cad": cad}})


def test_new_results_count_the_bodies(result: Result) -> None:
    cad = result.record["comparison"]["cad"]
    assert [cad[key] for key in COUNTED] == [1, 0, 0, 0]
