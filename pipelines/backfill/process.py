"""One date in a process of its own: KFP's local runner knows one run per process, and one that is killed takes no other
date with it.
"""

from __future__ import annotations

import json
import sys
import time
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pinrec_core import storage
from pinrec_core.cli.exit_codes import EXIT_INTERRUPTED
from pinrec_core.errors import PinrecError
from pinrec_core.report.run_folder import DATA, run_folder
from pipelines.backfill.result import DateResult, DateStatus
from pipelines.conclusion import conclude
from pipelines.local import run_locally
from pipelines.task_log import Task

QUIET_S = 20.0  # what a running task says is told at most this often


class DateJob(NamedTuple):
    """What a date's process is told."""

    date: str
    arguments: dict[str, Any]
    work: Path
    python: str  # interpreter of the tasks
    runs: int  # at once, to share the cores


class SharedLock:
    """The lock of the work folder, for a child to hold too: it must not be free while a date still runs there."""

    def __init__(self, file: TextIO):
        self._file = file

    def __reduce__(self) -> tuple:
        return _held, (reduction.DupFd(self._file.fileno()),)


def _held(duplicate: Any) -> int:
    return duplicate.detach()  # open as long as the process lives


def run_date(job: DateJob, connection: Connection, _lock: int) -> None:
    """Run a date and tell: ("dataset", where), ("says", line), and in the end ("result", DateResult)."""
    start, told = time.monotonic(), _Told(job, connection)
    try:
        done = run_locally(job.arguments, job.work, python=job.python, show=told, runs=job.runs)
        ended = conclude(done, job.arguments["registry"])
        result = DateResult.of(job.date, done, ended, time.monotonic() - start, told.dataset)
    except PinrecError as error:
        result = DateResult(date=job.date, status=DateStatus.FAILED, sentence=str(error))
    except KeyboardInterrupt:  # a terminal's goes to every process; the first one speaks for all
        sys.exit(EXIT_INTERRUPTED)
    connection.send(("result", result))
    connection.close()


class _Told:
    """Passes on what matters of a run's changes."""

    def __init__(self, job: DateJob, connection: Connection):
        self.dataset = ""
        self._registry, self._send = job.arguments["registry"], connection.send
        self._last = time.monotonic()

    def __call__(self, task: Task, change: str) -> None:
        if task.component == "validate-data" and change in ("done", "failed"):
            self.dataset = _dataset(self._registry, task.run_id)
            self._send(("dataset", self.dataset))
        if change == "failed" and task.component != "reject":
            self._send(("says", f"{task.name} failed: {task.error.splitlines()[0]}"))
        elif change == "says" and time.monotonic() - self._last >= QUIET_S:
            self._last = time.monotonic()
            self._send(("says", task.latest))


def _dataset(registry: str, run_id: str) -> str:
    """Where the run's dataset is, "" if that was not recorded."""
    data = storage.read_versioned(storage.join(run_folder(registry, run_id), DATA)).data
    return json.loads(data)["uri"] if data else ""
