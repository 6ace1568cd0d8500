"""A declared schedule as a recurring run, and how a recurring run is known to be ours and unchanged.

The last line of its description is a mark in JSON: whose it is, and a fingerprint of all that was asked for. The
description is the one field that the API hands back as it was given; times, numbers and defaults it writes its own way,
so that comparing the rest would find changes where there are none. Nobody can edit a recurring run, so the mark stays
true; pausing it changes its mode alone, which is no part of the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from pinrec_core.config import Config
from pipelines.cluster.kubeflow import Kubeflow
from pipelines.cluster.submission import arguments_for, plain, runtime_config

ENABLE, DISABLE = "ENABLE", "DISABLE"
DUE_DAY = "[[ScheduledTime.2006-01-02]]"  # filled in by Kubeflow: the day, by UTC, on which the run is due


class Mark(BaseModel):
    """The last line of a description."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    pinrec_config: str
    schedule: str
    fingerprint: str
    mode: str  # as it was to be when it was created; another mode now was set by hand


class Wanted(NamedTuple):
    """A recurring run as the configuration has it."""

    schedule: str
    sentence: str  # of the description, before the mark
    body: dict[str, Any]  # without ids, mode and description
    mark: Mark

    def request(self, kubeflow: Kubeflow, reference: dict[str, str], *, mode: str, to_be: str) -> dict[str, Any]:
        """What creates it in one mode, while it is to be in another in the end."""
        mark = self.mark.model_copy(update={"mode": to_be})
        owner = {"namespace": kubeflow.namespace} if kubeflow.namespace else {}
        return self.body | owner | {"experiment_id": kubeflow.experiment_id, "pipeline_version_reference": reference,
                                    "mode": mode, "description": f"{self.sentence}\n{mark.model_dump_json()}"}


def wanted(config: Config, name: str, version_name: str) -> Wanted:
    """The recurring run of [schedules.NAME], with a pipeline version of this name."""
    schedule = config.schedules[name]
    target = config.target(schedule.target)
    date = DUE_DAY + (f"-{schedule.lag_days}d" if schedule.lag_days else "")
    body = {"display_name": f"{plain(config.name)}-{name}", "max_concurrency": str(schedule.max_concurrency),
            "no_catchup": not schedule.catch_up, "trigger": {"cron_schedule": {"cron": schedule.cron}},
            "service_account": target.service_account,
            "runtime_config": runtime_config(target, arguments_for(config, target, date))}
    mode = ENABLE if schedule.enabled else DISABLE
    known = json.dumps([body, mode, version_name, schedule.time_zone, target.experiment], sort_keys=True)
    mark = Mark(pinrec_config=config.name, schedule=name, mode=mode,
                fingerprint=hashlib.sha256(known.encode()).hexdigest()[:16])
    sentence = (f"Schedule {name} of configuration {config.name}: {schedule.cron} ({schedule.time_zone}), pipeline "
                f"{version_name}. Changed by `pinrec schedule apply`.")
    return Wanted(name, sentence, body, mark)


def mark_of(recurring_run: dict[str, Any]) -> Mark | None:
    """The mark of a recurring run, None if it is none of ours."""
    try:
        return Mark.model_validate_json((recurring_run.get("description") or "").rpartition("\n")[2])
    except ValidationError:
        return None


def ours(recurring_runs: Iterable[dict[str, Any]], config: str) -> dict[str, list[dict[str, Any]]]:
    """Schedule -> its recurring runs, oldest first; more than one is a replacement that was interrupted."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(recurring_runs, key=lambda one: (str(one.get("created_at", "")), one["recurring_run_id"])):
        if (mark := mark_of(one)) and mark.pinrec_config == config:
            found.setdefault(mark.schedule, []).append(one)
    return found


def runs_now(recurring_run: dict[str, Any]) -> bool:
    """Whether it starts runs."""
    return recurring_run.get("mode") == ENABLE


def state_of(declared: Wanted | None, found: list[dict[str, Any]]) -> str:
    """Whether the cluster agrees with what is declared, in words."""
    if declared is None:
        return "not in the configuration: apply --prune deletes it"
    if not found:
        return "not there: apply creates it"
    if len(found) > 1:
        return "half replaced: apply ends it"
    if mark_of(found[0]).fingerprint != declared.mark.fingerprint:
        return "changed: apply replaces it"
    return "agrees" + paused(found[0])


def paused(recurring_run: dict[str, Any]) -> str:
    """Why it starts no runs, "" if it does."""
    if runs_now(recurring_run):
        return ""
    by_hand = mark_of(recurring_run).mode == ENABLE
    return ", paused by hand: `pinrec schedule resume` lets it run" if by_hand else ", not enabled"
