"""Files that come into a folder, each handed on only when nobody writes it any more."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dusnet.io.clouds import CLOUD_SUFFIXES, SHARED_SUFFIXES, natural_key
from dusnet.io.files import unreadable


@dataclass(frozen=True)
class Arrival:
    """A file as it was when it was looked at.

    Attributes:
        path: of the file.
        size: in bytes.
        changed: when it was changed, in nanoseconds as the file system says it.
    """

    path: Path
    size: int
    changed: int

    @property
    def state(self) -> str:
        """What changes when the file does."""
        return f"{self.size} {self.changed}"

    def still_so(self) -> bool:
        """Whether the file is there and did not change since."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.changed)


class Arrivals:
    """The scans of a folder by their names, hidden files left out, as they come and change.

    Args:
        folder: it is looked at without the folders in it.
        settle: seconds in which size and time of a file must stay the same before it counts as complete.
        clock: seconds that only grow.
    """

    def __init__(self, folder: Path, settle: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._settle, self._clock = folder, settle, clock
        self._since: dict[Path, tuple[Arrival, float]] = {}
        self._settled: dict[Path, Arrival] = {}

    def look(self) -> list[Arrival]:
        """The files that became complete since the last look, or that were put back, in the order of their names.

        Raises:
            BadInput: the folder cannot be read.
        """
        now, found = self._clock(), {arrival.path: arrival for arrival in self._present()}
        self._settled = {path: seen for path, seen in self._settled.items() if found.get(path) == seen}
        before = self._since
        self._since = {}
        ready = []
        for path, arrival in found.items():
            if path in self._settled:
                continue
            seen, since = before.get(path, (arrival, now))
            if seen != arrival:
                since = now  # also for one that was put back for later: it is another file now
            if now - since >= self._settle:
                self._settled[path] = arrival
                ready.append(arrival)
            else:
                self._since[path] = arrival, since
        return sorted(ready, key=lambda arrival: natural_key(arrival.path))

    def put_back(self, arrival: Arrival, seconds: float = 0.0) -> None:
        """Hand a file on once more after it stayed the same for `seconds` and the time to settle."""
        self._settled.pop(arrival.path, None)
        self._since[arrival.path] = arrival, self._clock() + seconds

    def settling(self) -> bool:
        """Whether there are files that will be handed on when they stay the same; not those put back for later."""
        now = self._clock()
        return any(since <= now for _, since in self._since.values())

    def _present(self) -> list[Arrival]:
        found: list[Arrival] = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if entry.name.startswith(".") or path.suffix.lower() not in CLOUD_SUFFIXES:
                        continue
                    try:
                        if entry.is_file():
                            state = entry.stat()
                            found.append(Arrival(path, state.st_size, state.st_mtime_ns))
                    except OSError:
                        continue  # it went away, or it is a link that leads nowhere yet
        except OSError as error:
            raise unreadable(self._folder, error) from error
        return [arrival for arrival in found if arrival.path.suffix.lower() not in SHARED_SUFFIXES] or found
