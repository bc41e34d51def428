from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_benchmark import Factory, evaluate
from test_tables import cells, row

from dusnet.data import anomaly_shapenet, real3d_ad
from dusnet.detectors.settings import Settings
from dusnet.errors import BadConfig
from dusnet.evaluation import published
from dusnet.evaluation.published import complete_means, rank_among_published, read_published

ALL = read_published()
REAL, SHAPENET = (ALL.dataset(name) for name in ("Real3D-AD", "Anomaly-ShapeNet"))


def result_of(method: str, dataset: str):
    return next(result for one, result in ALL.on(dataset) if one.name == method)


@pytest.mark.parametrize(
    ("dataset", "metric", "mean"),
    [
        ("Real3D-AD", "o_auroc", 0.7952),
        ("Real3D-AD", "p_auroc", 0.8468),
        ("Anomaly-ShapeNet", "o_auroc", 0.7968),
        ("Anomaly-ShapeNet", "p_auroc", 0.7122),
    ],
)
def test_the_rows_of_dus_net_average_to_its_means(dataset, metric, mean):
    result = result_of("DUS-Net", dataset)
    assert np.mean(list(result.per_class[metric].values())) == pytest.approx(mean, abs=5e-5)
    assert result.means[metric] == pytest.approx(mean, abs=6e-4)


def test_complete_rows_average_to_the_printed_means():
    checked = 0
    for method in ALL.methods:
        for result in method.results:
            for metric, values in result.per_class.items():
                assert np.mean(list(values.values())) == pytest.approx(result.means[metric], abs=1.2e-3), method.name
                checked += 1
    assert checked == 18


def test_the_datasets_are_those_that_the_loaders_know():
    assert set(REAL.classes) == set(real3d_ad.COUNTS)
    assert len(SHAPENET.classes) == 40
    assert set(SHAPENET.classes) <= set(anomaly_shapenet.COUNTS)
    assert {REAL.name, SHAPENET.name} == {real3d_ad.NAME, anomaly_shapenet.NAME}


def test_the_traps_are_told():
    text = " ".join([*ALL.notes, *REAL.notes, *SHAPENET.notes])
    for word in (
        "candybar and toffees",
        "BTF",
        "cuts made by others",
        "AUPRO",
        "ground-truth file",
        ".602 against .446",
    ):
        assert word in text
    readme = result_of("Reg3D-AD", "Real3D-AD").per_class["o_auroc"]
    assert (readme["candybar"], readme["toffees"]) == (0.827, 0.685)
    assert result_of("ISMP", "Real3D-AD").means["o_auroc"] == 0.767
    assert ".757" in result_of("ISMP", "Real3D-AD").notes[0]
    assert result_of("BTF (FPFH)", "Real3D-AD").means["o_auroc"] == 0.635
    assert {result.mark for method in ALL.methods for result in method.results} == {
        "primary",
        "second-hand",
        "unverified",
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    setting:", "    seting:", "seting"),
        ("mark: primary", "mark: surely", "mark"),
        ("airplane: 0.718, ", "", "not complete"),
        ("dataset: Real3D-AD", "dataset: Real3D", "unknown dataset"),
        ("o_auroc: 0.919", "o_auroc: 91.9", "between 0 and 1"),
        ("methods:", "methods: [", "published figures"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, old, new, words):
    text = Path(published.__file__).with_name("published.yaml").read_text()
    assert old in text
    (tmp_path / "wrong.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(BadConfig, match=words):
        read_published(tmp_path / "wrong.yaml")


def test_a_complete_set_is_ranked_among_complete_rows_and_a_part_is_not():
    perfect = [row("ours", name, value=1.0) for name in REAL.classes]
    poor = [row("poor", name, value=0.1) for name in REAL.classes]
    part = [row("part", name, value=0.9) for name in REAL.classes[:3]]
    rows = [*perfect, *poor, *part]
    means = complete_means(rows, REAL)
    assert means["ours"] == {"o_auroc": 1.0, "p_auroc_pooled": 1.0}
    assert means["poor"]["o_auroc"] == pytest.approx(0.1)
    assert set(means) == {"ours", "poor"}
    ranks = rank_among_published(rows, ALL.on("Real3D-AD"), REAL)
    complete = sum("o_auroc" in result.per_class for _, result in ALL.on("Real3D-AD"))
    # 1.000 is printed twice for candybar and twice for diamond, by Reg2Inv and ad3d.
    assert ranks == pytest.approx({"ours": (10 * 1 + 2 + 2) / 12, "poor": complete + 1})
    text = published.markdown(rows, "Real3D-AD")
    assert "* measured here, ours: mean of all 12 classes O-AUROC 1.000, P-AUROC pooled 1.000.\n" in text
    assert "* measured here, part: partial, 3 of 12 classes, so its mean is not compared." in text
    table = [cells(line) for line in text.splitlines() if line.startswith("| ")]
    assert next(line for line in table if line[0] == "DUS-Net")[2:4] == ["0.795", "0.847"]
    assert next(line for line in table if line[0] == "AF3AD")[2] == "0.852 ± 0.012"
    assert not any(line[0] == "ours" for line in table), "no line of ours in a table of theirs"
    assert "corrupted" in published.markdown(rows, "Real3D-AD", plain=False)


def test_classes_that_were_added_later_do_not_enter_the_compared_mean():
    rows = [row("ours", name, value=0.8) for name in SHAPENET.classes] + [row("ours", "cabinet0", value=0.0)]
    assert complete_means(rows, SHAPENET)["ours"]["o_auroc"] == pytest.approx(0.8)


def test_other_datasets_have_no_published_section(dataset, tmp_path):
    evaluate(dataset, ["near"], settings=Settings(), out=tmp_path / "out", calibrate=False, create=Factory())
    assert "Published" not in (tmp_path / "out/results.md").read_text()
    assert json.loads((tmp_path / "out/results.json").read_text())["published"] is None


def test_a_public_class_gets_the_section(dataset, tmp_path):
    from dataclasses import replace

    public = replace(dataset, name="Real3D-AD")
    evaluate(public, ["near"], settings=Settings(), out=tmp_path / "out", calibrate=False, create=Factory())
    text = (tmp_path / "out/results.md").read_text()
    ours, theirs = text.split("## Published figures (not measured here)")
    assert "DUS-Net" not in ours
    assert "partial, 0 of 12" in theirs
    data = json.loads((tmp_path / "out/results.json").read_text())["published"]
    assert data["measured_here"] is False
    assert any(one["name"] == "DUS-Net" and one["mark"] == "primary" for one in data["methods"])
