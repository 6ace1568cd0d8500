"""Make the cluster agree with a declared schedule.

A recurring run cannot be edited, so a changed one is replaced:

    1. the new one is created, disabled       fails: the old one goes on, nothing has changed
    2. the old one is disabled                 from here none is active, for the time of one request
    3. the new one is enabled                  refused: the old one is enabled again
    4. the old one is deleted

So at no time are two active, which would run every date twice, and a creation that fails leaves one. A process that
is killed on the way leaves two recurring runs of one schedule, at most one of them active; the next `apply` finds them
and goes on with step 2. Deleting first would leave none if the creation is refused; creating an active one first would
leave two. A run that becomes due between 1 and 3 may be started by both: it is of one date and finds its work done.
"""

from __future__ import annotations

from typing import Any

from pipelines.cluster.errors import ApiError, ApiUnavailable
from pipelines.cluster.kubeflow import Kubeflow, Version
from pipelines.cluster.recurring import DISABLE, ENABLE, Wanted, mark_of, ours, paused, runs_now


def make_agree(kubeflow: Kubeflow, wanted: Wanted, version: Version, found: list[dict[str, Any]]) -> str:
    """Create, replace, or leave alone; `found` are the schedule's recurring runs. Returns what was done.

    One that was paused by hand stays so, whether it is left alone or replaced.
    """
    right = _right(wanted, found)
    if right and len(found) == 1:
        return "unchanged" + paused(found[0])
    if right:  # an earlier call was interrupted between creation and deletion
        _hand_over(kubeflow, wanted, right, found)
        return "replaced: an earlier replacement was ended"
    to_be = wanted.mark.mode
    if found and not any(runs_now(one) for one in found) and all(mark_of(one).mode == ENABLE for one in found):
        to_be = DISABLE  # it was paused by hand
    body = wanted.request(kubeflow, version.reference(), mode=DISABLE if found else to_be, to_be=to_be)
    kubeflow.transport.create_once(lambda: next(iter(_right(wanted, _now(kubeflow, wanted))), None),
                                   lambda: kubeflow.create_recurring_run(body))
    there = _now(kubeflow, wanted)
    right = _right(wanted, there)
    if len(there) > 1:
        _hand_over(kubeflow, wanted, right, there)
    kept = ", paused as the one before was" if to_be != wanted.mark.mode else ""
    return f"replaced{kept}" if found else f"created{', not enabled' if to_be == DISABLE else ''}"


def _hand_over(kubeflow: Kubeflow, wanted: Wanted, right: list[dict[str, Any]], there: list[dict[str, Any]]) -> None:
    """Steps 2 to 4: of several that are right, as two calls at once make them, both calls keep the oldest."""
    keep, stopped = right[0], []
    others = [one for one in there if one is not keep]
    try:
        for one in others:
            if runs_now(one):
                kubeflow.enable(one["recurring_run_id"], False)
                stopped.append(one)
        to_be = mark_of(keep).mode == ENABLE
        if runs_now(keep) != to_be:
            kubeflow.enable(keep["recurring_run_id"], to_be)
    except ApiUnavailable as error:
        raise ApiUnavailable(f"{error}; schedule {wanted.schedule!r} may stand still until `pinrec schedule apply` has "
                             "run to its end", error.status) from error
    except ApiError:
        for one in stopped[:1]:
            kubeflow.enable(one["recurring_run_id"], True)
        raise
    for one in others:
        kubeflow.delete_recurring_run(one["recurring_run_id"])


def _now(kubeflow: Kubeflow, wanted: Wanted) -> list[dict[str, Any]]:
    return ours(kubeflow.recurring_runs(), wanted.mark.pinrec_config).get(wanted.schedule, [])


def _right(wanted: Wanted, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in found if mark_of(one).fingerprint == wanted.mark.fingerprint]
