"""Which files dusnet wrote, told by what they hold: names alone decide nothing, and a file keeps its mark when renamed.

docs/results.md lists the marks. Files of earlier versions that carry none are known by contents that nothing else has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from dusnet.errors import BadInput

GENERATOR = "dusnet"
"""The mark of JSON files (key `generator`), pages (meta element `generator`) and pictures (text `Software`)."""
WRITTEN_BY = "written by dusnet"
"""Comment of every PLY file that dusnet writes, scans included."""
RESULT_COMMENT = "dusnet result:"
"""Begins the comment that only the clouds of a result have; the kind follows."""
MARKDOWN_MARK = "<!-- written by dusnet -->"

_HEAD = 1 << 13
_JSON_LIMIT = 1 << 25
_PNG = b"\x89PNG\r\n\x1a\n"


class FileKind(Enum):
    """What a file is that dusnet wrote."""

    SCORED = "scored scan"
    RECONSTRUCTION = "reconstruction"
    RECORD = "result"
    SUMMARY = "summary"
    PAGE = "page"
    PICTURE = "picture"
    EVALUATION = "evaluation"
    SETTINGS = "settings"
    MODEL = "model"


RESULT_CLOUDS = (FileKind.SCORED, FileKind.RECONSTRUCTION)


def comments_of(result: FileKind | None) -> tuple[str, ...]:
    """The comments of a PLY file that dusnet writes: a part of a result, or a scan where it is None."""
    return (WRITTEN_BY,) if result is None else (WRITTEN_BY, f"{RESULT_COMMENT} {result.value}")


def kind_of(path: Path) -> FileKind | None:
    """What dusnet wrote this file as; None for scans, for files of others, and where there is no file to read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (OSError, ValueError):
        return None
    if head.startswith(b"ply"):
        return _ply(path, head)
    if head.startswith(_PNG):
        return FileKind.PICTURE if _software(head) == GENERATOR else None
    if head[8:9] == b"{" and b'"dusnet"' in head and b'"__metadata__"' in head:
        return FileKind.MODEL
    return _text(path, head)


def is_result(path: Path) -> bool:
    """Whether a file that looks like a scan is a result or a table of dusnet and no scan."""
    return kind_of(path) in (*RESULT_CLOUDS, FileKind.SUMMARY, FileKind.EVALUATION)


def save_picture(picture: Any, path: Path) -> None:
    """Write a picture of Pillow as PNG with the mark of dusnet; not atomic by itself."""
    from PIL.PngImagePlugin import PngInfo

    mark = PngInfo()
    mark.add_text("Software", GENERATOR)
    picture.save(path, format="PNG", pnginfo=mark)


def is_png(path: Path) -> bool:
    """Whether a file is a PNG picture, by whomever."""
    try:
        with path.open("rb") as file:
            return file.read(len(_PNG)) == _PNG
    except OSError:
        return False


def require_replaceable(path: Path, *kinds: FileKind, named: bool = False) -> None:
    """Refuse to write `path` where that would destroy something that dusnet did not write.

    Args:
        path: the file to write.
        kinds: what may be there already.
        named: the user named this very file; an empty one, as `mktemp` makes, may be replaced then.

    Raises:
        BadInput: something else is there.
    """
    try:
        taken, size = path.is_symlink() or path.exists(), path.stat().st_size if path.exists() else 0
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); choose another name or place.") from error
    if not taken or kind_of(path) in kinds or (named and not size and path.is_file()):
        return
    if path.is_dir():
        raise BadInput(f"{path} is a folder and cannot be replaced by a file; move it away or choose another place.")
    if not path.is_file():
        raise BadInput(f"{path} is there already and is no regular file; choose another place.")
    kind = kinds[0].value
    article = "an" if kind[0] in "aeiou" else "a"
    raise BadInput(f"{path} was not written by dusnet as {article} {kind}; move it away or choose another place.")


