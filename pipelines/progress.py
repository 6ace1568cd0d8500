"""The terminal during a local run: one line when a task starts and ends, and what a long one says meanwhile."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TextIO

from pinrec_core.progress import Stage, doing, watched
from pipelines.task_log import Task

QUIET_S = 20.0  # without a terminal, a running task's latest message is shown at most this often


class Progress:
    """Writes to the stream it is given; on a terminal the bar shows what runs and what it said last."""

    def __init__(self, stream: TextIO):
        self._stream, self._shown = stream, stream.isatty() and watched()
        self._last = time.monotonic()
        self._running: list[Task] = []
        self._ended, self._stage, self._open = 0, Stage(""), ExitStack()

    def __call__(self, task: Task, change: str) -> None:
        """Show a change of a task: running, says, done, cached or failed."""
        if change == "says":
            self._say(task)
        elif change == "running":
            self._line(f"start   {task.name}")
            self._begin(task)
        else:
            self._end(task)
            took = "" if change == "cached" else f"  {task.seconds:.1f} s"
            self._line(f"{self._ending(task, change):7} {task.name}{took}")

    def _begin(self, task: Task) -> None:
        self._running.append(task)
        if self._shown and len(self._running) == 1:
            self._stage = self._open.enter_context(doing(task.name, unit="tasks done"))
        self._tell()

    def _end(self, task: Task) -> None:
        self._ended += 1
        if task in self._running:
            self._running.remove(task)
        self._tell()
        if not self._running:
            self._open.close()

    def _tell(self) -> None:
        self._stage.what, self._stage.note = ", ".join(task.name for task in self._running), ""
        self._stage(self._ended)

    def _say(self, task: Task) -> None:
        self._stage(self._ended, task.latest)
        if not self._shown and time.monotonic() - self._last >= QUIET_S:
            self._line(f"        {task.latest}")

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        cleared = "\r\x1b[2K" if self._shown else ""  # of the bar, which is drawn again below
        self._stream.write(f"{cleared}{time.strftime('%H:%M:%S')}  {text}\n")
        self._stream.flush()

    @staticmethod
    def _ending(task: Task, state: str) -> str:
        """A reject step that fails does what it is there for."""
        return "refused" if task.component == "reject" and state == "failed" else state
