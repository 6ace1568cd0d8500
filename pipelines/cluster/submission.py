"""A configuration as a run on one of its targets."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pinrec_core import storage
from pinrec_core.cli.options import last_date
from pinrec_core.config import Config
from pinrec_core.config.target import TargetConfig
from pinrec_core.errors import ConfigError
from pipelines.arguments import pipeline_arguments
from pipelines.cluster.kubeflow import Kubeflow, Version


def arguments_for(config: Config, target: TargetConfig, date: str, *, previous: str = "",
                  go_live: bool = True) -> dict[str, Any]:
    """The arguments of a run that reads and writes where the target's data is."""
    return pipeline_arguments(config, events=target.events, catalog=target.catalog, registry=target.registry,
                              date=date, previous=previous, go_live=go_live, store=target.store)


def visible(uri: str) -> bool:
    """Whether a place of the pods can be read from here: gs://, or a folder that is mounted here too."""
    return storage.is_remote(uri) or Path(uri).exists()


def date_of(target: TargetConfig, date: str) -> str:
    """The date that was named, or the last partition of the target's events. Raises ConfigError."""
    if date or visible(target.events):
        return date or last_date(target.events)
    raise ConfigError(f"events {target.events!r} are not to be seen from here; name the last day to read with --date")


def run_name(config: Config, date: str, token: str = "") -> str:
    """A display name that no other run has: the run's folder in the registry bears it."""
    token = token or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return f"{plain(config.name)}-{date}-{token}"


def plain(name: str) -> str:
    """A configuration's name as part of a file name."""
    return re.sub(r"[^\w.-]+", "-", name).lstrip(".") or "pinrec"


def run_body(kubeflow: Kubeflow, version: Version, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What creates a run."""
    target = kubeflow.target
    return {"display_name": name, "experiment_id": kubeflow.experiment_id,
            "pipeline_version_reference": version.reference(), "service_account": target.service_account,
            "runtime_config": runtime_config(target, arguments)}


def runtime_config(target: TargetConfig, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments, and where Kubeflow keeps artifacts if that is not the cluster's default."""
    root = {"pipeline_root": target.pipeline_root} if target.pipeline_root else {}
    return {"parameters": arguments} | root
