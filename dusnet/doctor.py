"""What this machine can do with dusnet, as a page for people and for bug reports.

A check that fails is a line of the report, never its end. Only what the main job needs (fit a model, score a scan)
decides about the verdict.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dusnet import __version__
from dusnet.errors import DusnetError

State = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: what was looked at.
        state: `ok`; `note`: something is absent that the main job does without; `bad`: the main job cannot run.
        text: what was found, and for `note` and `bad` what to do.
    """

    topic: str
    state: State
    text: str


def examine() -> list[Finding]:
    """Look at everything; takes a few seconds."""
    checks: tuple[tuple[str, Callable[[], Finding | list[Finding]]], ...] = (
        ("dusnet", _own_version),
        ("packages", _packages),
        ("torch", _torch),
        ("devices", _devices),
        ("native ops", _ops),
        ("compiler", _compiler),
        ("open3d", _open3d),
        ("pictures", _rendering),
        ("self-test", _self_test),
    )
    found: list[Finding] = []
    for topic, check in checks:
        try:
            answer = check()
        except DusnetError as error:
            answer = Finding(topic, "bad", str(error))
        except Exception as error:  # the report must survive whatever a broken installation throws
            answer = Finding(topic, "bad", f"{type(error).__name__}: {error}")
        found.extend(answer if isinstance(answer, list) else [answer])
    return found


def well(findings: list[Finding]) -> bool:
    """Whether the main job works."""
    return all(finding.state != "bad" for finding in findings)


def as_text(findings: list[Finding]) -> str:
    """The report, one finding per line."""
    width = max(len(finding.topic) for finding in findings)
    lines = [f"{finding.state:<4}  {finding.topic:<{width}}  {finding.text}" for finding in findings]
    bad = [finding.topic for finding in findings if finding.state == "bad"]
    verdict = "dusnet can train and score here." if not bad else f"dusnet cannot work here: see {', '.join(bad)}."
    return "\n".join([*lines, "", verdict])


def _own_version() -> Finding:
    place = Path(__file__).resolve().parent
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Finding("dusnet", "ok", f"{__version__} at {place}, Python {platform.python_version()}, {system}")


def required_packages() -> list[str]:
    """Names of the packages that dusnet's own metadata asks for, without those of its extras."""
    asked = importlib.metadata.requires("dusnet") or []
    return [re.split(r"[^\w.-]", text)[0] for text in asked if "extra ==" not in text]


def _packages() -> list[Finding]:
    versions, missing = [], []
    for name in required_packages():
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    found = [Finding("packages", "ok", ", ".join(versions))]
    if missing:
        found.append(Finding("packages", "bad", f"missing: run `{sys.executable} -m pip install {' '.join(missing)}`"))
    return found


def _torch() -> Finding:
    import torch

    cuda = torch.version.cuda
    built = "built without CUDA" if cuda is None else f"built for CUDA {cuda}"
    return Finding("torch", "ok", f"{torch.__version__}, {built}, {torch.get_num_threads()} threads")


def _devices() -> Finding:
    import torch

    cores = f"cpu ({os.cpu_count()} cores)"
    if torch.cuda.is_available():
        gpus = []
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = properties.total_memory / 2**30
            gpus.append(f"cuda:{index} ({properties.name}, {memory:.0f} GiB, sm_{properties.major}{properties.minor})")
        return Finding("devices", "ok", ", ".join([cores, *gpus]))
    if torch.version.cuda is not None:
        return Finding("devices", "note", f"{cores}; torch is built for CUDA but sees no GPU: check `nvidia-smi`")
    return Finding("devices", "ok", cores)


def _ops() -> Finding:
    from dusnet import ops

    status = ops.status()
    state: State = "note" if status.backend == "python" else "ok"
    simd = "" if status.simd is None else f" with {status.simd} instructions"
    return Finding("native ops", state, f"{status.backend}{simd}: {status.reason}")


def _compiler() -> Finding:
    found = []
    for tool in ("c++", "nvcc"):
        path = shutil.which(tool)
        if path is not None:
            lines = _output([path, "--version"]).splitlines()
            release = next((line for line in lines if "release" in line), lines[0] if lines else "")
            found.append(f"{path} ({release.strip()})")
    if not any("c++" in text for text in found):
        return Finding("compiler", "note", "no C++ compiler: ops run in plain torch; `sudo apt-get install -y g++`")
    return Finding("compiler", "ok", ", ".join(found))


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


def _open3d() -> Finding:
    from dusnet.open3d_import import open3d

    start = time.monotonic()
    version = open3d().__version__
    return Finding("open3d", "ok", f"{version} and its system libraries load in {time.monotonic() - start:.1f} s")


def _rendering() -> Finding:
    from dusnet.display import Panel, draw_picture

    start = time.monotonic()
    points = _sphere(np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "picture.png"
        draw_picture(target, [[Panel("sphere", points, values=points[:, 2])]], width=300)
        size = target.stat().st_size
    return Finding("pictures", "ok", f"drawn without a display in {time.monotonic() - start:.1f} s ({size} bytes)")


def _self_test() -> Finding:
    """The main job in small: learn a sphere, then find the bump on another one."""
    from dusnet.cloud import PointCloud
    from dusnet.detectors import create, load_model
    from dusnet.detectors.settings import load_settings

    start = time.monotonic()
    generator = np.random.default_rng(0)
    good = [_sphere(generator) for _ in range(2)]
    detector = create("nearest", load_settings(None, ["detector=nearest", "registration.method=none"]), seed=0)
    detector.fit([PointCloud(points) for points in good])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sphere.safetensors"
        detector.save(path)
        loaded = load_model(path)
    bumped = _sphere(generator)
    bump = bumped[:, 2] > 0.97
    bumped[bump] *= 1.2
    scores = loaded.score(PointCloud(bumped)).point_scores
    if not scores[bump].mean() > 2 * scores[~bump].mean():
        return Finding("self-test", "bad", "a bump on a sphere was not found; please report this page as a bug")
    return Finding("self-test", "ok", f"trained, saved, loaded and found a bump in {time.monotonic() - start:.1f} s")


def _sphere(generator: np.random.Generator) -> np.ndarray:
    points = generator.normal(size=(4000, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))
