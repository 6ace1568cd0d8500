"""Backfill on a cluster: the plan of a local backfill, but one run of Kubeflow's after another.

What is done is known from the runs themselves: a date's run bears the fingerprint of all that its result depends on as
far as it is known from here: arguments, pipeline version, and, unless it is to promote, what is live. (The files behind
the URIs are not: partitions are immutable.) So a second call, from any machine, runs none of those done, and follows
one that is under way. A date that failed gets a run of its own again: a run's folder belongs to one run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pinrec_core import storage
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError, PinrecError
from pinrec_core.registry import read_aliases
from pinrec_core.report.run_folder import DATA, run_folder
from pipelines.backfill.done import refuse_to_go_back
from pipelines.backfill.plan import Next, Planned, State, day_before, what_next
from pipelines.backfill.result import DateResult, DateStatus
from pipelines.cluster.ending import Ending, ended, ending, follow, tasks_of
from pipelines.cluster.errors import ApiError
from pipelines.cluster.kubeflow import Kubeflow, Version
from pipelines.cluster.submission import arguments_for, plain, run_body, visible
from pipelines.input_state import NOT_INPUT


class ClusterBackfill:
    """Runs dates one after another."""

    def __init__(self, config: Config, kubeflow: Kubeflow, version: Version, *, go_live: bool,
                 tell: Callable[[str], None]):
        """Raises ConfigError if it is to promote and cannot see what is live."""
        self._config, self._kubeflow, self._version, self._go_live = config, kubeflow, version, go_live
        self._tell, self._registry = tell, kubeflow.target.registry
        if go_live and not visible(self._registry):
            raise ConfigError(f"registry {self._registry!r} is not to be seen from here, so that a later release that "
                              "is live would go unnoticed; run it where the registry is mounted, or leave out "
                              "--promote")
        self._datasets: dict[str, str] = {}
        self._results: dict[str, DateResult] = {}

    def run(self, dates: list[str]) -> list[DateResult]:
        """The results in order of dates."""
        planned = {date: self._plan(date) for date in [day_before(dates[0]), *dates]}
        before = self._done(planned.pop(day_before(dates[0])))
        if before:
            self._know_dataset(before)
        done = {date: found for date, one in planned.items() if (found := self._done(one))}
        if self._go_live:
            refuse_to_go_back([one for date, one in planned.items() if date not in done])
        for date, one in planned.items():
            result = done.get(date) or self._run_date(one, dates[0])
            self._results[date] = result
            self._know_dataset(result)
        return list(self._results.values())

    def _plan(self, date: str) -> Planned:
        arguments = arguments_for(self._config, self._kubeflow.target, date, go_live=self._go_live)
        inputs: dict[str, Any] = {name: value for name, value in arguments.items() if name not in NOT_INPUT}
        if not self._go_live and visible(self._registry):
            aliases, _ = read_aliases(self._registry)
            inputs["live"] = {surface: alias.live for surface, alias in sorted(aliases.surfaces.items())}
        text = json.dumps([inputs, self._version.name], sort_keys=True)
        return Planned(date, arguments, hashlib.sha256(text.encode()).hexdigest())

    def _done(self, planned: Planned) -> DateResult | None:
        """What came of the date's runs before, if one of them did all there is to do."""
        for run in reversed(self._runs(planned)):
            if ended(run):
                result = self._result(planned, self._kubeflow.run(run["run_id"]))
                if result.status.complete:
                    return result.model_copy(update={"again": True})
        return None

    def _runs(self, planned: Planned) -> list[dict[str, Any]]:
        return self._kubeflow.runs(self._name(planned))

    def _name(self, planned: Planned) -> str:
        return f"{plain(self._config.name)}-{planned.date}-backfill-{planned.inputs[:12]}-"

    def _run_date(self, planned: Planned, first: str) -> DateResult:
        step, culprit = what_next(planned.date, State(self._datasets, self._results), first=first,
                                  go_live=self._go_live, lookback_days=self._config.aggregate.lookback_days)
        if step is Next.GIVE_UP:
            return DateResult(date=planned.date, status=DateStatus.NOT_RUN, sentence=f"it depends on {culprit}")
        earlier = self._runs(planned)
        run = next((one for one in reversed(earlier) if not ended(one)), None)
        try:
            run = run or self._start(planned, len(earlier) + 1)
            self._tell(f"{planned.date}  {self._kubeflow.run_page(run['run_id'])}")
            result = self._result(planned, follow(self._kubeflow, run["run_id"], self._tell))
        except ApiError:
            raise  # every further date would meet the same
        except PinrecError as error:
            result = DateResult(date=planned.date, status=DateStatus.FAILED, sentence=str(error))
        self._tell(f"{planned.date}  {result.status.value}  {result.seconds:.1f} s")
        return result

    def _start(self, planned: Planned, attempt: int) -> dict[str, Any]:
        arguments = planned.arguments | {"previous": self._datasets.get(day_before(planned.date), "")}
        name = f"{self._name(planned)}{attempt}"
        return self._kubeflow.create_run(run_body(self._kubeflow, self._version, name, arguments))

    def _result(self, planned: Planned, run: dict[str, Any]) -> DateResult:
        end: Ending = ending(run, self._registry)
        surfaces = end.outcome.get("surfaces", {})
        metrics = {surface: {name: metric["value"] for name, metric in entry["metrics"].items()}
                   for surface, entry in surfaces.items()}
        return DateResult(date=planned.date, status=DateStatus(end.status.value), sentence=end.sentence,
                          metrics=metrics, releases=tuple(end.outcome.get("releases", {}).values()),
                          seconds=_seconds(run), steps=len(tasks_of(run)), run_id=run["display_name"],
                          report=end.outcome.get("report", ""), dataset=self._dataset(run))

    def _dataset(self, run: dict[str, Any]) -> str:
        """Where the run's dataset is, "" if that is not known here."""
        if not visible(self._registry):
            return ""
        data = storage.read_versioned(storage.join(run_folder(self._registry, run["display_name"]), DATA)).data
        return json.loads(data)["uri"] if data else ""

    def _know_dataset(self, result: DateResult) -> None:
        if result.dataset and storage.exists(storage.join(result.dataset, storage.MANIFEST_NAME)):
            self._datasets[result.date] = result.dataset


def _seconds(run: dict[str, Any]) -> float:
    """From a run's creation to its end."""
    try:
        began, end = (datetime.fromisoformat(run[name]) for name in ("created_at", "finished_at"))
    except (KeyError, ValueError):
        return 0.0
    return round((end - began).total_seconds(), 1)
