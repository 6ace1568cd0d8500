"""SIGTERM and the first SIGINT as a question that training answers at its next step, not as its end.

A node that is taken away sends SIGTERM and gives 30 seconds; a step and a checkpoint take less.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Self

from pinrec_core.errors import Preempted


class StopSignals:
    """Listens while it is entered, in the main thread alone (elsewhere Python takes no handlers); restores after.

    A second SIGINT does what it did before.
    """

    def __init__(self, stage: str):
        self.stage = stage
        self.received = ""  # name of the signal
        self._at_once = False
        self._before: dict[int, signal.Handlers] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) or signal.SIG_DFL  # None: not set by Python
                            for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise Preempted if a signal has come: called where the place is whole."""
        if self.received:
            raise Preempted(f"{self.stage}: stopped by {self.received}; the same command goes on")

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, a signal raises Preempted on the spot: for what takes long and changes nothing, like validation."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            return
        self.received = signal.Signals(number).name
        signal.signal(signal.SIGINT, self._before[signal.SIGINT])
        if self._at_once:
            self.check()
