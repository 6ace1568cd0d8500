"""pinrec schedule: what a configuration declares below [schedules], and the recurring runs of its clusters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pinrec_core.cli.options import AsJson, ConfigFile
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.cluster.kubeflow import Kubeflow

Name = Annotated[str, typer.Argument(help="Name of the schedule.")]
OfTarget = Annotated[str, typer.Option("--target", "-t", help="Only this target. Default: all of the configuration.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Recurring runs on clusters, as [schedules] declares them.")
    for name, command in (("apply", apply), ("list", list_schedules), ("pause", pause), ("resume", resume),
                          ("delete", delete)):
        group.command(name)(command)
    app.add_typer(group, name="schedule")


def apply(config: ConfigFile, target: OfTarget = "",
          prune: Annotated[bool, typer.Option("--prune", help=(
              "Delete recurring runs of this configuration that it no longer declares."))] = False) -> None:
    """Make the clusters agree: create what is missing, replace what has changed, leave the rest alone."""
    settings = Config.load(config)
    from pipelines.cluster.recurring import ours, wanted
    from pipelines.cluster.replace import make_agree
    from pipelines.cluster.submission import compiled_for

    for name, kubeflow in _clusters(settings, target):
        declared = _declared(settings, name)
        found = ours(kubeflow.recurring_runs(), settings.name)
        version = kubeflow.version(compiled_for(settings, name)) if declared else None
        for schedule in declared:
            done = make_agree(kubeflow, wanted(settings, schedule, version.name), version, found.pop(schedule, []))
            typer.echo(f"{name}  {schedule}  {done}")
        for schedule, old in sorted(found.items()):
            if prune:
                _delete(kubeflow, old)
            typer.echo(f"{name}  {schedule}  {'deleted' if prune else 'not in the configuration; --prune deletes it'}")


def list_schedules(config: ConfigFile, target: OfTarget = "", as_json: AsJson = False) -> None:
    """List what is declared and what the clusters have, and whether the two agree."""
    settings = Config.load(config)
    rows = [row for name, kubeflow in _clusters(settings, target) for row in rows_of(settings, name, kubeflow)]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("target", "schedule", "cron", "time zone", "runs", "state")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("target", "schedule", "cron", "time_zone")),
                      "yes" if row["enabled"] else "no", row["state"])
    Console(soft_wrap=True).print(table)


def pause(name: Name, config: ConfigFile, target: OfTarget = "") -> None:
    """Let a schedule start no runs until it is resumed; `apply` does not resume it."""
    _switch(Config.load(config), name, target, on=False)


def resume(name: Name, config: ConfigFile, target: OfTarget = "") -> None:
    """Let a schedule start runs again; of those it has missed the last one is started at once."""
    _switch(Config.load(config), name, target, on=True)


def delete(name: Name, config: ConfigFile, target: OfTarget = "") -> None:
    """Delete the recurring runs of a schedule; runs that it has started go on."""
    for where, kubeflow, found in _found(Config.load(config), name, target):
        _delete(kubeflow, found)
        typer.echo(f"{where}  {name}  deleted")


def _switch(config: Config, name: str, target: str, *, on: bool) -> None:
    for where, kubeflow, found in _found(config, name, target):
        if len(found) > 1:
            raise ConfigError(f"{where}: schedule {name!r} is half replaced; run `pinrec schedule apply` first")
        kubeflow.enable(found[0]["recurring_run_id"], on)
        typer.echo(f"{where}  {name}  {'resumed' if on else 'paused'}")


def _found(config: Config, name: str, target: str) -> Iterator[tuple[str, Kubeflow, list[dict[str, Any]]]]:
    """Where there are recurring runs of a schedule. Raises ConfigError if there are none."""
    from pipelines.cluster.recurring import ours

    there, known = False, set()
    for where, kubeflow in _clusters(config, target):
        found = ours(kubeflow.recurring_runs(), config.name)
        known |= set(found)
        if name in found:
            there = True
            yield where, kubeflow, found[name]
    if not there:
        raise ConfigError(f"no cluster has a schedule {name!r} of configuration {config.name!r}; there are "
                          f"{sorted(known)}, and `pinrec schedule apply` creates what is declared")


def _clusters(config: Config, target: str) -> Iterator[tuple[str, Kubeflow]]:
    """The target that was named, or all with an API. Raises ConfigError if there is none."""
    from pipelines.cluster.kubeflow import Kubeflow

    scheduled = {schedule.target for schedule in config.schedules.values()}
    names = [target] if target else sorted(n for n, one in config.targets.items() if one.host or n in scheduled)
    if not names:
        raise ConfigError(f"configuration {config.name!r} has no target with a host; write [targets.NAME] with host = "
                          "\"https://...\"")
    for name in names:
        yield name, Kubeflow(name, config.target(name))


def _declared(config: Config, target: str) -> list[str]:
    return sorted(name for name, schedule in config.schedules.items() if schedule.target == target)


def _delete(kubeflow: Kubeflow, found: list[dict[str, Any]]) -> None:
    for one in found:
        kubeflow.delete_recurring_run(one["recurring_run_id"])


def rows_of(config: Config, target: str, kubeflow: Kubeflow) -> list[dict[str, Any]]:
    """A row per schedule that is declared for a target or found there."""
    from pipelines.cluster.recurring import ours, runs_now, state_of, wanted
    from pipelines.cluster.submission import compiled_for
    from pipelines.compile import version_name

    declared = _declared(config, target)
    version = version_name(compiled_for(config, target)) if declared else ""
    found = ours(kubeflow.recurring_runs(), config.name)
    rows = []
    for name in sorted({*declared, *found}):
        there = found.get(name, [])
        cron = next((one["trigger"]["cron_schedule"]["cron"] for one in there), "")
        rows.append({"target": target, "schedule": name,
                     "cron": cron or config.schedules[name].cron, "time_zone": kubeflow.target.cron_time_zone,
                     "enabled": any(runs_now(one) for one in there),
                     "state": state_of(wanted(config, name, version) if name in declared else None, there),
                     "recurring_run_ids": [one["recurring_run_id"] for one in there]})
    return rows
