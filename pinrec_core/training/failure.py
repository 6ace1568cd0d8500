"""Why a worker failed, in a file beside its job, so that whoever started it can say the same in its own name.

The exit code of a worker says that it failed, and under torchrun or in a pod not even that it was this worker.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from pinrec_core import errors
from pinrec_core.errors import PinrecError, Preempted, RankLost, TrainingError
from pinrec_core.storage import write_bytes

_PREFIX, _SUFFIX = "failure-", ".json"  # around the rank


class Failure(NamedTuple):
    """What ended one worker."""

    time_s: float  # of the worker's clock, since 1970: of several, the first is the cause
    rank: int
    ranks: int  # processes of the training
    kind: str  # class of the error
    message: str

    @property
    def is_echo(self) -> bool:
        """Whether it may come of what happened to another process, so that starting again may help.

        A process of a group sees the death of another one as an error of its own, not always as RankLost.
        """
        return self.kind == RankLost.__name__ or (self.ranks > 1 and _class_of(self.kind) is None)

    def error(self) -> PinrecError:
        """The error as it was raised; one that is not pinrec's own becomes a TrainingError."""
        if found := _class_of(self.kind):
            return found(self.message)
        where = f" (rank {self.rank} of {self.ranks})" if self.ranks > 1 else ""
        return TrainingError(f"the training process{where} ended with {self.kind}: {self.message}; its traceback is in "
                             "the log above")


def record_failure(folder: Path, error: Exception, rank: int, ranks: int) -> None:
    """Write a worker's end into the folder of its job; a preempted worker has none to tell of."""
    if not isinstance(error, Preempted):
        failure = Failure(time.time(), rank, ranks, type(error).__name__, str(error))
        write_bytes(str(folder / f"{_PREFIX}{rank}{_SUFFIX}"), json.dumps(failure._asdict()).encode())


def recorded_failures(folder: Path) -> list[Failure]:
    """What workers have recorded, the first one first."""
    found = (json.loads(path.read_bytes()) for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"))
    return sorted(Failure(**entry) for entry in found)


def forget_failures(folder: Path) -> None:
    """Remove what an earlier attempt has recorded."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        path.unlink()


def _class_of(kind: str) -> Any:
    """The class of pinrec's errors with this name, None if there is none."""
    found = getattr(errors, kind, None)
    return found if isinstance(found, type) and issubclass(found, PinrecError) else None
