"""Run the training pipeline on this machine with KFP's local runner, from the very components a cluster runs.

    <work>/tasks/<run>/    outputs of every task        <work>/logs/<run>.log   everything that was printed
    <work>/cache/<inputs>/ which outputs may be reused

A cache belongs to one state of code and input files, see input_state.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinrec_core.errors import PinrecError
from pinrec_core.report.run_folder import record_failure, run_folder
from pinrec_core.report.step_marks import mark_ended
from pipelines.input_state import input_state
from pipelines.progress import Progress
from pipelines.task_log import Task, TaskLog
from pipelines.warm.client import STEP_TIMEOUT

SIDE_BY_SIDE = 2  # KFP's local runner runs at most this many tasks of a loop at once
Show = Callable[[Task, str], None]


@dataclass(frozen=True)
class LocalRun:
    """How a local run went."""

    run_id: str  # "" if not even one task started
    tasks: tuple[Task, ...]
    log: Path

    @property
    def failed(self) -> tuple[Task, ...]:
        """The tasks that failed, first one first."""
        return tuple(task for task in self.tasks if task.state == "failed")


def run_locally(arguments: dict[str, Any], work: Path, *, python: str, show: Show | None = None,
                runs: int = 1, step_timeout_s: float = 0.0) -> LocalRun:
    """Run the pipeline to its end, whatever the end is.

    `python` is the interpreter of the tasks. Every change of a task goes to `show`, by default onto stderr. `runs` such
    runs at once share the cores. A task that takes longer than `step_timeout_s` is ended; 0 = what
    PINREC_STEP_TIMEOUT_S says, if anything.
    """
    work = work.resolve()
    logs, tasks = work / "logs", work / "tasks"
    logs.mkdir(parents=True, exist_ok=True)
    unfinished = logs / f"unfinished-{os.getpid()}.log"
    with open(unfinished, "w", encoding="utf-8") as file:
        task_log = TaskLog(file, tasks, _shown_and_kept(show or Progress(sys.stderr), arguments["registry"]))
        limit = {STEP_TIMEOUT: str(step_timeout_s)} if step_timeout_s else {}
        with _output_to(task_log), _environment(child_environment(runs), limit), _executable(python):
            _run(arguments, work, tasks, work / "cache" / input_state(arguments)[:16])
    log = unfinished.rename(logs / f"{task_log.run_id or unfinished.stem}.log")
    return LocalRun(task_log.run_id, tuple(task_log.tasks), log)


def _shown_and_kept(show: Show, registry: str) -> Show:
    """Show every change of a task, and leave in the run's folder for the exit task to tell: which one failed first, and
    what each took."""
    def changed(task: Task, change: str) -> None:
        show(task, change)
        if change in ("done", "failed") and task.run_id:
            mark_ended(run_folder(registry, task.run_id), task.name, task.seconds, task.peak_kib)
        if change == "failed" and task.component != "reject":
            with contextlib.suppress(PinrecError, OSError):  # tried again, aloud, when the run is concluded
                record_failure(run_folder(registry, task.run_id), task.name, task.error, task.lines)

    return changed


def child_environment(runs: int = 1) -> dict[str, str]:
    """For the task processes: they share the cores, flush every line, and keep large buffers for the next step.

    Two training tasks that each start a thread per core wait for each other: measured on 2 cores, 39 s instead of 4.
    """
    threads = max(1, (os.cpu_count() or 1) // (SIDE_BY_SIDE * runs))
    return {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
            "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}


def _run(arguments: dict[str, Any], work: Path, tasks: Path, cache: Path) -> None:
    from kfp import local

    from pipelines.training import pinrec_training

    scratch = work / f"scratch-{os.getpid()}"  # KFP removes it after the run
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tasks), workspace_root=str(scratch),
               raise_on_error=False, enable_caching=True, cache_root=str(cache))
    pinrec_training(**arguments)


@contextlib.contextmanager
def _output_to(stream: io.TextIOBase) -> Iterator[None]:
    """Send everything printed or logged to the stream, and undo what KFP leaves behind (handlers, a patched print)."""
    root, printing = logging.getLogger(), builtins.print
    level, handlers = root.level, root.handlers[:]
    handler = logging.StreamHandler(stream)
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # kfp's own
            for known in (".*base image.*", ".*have no effect in the current local runner.*"):
                warnings.filterwarnings("ignore", message=known)
            yield
    finally:
        builtins.print = printing
        root.handlers[:] = handlers
        root.setLevel(level)


@contextlib.contextmanager
def _executable(python: str) -> Iterator[None]:
    """KFP starts tasks with sys.executable."""
    before, sys.executable = sys.executable, python
    try:
        yield
    finally:
        sys.executable = before


@contextlib.contextmanager
def _environment(defaults: dict[str, str], fixed: dict[str, str] | None = None) -> Iterator[None]:
    """Set variables for child processes, defaults where nothing else is set, and take them back after."""
    values = {name: value for name, value in defaults.items() if name not in os.environ} | (fixed or {})
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
