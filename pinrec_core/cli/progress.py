"""Progress of what takes more than a moment: a bar on a terminal, plain lines elsewhere, nothing if it is done soon.

What is drawn was told in pinrec_core/progress.py. All of it goes to standard error. A thread draws, so that what is
done is not slowed down, and so that one sees life in what tells nothing for long.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from pinrec_core.progress import Stage, watched_by

QUIET_S = 2.0  # from the start of the command; nothing is shown before
FRESH_S = 1.0  # age from which a stage within another is shown: what is shorter would only flicker
LINE_S = (10.0, 60.0)  # seconds between two lines: the longer it takes the rarer they come
CLEAR_S = 2.0  # a terminal that takes no more text does not keep the command from ending
MEGA = 1_000_000
log = logging.getLogger("pinrec")


@contextlib.contextmanager
def shown(stream: TextIO | None = None) -> Iterator[None]:
    """Show what is told within, on `stream`, by default standard error; the terminal is clean after, also if killed."""
    board = Board(stream or sys.stderr)
    with watched_by(board), _cleared_if_killed(board):
        try:
            yield
        finally:
            board.close()


class Board:
    """The stages that are under way, outermost first, and the thread that shows the one at the end of them."""

    def __init__(self, stream: TextIO):
        self.stream, self.start = stream, time.monotonic()
        self.terminal = stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
        self._stages: list[Stage] = []
        self._lock, self._over, self._thread = threading.RLock(), threading.Event(), None

    def begin(self, stage: Stage) -> None:
        """Show this one."""
        with self._lock:
            self._stages.append(stage)
            if self._thread is None:
                self._over = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(self._over,), name="progress", daemon=True)
                self._thread.start()

    def end(self, stage: Stage) -> None:
        """No longer show it; after the last one what was drawn is gone."""
        with self._lock:
            if stage in self._stages:
                self._stages.remove(stage)
        if not self._stages:
            self.close()

    def close(self) -> None:
        """Show no more."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stages.clear()
            self._over.set()
        if thread:
            thread.join(timeout=CLEAR_S)

    def _run(self, over: threading.Event) -> None:
        """Takes no lock, so that it always ends when it is told to; a terminal that is gone ends it, too."""
        if over.wait(max(0.0, self.start + QUIET_S - time.monotonic())):
            return
        with contextlib.suppress(OSError), \
                contextlib.closing(_Bar(self.stream) if self.terminal else _Lines(self.start)) as sight:
            while not over.wait(sight.PAUSE_S):
                if stages := _worth_showing(list(self._stages)):
                    sight.show(stages)


class LogHandler(logging.StreamHandler):
    """Writes to what sys.stderr is at the moment: while there is a bar, that puts the line above it."""

    @property
    def stream(self) -> TextIO:
        """Standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """What the base class asks for is not kept."""


class _Lines:
    """Log lines now and then."""

    PAUSE_S = 0.2

    def __init__(self, start: float):
        self.start, self.next = start, 0.0

    def show(self, stages: Sequence[Stage]) -> None:
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + min(max((now - self.start) / 4, LINE_S[0]), LINE_S[1])
        *outer, stage = stages
        done = told_count(stage, stage.looked_at())
        parts = (*map(_named, outer), f"{stage.what}: {done}" if done else stage.what, stage.note, told_time(stage))
        log.info("%s", ", ".join(filter(None, parts)))

    def close(self) -> None:
        """Lines stay."""


class _Bar:
    """One line of a terminal, drawn again and again, gone in the end."""

    PAUSE_S = 0.2

    def __init__(self, stream: TextIO):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        class Visible(Console):
            """Its cursor is never hidden: nobody would show it again after a SIGKILL."""

            def show_cursor(self, show: bool = True) -> bool:
                return False

        text = {"markup": False}
        self.bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}", **text), BarColumn(24),
            TextColumn("{task.fields[told]}", **text), console=Visible(file=stream, force_terminal=True),
            transient=True, auto_refresh=False,
            redirect_stdout=False,  # results may go elsewhere
            redirect_stderr=sys.stderr is stream)  # log lines come above the bar
        self.bar.start()
        self.stage: Stage | None = None

    def show(self, stages: Sequence[Stage]) -> None:
        *outer, stage = stages
        done = stage.looked_at()
        told = ", ".join(filter(None, (told_count(stage, done), told_time(stage), stage.note)))
        name = " > ".join([*map(_named, outer), stage.what])
        if stage is self.stage:
            self.bar.update(self.bar.task_ids[0], completed=done, description=name, told=told, refresh=True)
            return
        for task in self.bar.task_ids:
            self.bar.remove_task(task)
        self.bar.add_task(name, total=stage.total or None, completed=done, told=told)
        self.stage = stage

    def close(self) -> None:
        self.bar.stop()


def told_count(stage: Stage, done: int) -> str:
    """What is done of how much, in words; "" if neither is known."""
    if not stage.total and not done:
        return ""
    numbers, unit = [done, *filter(None, [stage.total])], stage.unit
    if unit == "bytes":
        return " of ".join(f"{number / MEGA:,.1f}" for number in numbers) + " MB"
    return " of ".join(f"{number:,}" for number in numbers) + (f" {unit}" if unit else "")


def told_time(stage: Stage) -> str:
    """How long it will still take, or, where that is not known, has taken."""
    left_s = stage.left_s()
    spelled = _spelled(time.monotonic() - stage.began if left_s is None else left_s)
    return spelled if left_s is None else f"{spelled} left"


def _worth_showing(stages: list[Stage]) -> list[Stage]:
    """Those that are old enough, the outermost anyway; none that only repeats the name of the one within it."""
    now = time.monotonic()
    while len(stages) > 1 and now - stages[-1].began < FRESH_S:
        stages.pop()
    return [one for place, one in enumerate(stages) if one.what not in [within.what for within in stages[place + 1:]]]


def _named(stage: Stage) -> str:
    return f"{stage.what} {told_count(stage, stage.looked_at())}".strip()


def _spelled(seconds: float) -> str:
    """3 s, 4 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02} s" if whole < 3600 else f"{whole // 3600} h {whole // 60 % 60:02} min"


@contextlib.contextmanager
def _cleared_if_killed(board: Board) -> Iterator[None]:
    """Within, SIGTERM clears what was drawn and then ends the process as ever; whoever sets a handler is left alone."""
    ours = os.getpid()

    def clear(number: int, _: object) -> None:
        if os.getpid() == ours:  # a fork has drawn nothing
            board.close()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if not board.terminal or threading.current_thread() is not threading.main_thread() \
            or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, clear)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is clear:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
