"""Progress of what takes more than a moment: a bar on a terminal, plain lines elsewhere, nothing if it is done soon."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_S = 2.0  # nothing is told before
INTERVAL_S = 10.0  # seconds between two lines where there is no terminal
log = logging.getLogger("pinrec")


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how much of `total` is done; what it says goes to standard error."""
    if not sys.stderr.isatty():
        yield _Lines(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


class _Lines:
    """Log lines at intervals."""

    def __init__(self, what: str, total: int):
        self.what, self.total = what, total
        self.next = time.monotonic() + QUIET_S

    def __call__(self, done: int) -> None:
        if time.monotonic() >= self.next:
            log.info("%s: %d of %d", self.what, done, self.total)
            self.next = time.monotonic() + INTERVAL_S