def _ply(path: Path, head: bytes) -> FileKind | None:
    end = head.find(b"end_header")
    lines = head[: end if end >= 0 else len(head)].decode("latin-1").splitlines()
    comments = [line.removeprefix("comment ").strip() for line in lines if line.startswith("comment ")]
    for kind in RESULT_CLOUDS:
        if f"{RESULT_COMMENT} {kind.value}" in comments:
            return kind
    if comments[:1] != [WRITTEN_BY] or len(comments) > 1:
        return None
    # Earlier versions wrote no second comment.
    properties = [line.split()[-1] for line in lines if line.startswith("property ")]
    if "anomaly_score" in properties:
        return FileKind.SCORED
    stem = path.name.removesuffix(".reconstruction.ply")
    if stem != path.name and kind_of(path.with_name(f"{stem}.scored.ply")) is FileKind.SCORED:
        return FileKind.RECONSTRUCTION
    return None


def _software(head: bytes) -> str | None:
    """The text `Software` of a PNG file, which stands before the picture itself."""
    place = len(_PNG)
    while place + 8 <= len(head):
        size, name = int.from_bytes(head[place : place + 4], "big"), head[place + 4 : place + 8]
        body = head[place + 8 : place + 8 + size]
        if name == b"IDAT":
            return None
        if name == b"tEXt" and body.startswith(b"Software\0"):
            return body.removeprefix(b"Software\0").decode("latin-1")
        place += 12 + size
    return None


def _text(path: Path, head: bytes) -> FileKind | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] in (b"{", b"["):
        return _json(path)
    if path.suffix == ".md":
        return FileKind.EVALUATION if _markdown(path, start) else None
    if start[:1] == b"<":
        return FileKind.PAGE if b'<meta name="generator" content="dusnet' in head[:4096] else None
    first = start.split(b"\n", 1)[0].rstrip(b"\r")
    if first.startswith(b"stem,scan,verdict,reasons,object_score,threshold,is_anomalous,"):
        return FileKind.SUMMARY
    if first.startswith(b"class,detector,seed,") and first.endswith(b",fingerprint"):
        return FileKind.EVALUATION
    return None


def _markdown(path: Path, start: bytes) -> bool:
    if MARKDOWN_MARK.encode() in start:
        return True
    # Earlier versions wrote no mark; their tables lie beside the same as JSON.
    return path.name == "results.md" and kind_of(path.with_name("results.json")) is FileKind.EVALUATION


def _json(path: Path) -> FileKind | None:
    try:
        if path.stat().st_size > _JSON_LIMIT:
            return None
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return json_kind(data)


def json_kind(data: Any) -> FileKind | None:
    """What dusnet wrote this content of a JSON file as; None for that of others."""
    if isinstance(data, list):
        one = data[0] if data and isinstance(data[0], dict) else {}
        return FileKind.EVALUATION if {"method", "recognised", "score_seconds"} <= one.keys() else None
    if not isinstance(data, dict):
        return None
    return next((kind for kind, known in _CONTENTS if known(data)), None)


def _holds(*keys: str) -> Callable[[dict[str, Any]], bool]:
    return lambda data: data.keys() >= set(keys)


def _is_record(data: dict[str, Any]) -> bool:
    model, scan = data.get("model"), data.get("scan")
    return (
        "schema_version" in data
        and "object_score" in data
        and isinstance(model, dict)
        and "sha256" in model
        and isinstance(scan, dict)
    )


_CONTENTS: tuple[tuple[FileKind, Callable[[dict[str, Any]], bool]], ...] = (
    (FileKind.RECORD, _is_record),
    (FileKind.EVALUATION, _holds("schema_version", "conventions", "rows")),
    (FileKind.EVALUATION, _holds("schema_version", "detector", "class_name", "fingerprint")),
    (FileKind.EVALUATION, _holds("model_sha256", "metrics")),
    (FileKind.SETTINGS, _holds("detector", "training", "scoring")),
)
