"""pinrec status: what is live on each surface and how old it is; an exit code for whoever is to be paged."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pinrec_core.cli.exit_codes import EXIT_TOO_OLD
from pinrec_core.cli.options import AsJson, ConfigFile
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError
from pipelines.options import Registry

if TYPE_CHECKING:
    from pinrec_core.report.live_status import Status, SurfaceStatus


def status(
    config: ConfigFile,
    target: Annotated[str, typer.Option("--target", "-t", help="The registry of this target, and its schedules.")] = "",
    registry: Registry = "",
    max_age_days: Annotated[int | None, typer.Option("--max-age-days", min=0, help=(
        "Exit with 4 if the data of a live release end longer ago, or nothing is live on a surface."))] = None,
    as_json: AsJson = False,
) -> None:
    """Show per surface what is live, the age of its data, the last verdict, days since promotion."""
    settings = Config.load(config)
    from pinrec_core.report.live_status import live_status

    where = registry or (settings.target(target).registry if target else f"work/{settings.name}/registry")
    _check_visible(where)
    found = live_status(where, settings.log.surfaces, datetime.now(UTC))
    schedules = _schedules(settings, target) if target else []
    old = [sentence for one in found.surfaces if (sentence := one.too_old(max_age_days))]
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json") | {
            "registry": where, "schedules": schedules, "too_old": old}, indent=1))
    else:
        _print(found)
        for row in schedules:
            typer.echo(f"schedule {row['schedule']}: {row['cron']} ({row['time_zone']}), "
                       f"{'runs' if row['enabled'] else 'does not run'}, {row['state']}")
        for sentence in old:
            typer.echo(f"too old: {sentence}", err=True)
    if old:
        raise typer.Exit(EXIT_TOO_OLD)


def _check_visible(registry: str) -> None:
    from pipelines.cluster.submission import visible

    if not visible(registry):
        raise ConfigError(f"registry {registry!r} is not to be seen from here; name it with --registry, or run this "
                          "where it is mounted")


def _schedules(config: Config, target: str) -> list[dict]:
    from pipelines.cluster.kubeflow import Kubeflow
    from pipelines.cluster.schedule_command import rows_of

    return rows_of(config, target, Kubeflow(target, config.target(target)))


def _print(found: Status) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("surface", "live", "data until", "age, days", "live since, days", "last verdict", "")
    for one in found.surfaces:
        note = one.problem or (f"frozen: {one.frozen}" if one.frozen else "")
        table.add_row(one.surface, (one.live or "nothing")[:12], one.data_date, _number(one.data_age_days),
                      _number(one.promoted_days), _verdict(one), note)
    Console(soft_wrap=True).print(table)
    if found.last_run:
        typer.echo(f"last run {found.last_run}: {found.last_run_status}, {_number(found.last_run_days)} days ago")


def _verdict(one: SurfaceStatus) -> str:
    return f"{one.verdict}, {_number(one.verdict_days)} days ago" if one.verdict else "none"


def _number(days: float | None) -> str:
    return "" if days is None else f"{days:g}" if isinstance(days, int) else f"{days:.1f}"
