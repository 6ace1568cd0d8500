"""The most memory that a process has had; a worker leaves it beside its job, for it may run in another pod.

    <folder of the job>/peak-<rank>.json
"""

from __future__ import annotations

import contextlib
import json
import logging
import resource
from collections.abc import Callable
from pathlib import Path

from pinrec_core.storage import write_bytes

_PREFIX, _SUFFIX = "peak-", ".json"  # around the rank
logger = logging.getLogger("pinrec")
TellPeak = Callable[[int], None]  # hears the KiB that the largest worker had at its peak, 0 = not known


def peak_kib() -> int:
    """KiB that were resident at once, of this process or of the largest that it has started and that has ended."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def record_peak(folder: Path, rank: int) -> None:
    """Write a worker's peak into the folder of its job; a training never ends because that cannot be written."""
    try:
        write_bytes(str(folder / f"{_PREFIX}{rank}{_SUFFIX}"), json.dumps({"peak_kib": peak_kib()}).encode())
    except OSError as error:
        logger.warning("the memory of rank %d is not kept: %s", rank, error)


def recorded_peak_kib(folder: Path) -> int:
    """KiB of the largest worker of a job, 0 if none has left its peak."""
    found = [0]
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found.append(int(json.loads(path.read_bytes())["peak_kib"]))
    return max(found)
