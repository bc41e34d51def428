"""Names for result files that no two scans of a batch share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dusnet.io import printable


def result_stems(paths: Sequence[Path]) -> list[str]:
    """Names for the results of a batch, different for every scan and independent of the order of the others.

    A scan is called by its file name without suffix. Scans that would share a name (upper and lower case count as the
    same) get the suffix added when that tells all of them apart (`part_ply`, `part_pcd`), else as many names of parent
    folders in front as are needed (`line1__part`, `line2__part`). A name that is taken even then (the same file
    twice) gets a number (`part~2`).

    Args:
        paths: the scans of the batch.

    Returns:
        One stem per path, in order.

    Example:
        >>> result_stems([Path("a/part.ply"), Path("b/part.ply"), Path("a/lid.ply")])
        ['a__part', 'b__part', 'lid']
    """
    files = [Path(printable(str(path.resolve().with_name(path.name)))) for path in paths]
    groups: dict[str, list[Path]] = {}
    for file in dict.fromkeys(files):
        groups.setdefault(file.stem.casefold(), []).append(file)
    names = {file: name for group in groups.values() for file, name in zip(group, _told_apart(group), strict=True)}
    stems, taken = [], set[str]()
    for file in files:
        unique, copy = names[file], 1
        while unique.casefold() in taken:
            copy += 1
            unique = f"{names[file]}~{copy}"
        taken.add(unique.casefold())
        stems.append(unique)
    return stems


def _told_apart(files: list[Path]) -> list[str]:
    """Names of different files that have the same stem."""
    if len(files) == 1:
        return [files[0].stem]
    with_suffix = [f"{file.stem}_{file.suffix.removeprefix('.')}" for file in files]
    if len({name.casefold() for name in with_suffix}) == len(files):
        return with_suffix
    same_suffix = len({file.suffix.casefold() for file in files}) == 1
    ends = [file.stem for file in files] if same_suffix else with_suffix
    folders = [file.parent.parts[1:] for file in files]
    names = ends
    for depth in range(1, max(map(len, folders)) + 1):
        names = ["__".join((*folder[-depth:], end)) for folder, end in zip(folders, ends, strict=True)]
        if len({name.casefold() for name in names}) == len(files):
            break
    return names
