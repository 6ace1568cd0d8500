"""Batches are made in a thread of their own while the step before them runs, and are on the device when it ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import torch

from pinrec_core.data.batch import TrainingBatch

AHEAD = 2  # batches that wait, made
_POLL_S = 0.1  # how often a full queue asks whether anybody still reads


def prefetched(batches: Iterator[TrainingBatch], device: torch.device) -> Iterator[TrainingBatch]:
    """The same batches in the same order, on `device`; what goes wrong while one is made is raised where it is read.

    Nothing is drawn at random in the thread: a run with it and one without are the same run.
    """
    ready: queue.Queue = queue.Queue(AHEAD)
    over = threading.Event()
    maker = threading.Thread(target=_make, args=(batches, device, ready, over), name="prefetch", daemon=True)
    maker.start()
    try:
        while (made := ready.get()) is not None:
            if isinstance(made, BaseException):
                raise made
            yield made
    finally:  # also where the reader stops early
        over.set()
        maker.join()


def _make(batches: Iterator[TrainingBatch], device: torch.device, ready: queue.Queue, over: threading.Event) -> None:
    """Put every batch, then None; or the exception that ended it."""
    last: BaseException | None = None
    try:
        for batch in batches:
            if not _put(batch.to(device), ready, over):
                return
    except Exception as error:  # noqa: BLE001 - it is the reader's
        last = error
    _put(last, ready, over)


def _put(made: TrainingBatch | BaseException | None, ready: queue.Queue, over: threading.Event) -> bool:
    """Wait for a place; False if nobody reads any more."""
    while not over.is_set():
        try:
            ready.put(made, timeout=_POLL_S)
            return True
        except queue.Full:
            continue
    return False
