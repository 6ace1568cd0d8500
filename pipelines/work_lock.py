"""One `pinrec run` or `pinrec backfill` at a time in a work folder: they would mix up their caches and registries.

The lock is the kernel's (flock): it goes with the process that holds it, however that ends. What stands in the file
says who it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pinrec_core.errors import ConflictError

LOCK_NAME = "lock"


@contextlib.contextmanager
def only_one(work: Path) -> Iterator[TextIO]:
    """Hold the folder; yields the file whose descriptor is the lock. Raises ConflictError if another process has it."""
    work.mkdir(parents=True, exist_ok=True)
    with open(work / LOCK_NAME, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ConflictError(f"{work}: {file.read().strip() or 'another process'} is at work there; wait until it "
                                "has ended, or pass another --work") from error
        file.truncate(0)
        file.write(f"process {os.getpid()} of {socket.gethostname()} ({_command()}, since {time.strftime('%F %T')})\n")
        file.flush()
        yield file


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
