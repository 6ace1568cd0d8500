"""All dates of a backfill: each is started as soon as what it waits for is there, up to so many at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple, TextIO

from pinrec_core import storage
from pinrec_core.progress import doing
from pipelines.backfill.done import earlier_result, keep_result, refuse_to_go_back
from pipelines.backfill.plan import Next, Planned, State, day_before, what_next
from pipelines.backfill.process import DateJob, SharedLock, run_date
from pipelines.backfill.result import DateResult, DateStatus

_PRELOADED = ["kfp.local", "pipelines.backfill.process", "pipelines.training"]


class Settings(NamedTuple):
    """How a backfill runs."""

    work: Path
    lock: TextIO  # of the work folder
    python: str  # interpreter of the tasks
    parallel: int  # dates at once
    go_live: bool
    lookback_days: int
    tell: Callable[[str], None]  # hears one line per event


class Backfill:
    """Runs dates and keeps what came of them."""

    def __init__(self, planned: list[Planned], settings: Settings):
        self._settings, self._planned = settings, {one.date: one for one in planned}
        self._running: dict[Connection, tuple[str, BaseProcess]] = {}
        self._datasets: dict[str, str] = {}
        self._results: dict[str, DateResult] = {}
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(_PRELOADED)

    def run(self, before_first: DateResult | None = None) -> list[DateResult]:
        """The results in order of dates. `before_first` is that of the day before the first, if there is one.

        Raises ConfigError if it is to promote and a later date is live already.
        """
        if before_first:
            self._know_dataset(before_first)
        for one in self._planned.values():
            if found := earlier_result(self._settings.work, one):
                self._end(found)
        if self._settings.go_live:
            refuse_to_go_back([one for date, one in self._planned.items() if date not in self._results])
        with doing("dates", len(self._planned), look=lambda: len(self._results)):
            self._run_all()
        return [self._results[date] for date in self._planned]

    def _run_all(self) -> None:
        """Until nothing runs and nothing may start."""
        try:
            self._start_what_may()
            while self._running:
                for connection in wait(list(self._running)):
                    self._hear(connection)
                self._start_what_may()
        finally:
            for _, process in self._running.values():
                process.terminate()

    def _start_what_may(self) -> None:
        state, first = State(self._datasets, self._results), next(iter(self._planned))
        running = {date for date, _ in self._running.values()}
        for date in [date for date in self._planned if date not in self._results and date not in running]:
            step, culprit = what_next(date, state, first=first, go_live=self._settings.go_live,
                                      lookback_days=self._settings.lookback_days)
            if step is Next.GIVE_UP:
                self._end(DateResult(date=date, status=DateStatus.NOT_RUN, sentence=f"it depends on {culprit}"))
            elif step is Next.START and len(self._running) < self._settings.parallel:
                self._start(date)

    def _start(self, date: str) -> None:
        arguments = self._planned[date].arguments | {"previous": self._datasets.get(day_before(date), "")}
        job = DateJob(date, arguments, self._settings.work, self._settings.python, self._settings.parallel)
        ours, theirs = self._processes.Pipe(duplex=False)
        process = self._processes.Process(target=run_date, args=(job, theirs, SharedLock(self._settings.lock)))
        process.start()
        theirs.close()
        self._running[ours] = (date, process)
        self._settings.tell(f"{date}  start")

    def _hear(self, connection: Connection) -> None:
        date, process = self._running[connection]
        try:
            kind, content = connection.recv()
        except EOFError:  # its end; without a result before, it was killed or did not get as far
            del self._running[connection]
            process.join()
            if date not in self._results:
                self._end(DateResult(date=date, status=DateStatus.FAILED, sentence=(
                    f"its process ended with exit code {process.exitcode}; see {self._settings.work}/logs")))
            return
        if kind == "result":
            self._end(content)
        elif kind == "dataset" and content:
            self._datasets[date] = content
        elif kind == "says":
            self._settings.tell(f"{date}  {content}")

    def _end(self, result: DateResult) -> None:
        self._results[result.date] = result
        self._know_dataset(result)
        if not result.again:
            keep_result(self._settings.work, self._planned[result.date], result)
            self._settings.tell(f"{result.date}  {result.status.value}  {result.seconds:.1f} s, {result.reused} of "
                                f"{result.steps} steps reused")

    def _know_dataset(self, result: DateResult) -> None:
        if result.dataset and storage.exists(storage.join(result.dataset, storage.MANIFEST_NAME)):
            self._datasets[result.date] = result.dataset
