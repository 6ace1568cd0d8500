"""How a local run ended, from its folder in the registry: as the exit step left it, or as we find it without that."""

from __future__ import annotations

import json
import logging
from typing import Any, NamedTuple

from pinrec_core import storage
from pinrec_core.cli.exit_codes import EXIT_FAILED, EXIT_REJECTED
from pinrec_core.errors import PinrecError, StorageError
from pipelines.local import LocalRun
from pipelines.task_log import Task

EXIT_CODES = {"promoted": 0, "ready": 0, "rejected": EXIT_REJECTED, "failed": EXIT_FAILED}


class Conclusion(NamedTuple):
    """The end of a run."""

    folder: str
    outcome: dict[str, Any]  # outcome.json
    culprit: Task | None  # the first task that failed; a reject step that does is none

    @property
    def status(self) -> str:
        """promoted, ready, rejected or failed."""
        return self.outcome["status"]


def conclude(done: LocalRun, registry: str) -> Conclusion:
    """Read the outcome; where the exit step did not run, the failure is recorded and the report written here.

    Raises PinrecError if not even one task started, StorageError with the reason if the folder cannot be reached.
    """
    if not done.run_id:
        raise PinrecError(f"the run did not start; {done.log} says why")
    logging.getLogger("pinrec").setLevel(logging.WARNING)  # what the report would log is told by whoever asks
    culprit = next((task for task in done.failed if task.component != "reject"), None)
    try:
        return _concluded(done, registry, culprit)
    except StorageError as error:
        if culprit is None:
            raise
        raise StorageError(f"step {culprit.name} failed: {culprit.error.splitlines()[0]}; {done.log} has the rest, for "
                           "the run's folder cannot be reached either") from error


def _concluded(done: LocalRun, registry: str, culprit: Task | None) -> Conclusion:
    from pinrec_core.report.run_folder import record_failure, run_folder
    from pinrec_core.report.run_report import OUTCOME, write_run_report

    folder = run_folder(registry, done.run_id)
    if culprit:
        record_failure(folder, culprit.name, culprit.error, culprit.lines)
    if culprit or not storage.exists(storage.join(folder, OUTCOME)):
        write_run_report(folder)
    return Conclusion(folder, json.loads(storage.read_bytes(storage.join(folder, OUTCOME))), culprit)
