"""A folder that scans come into: each is judged once, also when the process is stopped or killed in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dusnet.batch import Batch
from dusnet.errors import BadConfig, BadInput, DusnetError, passes, trouble_with
from dusnet.inspection.result_files import RECONSTRUCTION
from dusnet.inspection.verdict import Verdict
from dusnet.io import printable, remove_file
from dusnet.io.arrivals import Arrival, Arrivals
from dusnet.io.files import file_sha256, reason, write_json
from dusnet.io.locks import sole_process
from dusnet.io.marks import is_result
from dusnet.io.strict_json import parse_json
from dusnet.result import NoResult, Result
from dusnet.summary import GrowingSummary, stored_results
from dusnet.terminal import one_line

LOCK, FAILURES = ".watch.lock", ".watch.json"
_PAUSE = 0.1  # seconds in which a signal to stop is heard
_TRIES = 3
_LATER = 30.0  # seconds until a scan is tried again that memory, disk or permissions stood against
_RENEW, _SHARE = 5.0, 20.0  # the overviews are renewed after so many seconds, and so many times what it takes


class Watch:
    """Judges the scans that come into a folder, one by one.

    A scan is judged when the folder of the results holds a result of a file of its name, its content and this model,
    with the pages and pictures that are asked for. So nothing has to be kept that a killed process could leave wrong.

    Args:
        batch: judges one scan and holds the folder of the results.
        folder: where scans appear.
        model_sha256: of the model file; results of another model do not count.
        settle: seconds in which a file must not change before it is read.
        interval: seconds between two looks at the folder.
        say: given one sentence for each scan that could not be judged.

    Attributes:
        verdicts: of the scans that this run judged.
        failed: scans that this run could not judge, by name.
    """

    def __init__(
        self,
        batch: Batch,
        folder: Path,
        model_sha256: str | None,
        *,
        settle: float,
        interval: float,
        say: Callable[[str], None],
    ) -> None:
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder; name the folder that scans come into.")
        if settle < 0 or interval <= 0:
            raise BadConfig("--settle must not be below 0 and --interval must be above 0 seconds.")
        self._batch, self._folder, self._out, self._model = batch, folder, batch.output.folder, model_sha256
        self._interval, self._say = interval, say
        self._arrivals = Arrivals(folder, settle)
        self._summary = GrowingSummary(self._out)
        self._judged: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._failures: dict[str, dict[str, str]] = {}
        self._tries: dict[Arrival, int] = {}
        self._due, self._appended, self._cost, self._renewed = False, False, 0.0, 0.0
        self._trouble = ""
        self.verdicts: list[Verdict] = []
        self.failed: set[str] = set()

    def run(self, stopped: Callable[[], bool], idle_exit: float | None = None) -> None:
        """Judge scans until it is stopped; the scan at hand is finished.

        Args:
            stopped: asked between scans.
            idle_exit: end when nothing came for so many seconds and no file is settling; None for never.

        Raises:
            BadInput: the folder of the scans cannot be read when nothing came for `idle_exit` seconds, or that of the
                results cannot.
            BadConfig: another process watches for the same folder of results, or the folder cannot be written.
        """
        self._batch.require_free([])
        self._out.mkdir(parents=True, exist_ok=True)
        try:
            with sole_process(self._out / LOCK) as alone:
                if not alone:
                    raise BadConfig(f"another `dusnet watch` writes into {self._out}; stop it or choose another --out.")
                self._recall()
                try:
                    self._look_until(stopped, idle_exit)
                finally:
                    self._renew()
        except OSError as error:
            if error.filename in (str(self._out / LOCK), self._out / LOCK):
                raise BadConfig(f"{self._out} cannot be written ({reason(error)}); choose another --out.") from error
            raise

    def _recall(self) -> None:
        """Learn from the folder of the results what was judged, and list what a killed process did not list."""
        results, _ = stored_results(self._out)
        for result in results:
            self._owners[result.stem.casefold()] = result.name
            whole = all(
                path.is_file() for path in self._batch.files(result.stem) if not path.name.endswith(RECONSTRUCTION)
            )
            if whole and result.scan.sha256 is not None and result.model.sha256 == self._model:
                self._judged[result.name] = result.scan.sha256
        self._failures = _read_failures(self._out / FAILURES)
        self._renew()

    def _look_until(self, stopped: Callable[[], bool], idle_exit: float | None) -> None:
        last = time.monotonic()
        lost: BadInput | None = None
        while not stopped():
            arrived: list[Arrival] = []
            try:
                arrived, lost = self._arrivals.look(), None
            except BadInput as error:  # a drive that is away for a while ends no line
                if lost is None:
                    self._say(f"{one_line(str(error)).rstrip('.')}; it is looked at again every {self._interval:g} s.")
                lost = error
            for arrival in arrived:
                if stopped():
                    return
                if self._take(arrival):
                    last = time.monotonic()
                self._renew_if_due()
            self._renew_if_due()
            idle = time.monotonic() - last
            if idle_exit is not None and idle >= idle_exit and not self._arrivals.settling():
                if lost is not None:
                    raise lost
                return
            end = time.monotonic() + self._interval
            while not stopped() and (left := end - time.monotonic()) > 0:
                time.sleep(min(left, _PAUSE))

    def _take(self, arrival: Arrival) -> bool:
        """Judge a file that is complete, unless that was done; says whether it was looked into."""
        path, name = arrival.path, printable(arrival.path.name)
        known = self._failures.get(name)
        if known is not None and (known["state"], known["model_sha256"]) == (arrival.state, str(self._model)):
            self.failed.add(name)
            return False
        if is_result(path):
            return False
        try:
            if name in self._judged and file_sha256(path) == self._judged[name]:
                return False
            if not arrival.still_so():
                self._arrivals.put_back(arrival)
                return False
            self._judge(arrival, name)
        except Exception as error:  # a scan can be wrong in more ways than anybody has thought of
            self._fail(arrival, name, error)
        return True

    def _judge(self, arrival: Arrival, name: str) -> None:
        stem = self._stem(name)
        listed = stem.casefold() in self._owners
        self._owners[stem.casefold()] = name
        self._judged.pop(name, None)
        if listed:
            self._due = True  # its line goes away with its former result

        def keep(result: Result) -> None:
            self._judged[name] = str(result.scan.sha256)
            self.verdicts.append(result.verdict)
            if listed or not self._summary.append(result):
                self._due = True
            self._appended = True

        self._batch.judge(arrival.path, stem, keep)
        self._tries.pop(arrival, None)
        self.failed.discard(name)
        if self._failures.pop(name, None) is not None:
            self._write_failures()

    def _fail(self, arrival: Arrival, name: str, error: Exception) -> None:
        sentence = one_line(trouble_with(str(arrival.path), error))
        tries = self._tries[arrival] = self._tries.get(arrival, 0) + 1
        if not arrival.still_so():
            self._tries.pop(arrival)  # it is gone, or it was still written and will settle
        elif passes(error):
            if tries == 1:
                self._say(f"{sentence.rstrip('.')}; it is tried again every {_LATER:.0f} s.")
            self.failed.add(name)
            self._arrivals.put_back(arrival, _LATER)
        elif tries < _TRIES and isinstance(error, DusnetError):
            self._arrivals.put_back(arrival)
        else:
            self._say(sentence)
            self.failed.add(name)
            self._failures[name] = {"state": arrival.state, "model_sha256": str(self._model), "sentence": sentence}
            self._write_failures()

    def _stem(self, name: str) -> str:
        """What the results of a scan are called: as no results of another scan are, and the same each time."""
        suffix = Path(name).suffix
        plain = Path(name).stem
        candidates = [plain, f"{plain}_{suffix.removeprefix('.')}"]
        copy = 1
        while True:
            for stem in candidates:
                if self._owner(stem) in (None, name):
                    return stem
            copy += 1
            candidates = [f"{plain}~{copy}"]

    def _owner(self, stem: str) -> str | None:
        """The scan that the results of this name are of, also where another process wrote them meanwhile."""
        key = stem.casefold()
        if key not in self._owners:
            try:
                self._owners[key] = Result.read(self._out / f"{stem}.json").name
            except (NoResult, BadInput):  # none is there, or none that can be listed
                return None
        return self._owners[key]

    def _write_failures(self) -> None:
        self._due = True
        try:
            if self._failures:
                write_json(self._out / FAILURES, {"generator": "dusnet", "failures": self._failures})
            else:
                remove_file(self._out / FAILURES)
        except BadInput as error:
            self._say(one_line(str(error)))

    def _renew_if_due(self) -> None:
        wanted = self._due or (self._appended and self._batch.output.report)
        if wanted and time.monotonic() - self._renewed >= max(_RENEW, _SHARE * self._cost):
            self._renew()

    def _renew(self) -> None:
        start = time.monotonic()
        try:
            self._batch.renew_overview([one["sentence"] for one in self._failures.values()])
            self._summary.renewed()
            self._due = self._appended = False
            self._trouble = ""
        except DusnetError as error:
            sentence = one_line(str(error))
            if sentence != self._trouble:
                self._say(sentence)
            self._trouble = sentence
        self._renewed = time.monotonic()
        self._cost = self._renewed - start


def _read_failures(path: Path) -> dict[str, dict[str, str]]:
    """What an earlier run could not judge; a file that is no such record counts as none, so all are tried again."""
    try:
        found: Any = parse_json(path.read_text(encoding="utf-8"))
        failures = found["failures"]
        return {
            str(name): {key: str(one[key]) for key in ("state", "model_sha256", "sentence")}
            for name, one in failures.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
