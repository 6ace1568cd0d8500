"""Which steps have begun and not ended: what the exit task knows of one whose pod was ended before it could say why.

    <folder of the run>/begun/<step>.json    while the step runs, and for ever if it was killed

Cached steps may not know the run by a parameter. On a cluster their pod knows its id (PINREC_RUN_UID), and what they
leave is in `<registry>/runs/<that id>/`, from where the exit task takes it over into the run's folder.
"""

from __future__ import annotations

import json
import logging

from pinrec_core import storage
from pinrec_core.errors import ConfigError, PinrecError
from pinrec_core.report.run_folder import FAILURE, record_failure
from pinrec_core.report.step_end import limit_of, more_memory

BEGUN = "begun"
log = logging.getLogger("pinrec")


def mark_begun(run: str, step: str) -> None:
    """Leave a mark; one that cannot be left stops nothing."""
    try:
        storage.write_bytes(_mark(run, step), json.dumps({"step": step}).encode())
    except (PinrecError, OSError) as error:
        log.warning("the begin of %s is not marked: %s", step, error)


def mark_ended(run: str, step: str) -> None:
    """Take the mark away, whatever the end was that the step itself has seen."""
    try:
        storage.remove_file(_mark(run, step))
    except (PinrecError, OSError) as error:
        log.warning("the end of %s is not marked: %s", step, error)


def tell_unfinished(run: str, pod_run: str = "") -> None:
    """Record why the run failed, if a cached step or nobody could: for the exit task, before it tells.

    `pod_run` is the folder where cached steps have left theirs, "" if there is none; it is removed.
    """
    if pod_run and (failure := _failure(pod_run)):
        record_failure(run, *failure)
    for folder in filter(None, (pod_run, run)):
        steps = [name.removesuffix(".json") for name in storage.list_names(storage.join(folder, BEGUN))]
        if steps:
            record_failure(run, ", ".join(steps), _killed(steps[0]))
    storage.remove_tree(storage.join(run, BEGUN))
    if pod_run:
        storage.remove_tree(pod_run)


def _failure(folder: str) -> tuple[str, str, list[str]] | None:
    """Step, message and lines, None if there is no failure that can be read."""
    try:
        kept = json.loads(storage.read_versioned(storage.join(folder, FAILURE)).data or b"")
        return str(kept["step"]), str(kept["message"]), [str(line) for line in kept["lines"]]
    except (ValueError, KeyError, TypeError):
        return None


def _killed(step: str) -> str:
    return (f"began and was ended before it could say why; the log and the state of its pod have the reason. OOMKilled "
            f"(exit code 137): {more_memory(step)}. DeadlineExceeded: raise {limit_of(step, 'timeout_s')}")


def _mark(run: str, step: str) -> str:
    if "/" in step:
        raise ConfigError(f"step {step!r} cannot name a file; a surface has no / in its name")
    return storage.join(run, BEGUN, f"{step}.json")
