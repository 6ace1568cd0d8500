"""Follow a run on a cluster to its end, and say how it ended.

What was really done is in the run's folder in the registry, so that decides. Where the registry cannot be read from
here, the states of the run's tasks do: of `promote` and `reject` only the one that applies is run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pinrec_core import storage
from pinrec_core.progress import doing
from pinrec_core.report.run_facts import RunStatus, read_facts
from pinrec_core.report.run_folder import run_folder
from pinrec_core.report.run_report import OUTCOME, outcome_of
from pipelines.cluster.kubeflow import Kubeflow
from pipelines.cluster.submission import visible

FINAL = {"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"}  # states of a run that change no more


class Ending(NamedTuple):
    """How a run ended."""

    status: RunStatus
    sentence: str
    outcome: dict[str, Any]  # outcome.json; {} where the registry cannot be read from here


def ended(run: dict[str, Any]) -> bool:
    """Whether the run has ended."""
    return run.get("state") in FINAL


def follow(kubeflow: Kubeflow, run_id: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Look at a run until it has ended; every change of its state is told. Returns the run.

    Raises ApiError if the API is away for longer than a request is tried; the run goes on.
    """
    told = ""
    with doing("the cluster runs it") as stage:
        while True:
            run = kubeflow.run(run_id)
            stage(0, _tasks_told(run))
            if (state := run.get("state", "")) != told:
                tell(f"{run.get('display_name', run_id)}  {state.lower() or 'waits'}")
                told = state
            if ended(run):
                return run
            time.sleep(kubeflow.transport.patience.poll_s)


def _tasks_told(run: dict[str, Any]) -> str:
    """What the run's tasks are at, as far as the API says."""
    states = [task.get("state") for task in tasks_of(run)]
    names = [task.get("display_name", "") for task in tasks_of(run) if task.get("state") == "RUNNING"]
    return f"{states.count('SUCCEEDED')} tasks done, running: {', '.join(names) or 'none'}" if states else ""


def ending(run: dict[str, Any], registry: str) -> Ending:
    """How a run that has ended did so."""
    if visible(registry) and (outcome := _outcome(run_folder(registry, run["display_name"]), run["display_name"])):
        return Ending(RunStatus(outcome["status"]), outcome["sentence"], outcome)
    status = _by_tasks(run)
    said = (run.get("error") or {}).get("message", "")
    return Ending(status, f"{status.value.capitalize()}, by the states of its tasks; what it left in {registry} is not "
                          f"to be seen from here.{' ' + said if said else ''}", {})


def _outcome(folder: str, run_id: str) -> dict[str, Any]:
    """outcome.json as the exit step left it, else made of what is there; {} if nothing is."""
    if data := storage.read_versioned(storage.join(folder, OUTCOME)).data:
        return json.loads(data)
    if not storage.list_names(folder):
        return {}
    with storage.local_tree(folder) as local:
        return outcome_of(read_facts(Path(local)), run_id, "")


def _by_tasks(run: dict[str, Any]) -> RunStatus:
    states = {task.get("display_name", "").lower(): task.get("state") for task in tasks_of(run)}
    if states.get("promote") == "SUCCEEDED":
        return RunStatus.PROMOTED if _goes_live(run) else RunStatus.READY
    return RunStatus.REJECTED if states.get("reject") in ("SUCCEEDED", "FAILED") else RunStatus.FAILED


def tasks_of(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks of a run, those that group others among them."""
    return (run.get("run_details") or {}).get("task_details") or []


def _goes_live(run: dict[str, Any]) -> bool:
    return ((run.get("runtime_config") or {}).get("parameters") or {}).get("go_live", True)
