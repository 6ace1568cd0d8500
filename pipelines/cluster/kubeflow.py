"""What Kubeflow Pipelines holds for a target: its experiment, pipeline versions, runs and recurring runs.

The namespace goes along only where the backend keeps users apart; a backend of one user refuses it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from pinrec_core.config.target import TargetConfig
from pinrec_core.errors import ConfigError
from pipelines.cluster.errors import ApiError
from pipelines.cluster.transport import Patience, Request, Transport

PIPELINE = "pinrec-training"


class Version(NamedTuple):
    """A pipeline version."""

    pipeline_id: str
    version_id: str
    name: str  # carries a hash of its content

    def reference(self) -> dict[str, str]:
        """As a run or a recurring run names it."""
        return {"pipeline_id": self.pipeline_id, "pipeline_version_id": self.version_id}


def version_name(yaml: bytes) -> str:
    """The name of the pipeline version that holds this YAML: other content never has the same."""
    return f"{PIPELINE}-{hashlib.sha256(yaml).hexdigest()[:12]}"


class Kubeflow:
    """The API of a target."""

    def __init__(self, name: str, target: TargetConfig, patience: Patience | None = None):
        """Raises ConfigError if the target has no host, or one that is no web address."""
        if not target.host:
            raise ConfigError(f"targets.{name}.host is not set; write the address of its Kubeflow Pipelines API, or "
                              "http://localhost:8888 for a `kubectl port-forward` to ml-pipeline")
        hints = {"token_env": target.token_env, "namespace": target.namespace}
        self.target = target
        self.transport = Transport(target.host, os.environ.get(target.token_env, ""), hints, patience)

    @cached_property
    def namespace(self) -> str:
        """That of the target, "" where the backend knows one user alone."""
        health = self.transport.send(Request("GET", "/healthz", "ask for its health"))
        return self.target.namespace if health.get("multi_user") else ""

    @cached_property
    def experiment_id(self) -> str:
        """Id of the target's experiment, which is made if it is not there."""
        name = self.target.experiment

        def create() -> dict[str, Any]:
            return self.transport.send(Request("POST", "/experiments", f"create experiment {name!r}",
                                               body={"display_name": name} | self._owner()))

        self.known_experiment_id = self.transport.create_once(self._experiment, create)["experiment_id"]
        return self.known_experiment_id

    @cached_property
    def known_experiment_id(self) -> str:
        """The same, "" if it is not there."""
        return (self._experiment() or {}).get("experiment_id", "")

    def _experiment(self) -> dict[str, Any] | None:
        return self._named("/experiments", "experiments", f"look for experiment {self.target.experiment!r}",
                           self.target.experiment, {"namespace": self.namespace})

    def version(self, yaml: bytes) -> Version:
        """The pipeline version with this content; it is uploaded if it is not there."""
        name = version_name(yaml)
        body = {"name": PIPELINE, "display_name": PIPELINE} | self._owner()
        pipeline_id = self.transport.create_once(self._pipeline, lambda: self.transport.send(
            Request("POST", "/pipelines", f"create pipeline {PIPELINE!r}", body=body)))["pipeline_id"]
        version = self.transport.create_once(
            lambda: self._named(f"/pipelines/{pipeline_id}/versions", "pipeline_versions",
                                f"look for pipeline version {name!r}", name),
            lambda: self.transport.send(Request(
                "POST", "/pipelines/upload_version", f"upload pipeline version {name!r}",
                {"name": name, "display_name": name, "pipelineid": pipeline_id}, file=(f"{name}.yaml", yaml))))
        return Version(pipeline_id, version["pipeline_version_id"], name)

    def create_run(self, body: dict[str, Any]) -> dict[str, Any]:
        """Start a run; its display name must be of this run alone, for by it a run is found whose answer was lost."""
        name, where = body["display_name"], self._of_experiment(self.experiment_id)
        return self.transport.create_once(
            lambda: self._named("/runs", "runs", f"look for run {name!r}", name, where),
            lambda: self.transport.send(Request("POST", "/runs", f"create run {name!r}", body=body,
                                                query={"experiment_id": self.experiment_id})))

    def run(self, run_id: str) -> dict[str, Any]:
        """A run with its state."""
        return self.transport.send(Request("GET", f"/runs/{run_id}", f"look at run {run_id}"))

    def runs(self, part_of_name: str) -> list[dict[str, Any]]:
        """The runs of the experiment with this in their display name, oldest first; none if there is no experiment."""
        if not self.known_experiment_id:
            return []
        query = self._of_experiment(self.known_experiment_id) | _where("IS_SUBSTRING", part_of_name)
        found = self.transport.pages(Request("GET", "/runs", "list the runs", query), "runs")
        return sorted(found, key=lambda run: (str(run.get("created_at", "")), run["run_id"]))

    def run_page(self, run_id: str) -> str:
        """Address of a run in the interface."""
        return f"{self.transport.host}/#/runs/details/{run_id}"

    def recurring_runs(self) -> Iterator[dict[str, Any]]:
        """All recurring runs of the experiment; none if there is no experiment."""
        if not self.known_experiment_id:
            return iter(())
        request = Request("GET", "/recurringruns", "list the recurring runs",
                          self._of_experiment(self.known_experiment_id))
        return self.transport.pages(request, "recurringRuns")

    def create_recurring_run(self, body: dict[str, Any]) -> dict[str, Any]:
        """One attempt to create a recurring run."""
        what = f"create recurring run {body['display_name']!r}"
        return self.transport.send(Request("POST", "/recurringruns", what, body=body))

    def enable(self, recurring_run_id: str, on: bool) -> None:
        """Let a recurring run start runs, or no longer."""
        verb = "enable" if on else "disable"
        self.transport.send(Request("POST", f"/recurringruns/{recurring_run_id}:{verb}",
                                    f"{verb} recurring run {recurring_run_id}", repeatable=True))

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Delete a recurring run; one that is gone is deleted."""
        try:
            self.transport.send(Request("DELETE", f"/recurringruns/{recurring_run_id}",
                                        f"delete recurring run {recurring_run_id}"))
        except ApiError as error:
            if error.status != 404:
                raise

    def _pipeline(self) -> dict[str, Any] | None:
        return self._named("/pipelines", "pipelines", f"look for pipeline {PIPELINE!r}", PIPELINE,
                           {"namespace": self.namespace})

    def _owner(self) -> dict[str, str]:
        return {"namespace": self.namespace} if self.namespace else {}

    def _of_experiment(self, experiment_id: str) -> dict[str, str]:
        return {"experiment_id": experiment_id, "namespace": self.namespace}

    def _named(self, path: str, key: str, what: str, name: str, query: dict[str, str] | None = None,
               ) -> dict[str, Any] | None:
        """The one entry of a list with this display name, None if there is none."""
        found = self.transport.pages(Request("GET", path, what, (query or {}) | _where("EQUALS", name)), key)
        return next(found, None)


def _where(operation: str, display_name: str) -> dict[str, str]:
    predicate = {"operation": operation, "key": "display_name", "string_value": display_name}
    return {"filter": json.dumps({"predicates": [predicate]})}
