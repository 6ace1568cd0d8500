"""What a step leaves of itself: a mark that it has begun, which its end turns into what it took.

    <folder of the run>/steps/<step>.json    without seconds while the step runs, and for ever if it was killed

Both ways of running use it: a component marks its own step, and `pinrec run`, which sees a step's whole process and the
steps that cannot know their run, marks the end of each. The exit task tells the steps that have begun and not ended.

Cached steps may not know the run by a parameter. On a cluster their pod knows its id (PINREC_RUN_UID), and what they
leave is in `<registry>/runs/<that id>/`, from where the exit task takes it over into the run's folder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

from pinrec_core import storage
from pinrec_core.errors import PinrecError
from pinrec_core.report.run_folder import FAILURE, STEPS_FOLDER, record_begin, record_failure, record_step
from pinrec_core.report.step_end import limit_of, more_memory
from pinrec_core.training.memory import peak_kib

log = logging.getLogger("pinrec")


class Took:
    """What a step that is under way takes; `others_kib` hears of processes that are none of ours."""

    def __init__(self) -> None:
        self._begun, self._others_kib = time.monotonic(), 0

    def others_kib(self, kib: int) -> None:
        """Count the peak memory of a process that this one has not started itself."""
        self._others_kib = max(self._others_kib, kib)

    @property
    def seconds(self) -> float:
        """Since it has begun."""
        return time.monotonic() - self._begun

    @property
    def peak_kib(self) -> int:
        """Of the largest process."""
        return max(peak_kib(), self._others_kib)


@contextlib.contextmanager
def step_taken(run: str, step: str) -> Iterator[Took]:
    """Leave a mark of a step while the block runs, and then what it took; run "" = nowhere.

    A step that is preempted leaves the mark alone, as one that is killed does: it has not ended, it is to go on.
    """
    took = Took()
    if run:
        mark_begun(run, step)
    try:
        yield took
    except Exception:
        if run:
            mark_ended(run, step, took.seconds, took.peak_kib)
        raise
    if run:
        mark_ended(run, step, took.seconds, took.peak_kib)


def mark_begun(run: str, step: str) -> None:
    """Leave a mark; one that cannot be left stops nothing."""
    try:
        record_begin(run, step)
    except (PinrecError, OSError) as error:
        log.warning("the begin of %s is not marked: %s", step, error)


def mark_ended(run: str, step: str, seconds: float, peak: int = 0) -> None:
    """Keep what the step took, whatever its end was; what cannot be kept stops nothing. Peak in KiB, 0 = not known."""
    try:
        record_step(run, step, seconds, peak)
    except (PinrecError, OSError) as error:
        log.warning("what %s took (%.1f s) is not kept: %s", step, seconds, error)


def tell_unfinished(run: str, pod_run: str = "") -> None:
    """Record why the run failed, if a cached step or nobody could: for the exit task, before it tells.

    `pod_run` is the folder where cached steps have left theirs, "" if there is none; it is removed.
    """
    if pod_run:
        if failure := _failure(pod_run):
            record_failure(run, *failure)
        for record in _records(pod_run):
            _take_over(run, record)
    if steps := [str(record.get("step")) for record in _records(run) if record.get("seconds") is None]:
        record_failure(run, ", ".join(steps), _killed(steps[0]))
    if pod_run:
        storage.remove_tree(pod_run)


def _records(run: str) -> Iterator[dict[str, Any]]:
    """The records of steps that can be read."""
    folder = storage.join(run, STEPS_FOLDER)
    for name in storage.list_names(folder):
        with contextlib.suppress(ValueError):
            record = json.loads(storage.read_versioned(storage.join(folder, name)).data or b"")
            if isinstance(record, dict):
                yield record


def _take_over(run: str, record: dict[str, Any]) -> None:
    """Add a record of a cached step to the run's own; a run that was started again may have one of it already."""
    try:
        step, seconds, peak = record["step"], record["seconds"], round(1024 * (record["peak_mb"] or 0))
        took = None if seconds is None else float(seconds)
        record_begin(run, step, int(record["attempts"]))
        if took is not None:
            record_step(run, step, took, peak)
    except (PinrecError, OSError, KeyError, TypeError, ValueError) as error:
        log.warning("what step %s has left is not taken over: %s", record.get("step"), error)


def _failure(folder: str) -> tuple[str, str, list[str]] | None:
    """Step, message and lines, None if there is no failure that can be read."""
    try:
        kept = json.loads(storage.read_versioned(storage.join(folder, FAILURE)).data or b"")
        return str(kept["step"]), str(kept["message"]), [str(line) for line in kept["lines"]]
    except (ValueError, KeyError, TypeError):
        return None


def _killed(step: str) -> str:
    return (f"began and was ended before it could say why; the log and the state of its pod have the reason. OOMKilled "
            f"(exit code 137): {more_memory(step)}. DeadlineExceeded: raise {limit_of(step, 'timeout_s')}")
