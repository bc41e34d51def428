"""The files that the commands and the code of the documentation name, small: scans, a dataset, models, results."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from dusnet.cli import main
from dusnet.cloud import PointCloud
from dusnet.io import read_cloud, write_cloud
from dusnet.synthesis.shapes import make_part

SETS = ["--set", "points=1000", "--set", "good=1", "--set", "per_kind=1", "--set", "kinds=bulge"]


def write_stl(path: Path) -> None:
    """The bracket of the embedded benchmark as a text STL, in mm."""
    mesh = make_part("bracket", np.random.default_rng(0), 0.0)
    rows = []
    for corners in np.asarray(mesh.vertices)[np.asarray(mesh.faces)]:
        rows += ["facet normal 0 0 0", "outer loop", *("vertex {} {} {}".format(*one) for one in corners)]
        rows += ["endloop", "endfacet"]
    path.write_text("\n".join(["solid part", *rows, "endsolid part", ""]))


def make_files(folder: Path) -> Path:
    """Everything that pages name; made with commands, so that these are tried as well."""
    bench, one = folder / "bench", folder / "parts"
    for out, parts in ((bench, "bottle,bracket"), (one, "bracket")):
        assert main(["synth", str(out), "--parts", parts, "--variation", "0.005", *SETS, "--quiet"]) == 0
    train, test = one / "pcd" / "bracket" / "train", one / "pcd" / "bracket" / "test"
    (folder / "good_scans").mkdir()
    for name, pattern in (("more_good_scans", "*positive*"), ("more_good", "*positive*"), ("scans", "*")):
        (folder / name).mkdir()
        for scan in test.glob(f"{pattern}.pcd"):
            shutil.copy(scan, folder / name)
    good = [read_cloud(path) for path in sorted(train.iterdir())]
    for number, cloud in enumerate(good):
        write_cloud(folder / "good_scans" / f"{number}.ply", cloud)
    bulge = read_cloud(test / "bracket_bulge0.pcd")
    for name, cloud in zip(("a", "b", "c", "good1", "good2", "good3"), (*good[:3], *good[:3]), strict=True):
        write_cloud(folder / f"{name}.ply", cloud)
    for name in ("scan", "scan1", "part", "fixtured", "new_scans/new_scan"):
        (folder / name).parent.mkdir(exist_ok=True)
        write_cloud(folder / f"{name}.ply", bulge)
    write_cloud(folder / "scan_in_metres.ply", PointCloud(bulge.points * 0.001))
    shutil.copy(test / "bracket_positive0.pcd", folder / "scan2.pcd")
    write_stl(folder / "part.stl")
    shutil.copy(folder / "part.stl", folder / "part_in_mm.stl")
    model = str(folder / "bracket.safetensors")
    words = ["--unit", "mm", "--set", "calibration.replicas=1", "--quiet"]
    assert main(["train", str(train), "--out", model, *words]) == 0
    for scan in ("part.ply", "new_scans/new_scan.ply"):
        assert main(["score", model, str(folder / scan), "--out", str(folder / "results"), "--quiet"]) == 0
    return folder
