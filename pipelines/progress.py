"""The terminal during a local run: one line when a task starts and ends, and what a long one says meanwhile."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from pipelines.task_log import Task

QUIET_S = 20.0  # without a terminal, a running task's latest message is shown at most this often


class Progress:
    """Writes to the stream it is given; on a terminal the latest message is one line that is overwritten."""

    def __init__(self, stream: TextIO):
        self._stream, self._terminal = stream, stream.isatty()
        self._last = time.monotonic()

    def __call__(self, task: Task, change: str) -> None:
        """Show a change of a task: running, says, done, cached or failed."""
        if change == "says":
            self._say(task)
        elif change == "running":
            self._line(f"start   {task.name}")
        elif change == "cached":
            self._line(f"cached  {task.name}")
        else:
            self._line(f"{self._ending(task, change):7} {task.name}  {task.seconds:.1f} s")

    def _say(self, task: Task) -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[2K{task.latest[:width]}")
            self._stream.flush()
        elif time.monotonic() - self._last >= QUIET_S:
            self._line(f"        {task.latest}")

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        start = "\r\x1b[2K" if self._terminal else ""
        self._stream.write(f"{start}{time.strftime('%H:%M:%S')}  {text}\n")
        self._stream.flush()

    @staticmethod
    def _ending(task: Task, state: str) -> str:
        """A reject step that fails does what it is there for."""
        return "refused" if task.component == "reject" and state == "failed" else state
