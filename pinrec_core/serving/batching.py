"""The bounded queue of a worker and the one thread that answers it, as many alike requests at a time as are waiting.

Nothing waits for a batch to fill: the thread takes what is there, in order of arrival. Requests are alike if their
release, outcome shares, number of items and item types are. A request holds its release from before it is queued until
it is answered, so no answer mixes two. One whose deadline is over is dropped before it is computed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np

from pinrec_core.config import ServeConfig
from pinrec_core.data.batch import History
from pinrec_core.retrieval.retriever import Candidates
from pinrec_core.serving.declined import Declined
from pinrec_core.serving.live import Live
from pinrec_core.serving.metrics import Metrics


class Asked(NamedTuple):
    """One request, translated."""

    live: Live
    history: History
    exclude: np.ndarray  # dense item indices
    time_ms: int
    shares: dict[str, float] | None
    n: int
    item_types: tuple[str, ...]

    @property
    def question(self) -> Hashable:
        """What requests that are computed together have in common."""
        return id(self.live), self.n, self.item_types, self.shares and tuple(self.shares.items())


class Got(NamedTuple):
    """What was found for a request."""

    candidates: Candidates  # of its batch
    row: int  # its own
    batch: int  # requests in it
    queued_s: float
    computed_s: float


class _Entry:
    """A request in the queue and the future its route awaits."""

    __slots__ = ("arrived", "asked", "future", "deadline", "question")

    def __init__(self, asked: Asked, deadline: float, future: asyncio.Future[Got]):
        self.asked, self.deadline, self.future = asked, deadline, future
        self.question, self.arrived = asked.question, time.monotonic()


class Batcher:
    """Answers requests in a thread of its own between `start` and `stop`, after which it may be started again."""

    def __init__(self, config: ServeConfig, metrics: Metrics, prepare: Callable[[], None] = lambda: None):
        """`prepare` is called once by the thread that computes."""
        self._config, self._metrics, self._prepare = config, metrics, prepare
        self._waiting: deque[_Entry] = deque()
        self._changed, self._closed = threading.Condition(), True

    def start(self) -> None:
        """Begin to answer; called where the event loop runs."""
        self._loop, self._closed = asyncio.get_running_loop(), False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer what is queued, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether anybody answers."""
        return self._thread.is_alive()

    async def answer(self, asked: Asked, deadline: float) -> Got:
        """Queue a request and wait. Raises Declined: 429 where the queue is full, 504 past the deadline (monotonic)."""
        entry = _Entry(asked, deadline, self._loop.create_future())
        with self._changed:
            if len(self._waiting) >= self._config.queue:
                raise Declined(429, f"{self._config.queue} requests wait already; ask again later", retry_after_s=1)
            self._waiting.append(entry)
            self._changed.notify()
        timer = self._loop.call_later(deadline - entry.arrived, _expire, entry)
        try:
            return await entry.future
        finally:
            timer.cancel()

    def _work(self) -> None:
        self._prepare()
        while batch := self._next():
            results = self._compute(batch)
            self._metrics.computed(len(batch))
            self._loop.call_soon_threadsafe(_deliver, batch, results)
            del batch, results  # while nothing is asked, no release is held

    def _next(self) -> list[_Entry]:
        """The oldest request and those that are alike; nothing once it is closed and all are answered."""
        with self._changed:
            while True:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                batch = self._take()
                self._metrics.queue.set(len(self._waiting))
                if batch or self._closed and not self._waiting:
                    return batch

    def _take(self) -> list[_Entry]:
        batch, others, now = [], [], time.monotonic()
        while self._waiting and len(batch) < self._config.max_batch:
            entry = self._waiting.popleft()
            if entry.deadline <= now or entry.future.cancelled():
                continue  # its route was told by the timer
            alike = not batch or entry.question == batch[0].question
            (batch if alike else others).append(entry)
        self._waiting.extendleft(reversed(others))
        return batch

    def _compute(self, batch: list[_Entry]) -> list[Got | Exception]:
        """One result per request; a batch that fails is computed one by one, so that one request fails alone."""
        start = time.monotonic()
        try:
            found = _retrieve([entry.asked for entry in batch])
        except Exception as error:  # noqa: BLE001 - it is the request's
            if len(batch) > 1:
                return [result for entry in batch for result in self._compute([entry])]
            return [error]
        computed_s = time.monotonic() - start
        return [Got(found, row, len(batch), start - entry.arrived, computed_s) for row, entry in enumerate(batch)]


def _retrieve(batch: list[Asked]) -> Candidates:
    first = batch[0]
    exclude_R = [asked.exclude for asked in batch] if any(len(asked.exclude) for asked in batch) else None
    return first.live.retriever.retrieve(
        [asked.history for asked in batch], first.live.surface, np.array([asked.time_ms for asked in batch]),
        shares=first.shares, n=first.n, exclude_R=exclude_R, item_types=first.item_types)


def _deliver(batch: list[_Entry], results: list[Got | Exception]) -> None:
    for entry, result in zip(batch, results, strict=True):
        if entry.future.done():  # expired or cancelled meanwhile
            continue
        if isinstance(result, Exception):
            entry.future.set_exception(result)
        else:
            entry.future.set_result(result)


def _expire(entry: _Entry) -> None:
    if not entry.future.done():
        entry.future.set_exception(Declined(504, "not answered before its deadline; ask again, or allow more time"))
