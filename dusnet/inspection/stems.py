"""Names for result files that no two scans of a batch share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


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
    groups: dict[str, list[int]] = {}
    for number, path in enumerate(paths):
        groups.setdefault(path.stem.casefold(), []).append(number)
    stems = [""] * len(paths)
    for group in groups.values():
        for number, name in zip(group, _told_apart([paths[number] for number in group]), strict=True):
            stems[number] = name
    taken: set[str] = set()
    for number, name in enumerate(stems):
        unique, copy = name, 1
        while unique.casefold() in taken:
            copy += 1
            unique = f"{name}~{copy}"
        taken.add(unique.casefold())
        stems[number] = unique
    return stems


def _told_apart(paths: list[Path]) -> list[str]:
    if len(paths) == 1:
        return [paths[0].stem]
    with_suffix = [f"{path.stem}_{path.suffix.removeprefix('.')}" for path in paths]
    if len({name.casefold() for name in with_suffix}) == len({path.resolve() for path in paths}):
        return with_suffix
    parents = [path.resolve().parent.parts[1:] for path in paths]
    same_suffix = len({path.suffix.casefold() for path in paths}) == 1
    ends = [path.stem for path in paths] if same_suffix else with_suffix
    different = len({path.resolve() for path in paths})
    names = ends
    for depth in range(1, max(map(len, parents)) + 1):
        names = ["__".join((*folder[-depth:], end)) for folder, end in zip(parents, ends, strict=True)]
        if len({name.casefold() for name in names}) == different:
            break
    return names
