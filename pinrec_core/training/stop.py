"""SIGTERM and the first SIGINT as a question that training answers at its next step, not as its end.

Of several processes each is asked by itself, at a step of its own; they stop at the same step because `check` asks all.
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
from pinrec_core.training.ranks import ALONE, Ranks


class StopSignals:
    """Listens while it is entered, in the main thread alone (elsewhere Python takes no handlers); restores after.

    A second SIGINT does what it did before.
    """

    def __init__(self, stage: str, ranks: Ranks = ALONE):
        self.stage, self.ranks = stage, ranks
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
        """Raise Preempted if a signal has come, to any rank: called where the place is whole, by all ranks."""
        if self.ranks.any(bool(self.received)):
            raise Preempted(f"{self.stage}: stopped by {self.reason}; the same command goes on")

    @property
    def reason(self) -> str:
        """What asked to stop."""
        return self.received or "a signal to another rank"

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, a signal raises Preempted on the spot: for what takes long and changes nothing, like validation.

        Not where several processes take part: one that left would leave the others waiting.
        """
        self._at_once = self.ranks.size == 1
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
