"""How far something is, for whoever watches. The rooms tell it here; the commands draw it (cli/progress.py).

    with doing("check the tables", 12, "files") as told:
        told(3)

To tell is to set a number, so that it may be done in any loop; the watcher looks at it when it likes, from a thread of
its own. Where nobody watches, as in a container, nothing comes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from typing import Protocol, TypeVar

T = TypeVar("T")


class Stage:
    """Something under way; whoever does it calls it with how much of it is done."""

    def __init__(self, what: str, total: int | None = None, unit: str = "", *, first: int = 0,
                 look: Callable[[], int] | None = None):
        """`total` None: nobody knows. `first` was done before, by a process that this one goes on from. `look` tells
        what is done where others do it; it is called by the watcher, from its thread, a few times a second."""
        self.what, self.total, self.unit, self.first, self._look = what, total, unit, first, look
        self.done, self.note, self.began = first, "", time.monotonic()

    def __call__(self, done: int, note: str = "") -> None:
        """So much is done; `note` is a word about it, kept until there is another."""
        self.done, self.note = done, note or self.note

    def looked_at(self) -> int:
        """What is done now."""
        if self._look:
            with suppress(OSError):  # what is looked at is being moved or removed
                self.done = self._look()
        return self.done

    def left_s(self) -> float | None:
        """Seconds to go, if the rest takes as long as what was done; None if that cannot be said."""
        if not self.total or self.done <= self.first:
            return None
        spent = time.monotonic() - self.began
        return spent / (self.done - self.first) * max(self.total - self.done, 0)


class Watcher(Protocol):
    """Who wants to know."""

    def begin(self, stage: Stage) -> None:
        """A stage begins, within those that have begun and not ended."""

    def end(self, stage: Stage) -> None:
        """It has ended, well or not."""


_watcher: Watcher | None = None


def watched() -> bool:
    """Whether anybody watches: what is told need not go to the log, too."""
    return _watcher is not None


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Within, the watcher hears of every stage of this process, of all threads."""
    global _watcher
    before, _watcher = _watcher, watcher
    try:
        yield
    finally:
        _watcher = before


@contextmanager
def doing(what: str, total: int | None = None, unit: str = "", *, first: int = 0,
          look: Callable[[], int] | None = None) -> Iterator[Stage]:
    """A stage for as long as the block takes; see Stage."""
    stage, watcher = Stage(what, total, unit, first=first, look=look), _watcher
    if watcher is None:
        yield stage
        return
    watcher.begin(stage)
    try:
        yield stage
    finally:
        watcher.end(stage)


def counted(items: Iterable[T], what: str, unit: str = "") -> Iterator[T]:
    """The items, one after the other, each told of when the next one is asked for."""
    with doing(what, len(items) if isinstance(items, Sized) else None, unit) as told:
        for number, item in enumerate(items):
            told(number)
            yield item
