"""Starting again inside the step: after a kill or a preemption, never after an error; and being asked to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

from pinrec_core.config import LaunchConfig
from pinrec_core.errors import Preempted, TrainingError
from pinrec_core.training.failure import Failure

logger = logging.getLogger("pinrec")


class WorkerDied(Exception):
    """An attempt ended without an error of its own, as killed and preempted ones do; the message says how."""


class StopRequest(threading.Event):
    """Set by SIGTERM while the block runs, so that the worker is told and its end awaited.

    Ctrl-C stays KeyboardInterrupt. Only the main thread can listen; elsewhere nothing is ever set.
    """

    def __enter__(self) -> StopRequest:
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._before = signal.signal(signal.SIGTERM, lambda *_: self.set())
        return self

    def __exit__(self, *_: object) -> None:
        if self._listens:
            signal.signal(signal.SIGTERM, self._before)


def with_restarts(name: str, attempt: Callable[[], None], config: LaunchConfig, stop: StopRequest) -> None:
    """Call `attempt` until it returns, again after each WorkerDied up to max_restarts times.

    Raises TrainingError when it died once more than that, Preempted when asked to stop, and the attempt's own errors.
    """
    for restarts_left in range(config.max_restarts, -1, -1):
        try:
            return attempt()
        except WorkerDied as death:
            if stop.is_set():
                raise preempted(name) from death
            if not restarts_left:
                raise TrainingError(
                    f"{name}: died {config.max_restarts + 1} times (launch.max_restarts {config.max_restarts}), the "
                    f"last time so: {death}. The same call goes on from the last place; if memory ran out, give it "
                    f"more (on a cluster targets.NAME.steps.{name.split()[0]}.memory) or lower batch_size") from death
            logger.warning("%s: %s; starts again in %g s, %d restarts left", name, death, config.restart_pause_s,
                           restarts_left - 1)
        if stop.wait(config.restart_pause_s):
            raise preempted(name)
    return None


def judge(failures: list[Failure], how: str) -> NoReturn:
    """Raise what ended an attempt that did not succeed: the first worker's error that is no echo, else WorkerDied."""
    for failure in failures:
        if not failure.is_echo:
            raise failure.error()
    raise WorkerDied("; ".join([how, *(f"{failure.kind}: {failure.message}" for failure in failures[:1])]))


def preempted(name: str) -> Preempted:
    """This process was asked to stop and the worker has been told."""
    return Preempted(f"{name}: stopped as asked; the same call goes on from the last place it has written")
