"""What KFP's local runner prints, taken apart: everything into one file, per task its state, time and last words.

The runner prints its own lines and those of its child processes to sys.stdout, from one thread per running task.
TaskLog stands in for sys.stdout: the writing thread tells whose line it is.
"""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pinrec_core.report.step_end import StepEnd, end_in_words
from pipelines.warm.client import ENDED, PEAK

KEPT_LINES = 40  # last lines of a task, kept for the message if it fails

_INDENT = " " * 4  # the runner's, before every line of a child process
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_START = re.compile(r"Executing task '([^']+)'")
_END = re.compile(r"Task '([^']+)' finished with status (SUCCESS|FAILURE)")
_CACHED = re.compile(r"Task (\S+) cache hit")
_SURFACE = re.compile(r'^"surface": "([^"]+)"')
_PEAK = re.compile(rf"{PEAK}(\d+)")  # anywhere: of a training it comes as a line of the step's log
_OUTPUT_FILE = re.compile(r'"outputFile": "([^"]+)/executor_output\.json"')
_MESSAGE = re.compile(r"^\[KFP Executor [^]]*\]: ([a-z].*)")  # ours begin in lower case, those of libraries do not
_USER_ERROR = re.compile(r"^pinrec_core\.errors\.\w+: (.*)")


@dataclass
class Task:
    """One execution of a component."""

    component: str
    surface: str = ""
    run_id: str = ""
    state: str = "running"  # running, done, cached, failed
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    peak_kib: int = 0  # most memory that one of its processes had, 0 = not known
    latest: str = ""  # its last log message
    end: StepEnd | None = None  # of its process, where that was killed or took too long
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))

    @property
    def name(self) -> str:
        """Component and, inside a loop, the surface."""
        return f"{self.component} {self.surface}".strip()

    @property
    def user_error(self) -> str:
        """The message of the PinrecError that ended a failed task, or how it was ended, "" if something else did."""
        if self.end:
            return end_in_words(self.name, self.end)
        for position in reversed(range(len(self.lines))):
            if found := _USER_ERROR.match(self.lines[position]):
                return "\n".join([found[1], *list(self.lines)[position + 1:]])
        return ""

    @property
    def error(self) -> str:
        """What a failed task said last: the message of our own error if there is one, else its last line."""
        return self.user_error or (self.lines[-1].strip() if self.lines else "no output")


class TaskLog(io.TextIOBase):
    """A writable text stream that files everything and follows the tasks; `on_change` hears of every step of a task."""

    def __init__(self, file: io.TextIOBase, pipeline_root: Path, on_change: Callable[[Task, str], None]):
        self.tasks: list[Task] = []
        self.run_id = ""
        self._file, self._root, self._on_change = file, str(pipeline_root), on_change
        self._lock = threading.RLock()  # what hears of a change may log
        self._partial: dict[int, str] = {}
        self._current: dict[int, Task] = {}

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take text from any thread; lines are acted on once they are complete."""
        thread = threading.get_ident()
        with self._lock:
            *lines, self._partial[thread] = (self._partial.get(thread, "") + text).split("\n")
            for line in lines:
                self._file.write(self._labelled(thread, line) + "\n")
                self._take(thread, _COLOUR.sub("", line))
            self._file.flush()
        return len(text)

    def _labelled(self, thread: int, line: str) -> str:
        """The line as it goes into the file: tasks of a loop run side by side, so each line says whose it is."""
        task = self._current.get(thread)
        return f"{task.name + ' |' if task else '|':24} {_COLOUR.sub('', line).strip()}"

    def _take(self, thread: int, line: str) -> None:
        task = self._current.get(thread)
        if found := _START.search(line):
            self._begin(thread, Task(found[1]))
        elif found := _CACHED.search(line):
            self._finish(Task(found[1]), "cached")
        elif task is None:
            return
        elif found := _END.search(line):
            self._current.pop(thread)
            self._finish(task, "done" if found[2] == "SUCCESS" else "failed")
        else:
            self._follow(task, line)

    def _begin(self, thread: int, task: Task) -> None:
        self._current[thread] = task
        self.tasks.append(task)

    def _finish(self, task: Task, state: str) -> None:
        task.state, task.seconds = state, time.monotonic() - task.started
        if state == "cached":
            self.tasks.append(task)
        self._on_change(task, state)

    def _follow(self, task: Task, line: str) -> None:
        """A line of a running task: what it works on, or what it says."""
        text = line.strip()
        if text.startswith(ENDED):
            task.end = StepEnd(**json.loads(text.removeprefix(ENDED)))
            task.peak_kib = max(task.peak_kib, task.end.peak_kib)
            return
        if found := _PEAK.search(text):
            task.peak_kib = max(task.peak_kib, int(found[1]))
            return
        if (found := _SURFACE.match(text)) and task.component != "gate":  # it reads artifacts of all surfaces
            task.surface = found[1]
        elif found := _OUTPUT_FILE.search(text):
            task.run_id = found[1].removeprefix(self._root).strip("/").split("/")[0]
            self.run_id = self.run_id or task.run_id
            self._on_change(task, "running")
        elif found := _MESSAGE.match(text):
            task.latest = found[1]
            self._on_change(task, "says")
        if text:
            task.lines.append(line.removeprefix(_INDENT).rstrip())
