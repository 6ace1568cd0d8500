"""Commands of the logs room: import, synth, aggregate-logs, validate-data, data suggest-rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pinrec_core.cli.options import Catalog, ConfigFile, DatasetDir, Date, Events, Output, last_date
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError, IntegrityError
from pinrec_core.progress import doing
from pinrec_core.storage import write_bytes

Source = Annotated[Path, typer.Argument(help="File or folder to read.")]
Destination = Annotated[Path, typer.Argument(help="New folder: events/ and catalog/ are written below it.")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    imports = typer.Typer(no_args_is_help=True, help="Turn a download or plain tables into an event log and a catalog.")
    imports.command("kuairand")(import_kuairand)
    imports.command("amazon")(import_amazon)
    imports.command("events")(import_events)
    app.add_typer(imports, name="import")
    app.command("synth")(synth)
    app.command("aggregate-logs")(aggregate_logs)
    app.command("validate-data")(validate_data)
    data = typer.Typer(no_args_is_help=True, help="Look at training datasets.")
    data.callback()(_data)  # a group, although it has one command
    data.command("suggest-rules")(suggest_rules)
    app.add_typer(data, name="data")


def import_kuairand(src: Source, dst: Destination) -> None:
    """KuaiRand, CSV or Parquet with the official columns."""
    with doing("import"):
        from pinrec_core.logs.importers import import_kuairand as run

        counts = run(src, dst)
    _show(counts)


def import_amazon(src: Source, dst: Destination) -> None:
    """Amazon reviews 2014 in the leave-one-out files of the sequence benchmarks."""
    with doing("import"):
        from pinrec_core.logs.importers import import_amazon as run

        counts = run(src, dst)
    _show(counts)


def import_events(
    src: Source, dst: Destination,
    fields: Annotated[list[str], typer.Option("--map", metavar="FIELD=COLUMN", help=(
        "Which column fills a field, e.g. user_id=uid, timestamp=ts, timestamp_unit=s, surface_constant=feed, "
        "catalog.path=items.csv. Repeat it."))] = [],  # noqa: B006  (typer copies it)
) -> None:
    """Parquet, CSV or JSON Lines with any column names."""
    with doing("import"):
        from pinrec_core.logs.importers import EventMapping
        from pinrec_core.logs.importers import import_events as run

        counts = run(src, dst, EventMapping.parse(json.dumps(_nested("--map", fields))))
    _show(counts)


def synth(
    dst: Destination,
    world: Annotated[str, typer.Option(help="Which world: demo or tiny.")] = "demo",
    users: Annotated[int, typer.Option(help="Users; 0 = as in the world.")] = 0,
    items: Annotated[int, typer.Option(help="Pins; 0 = as in the world.")] = 0,
    days: Annotated[int, typer.Option(help="Days; 0 = as in the world.")] = 0,
    settings: Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help=(
        "Any other setting of the world, e.g. seed=1 or drift=0.1; repeat it."))] = [],  # noqa: B006  (typer copies it)
) -> None:
    """A synthetic world whose recall has a known floor and ceiling (truth.json)."""
    from pinrec_core.logs.synth import WORLDS, WorldConfig, write_world

    if world not in WORLDS:
        raise ConfigError(f"--world {world!r}: there are {', '.join(WORLDS)}")
    sizes = {"users": users, "items": items, "days": days}
    given = {name: value for name, value in sizes.items() if value} | _nested("--set", settings)
    with doing("synth"):
        write_world(dst, WorldConfig.parse(json.dumps(WORLDS[world].model_dump(mode="json") | given)))


def aggregate_logs(
    config: ConfigFile, events: Events, catalog: Catalog,
    output: Annotated[str, typer.Option("--output", "-o", help="New directory or gs:// location to write.")],
    date: Date = "",
    previous: Annotated[str, typer.Option(help="An earlier dataset of this log, for example yesterday's: only what is "
                                               "new or changed since is read.")] = "",
) -> None:
    """Event log and catalog -> training dataset."""
    settings = Config.load(config)
    with doing("aggregate"):
        from pinrec_core.logs.aggregate import aggregate_logs as run

        counts = run(events, catalog, output, log=settings.log, aggregate=settings.aggregate,
                     date=date or last_date(events), previous=previous).counts
    _show(counts)


def validate_data(config: ConfigFile, dataset: DatasetDir, output: Output) -> None:
    """Check a training dataset against the limits of [validate]."""
    with doing("validate"):
        from pinrec_core.logs.validate import validate_data as run

        counts = run(dataset, output, validate=Config.load(config).validate_).counts
    _show(counts)


def suggest_rules(
    datasets: Annotated[list[Path], typer.Option("--dataset", help=(
        "A good dataset, as aggregate-logs wrote it; repeat it."))],
    margin: Annotated[float, typer.Option(help="What a limit leaves beyond what was seen: 0.3 = 30 %.")] = 0.3,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="New file; default: print it.")] = None,
) -> None:
    """A [validate] section with limits from good datasets."""
    with doing("suggest rules"):
        from pinrec_core.logs.checks.suggest import suggest_rules as run

        text = run(datasets, margin)
    if output is None:
        typer.echo(text, nl=False)
        return
    if output.exists():
        raise IntegrityError(f"{output}: already exists; remove it or choose another output")
    write_bytes(str(output), text.encode())


def _data() -> None:
    """Look at training datasets."""


def _show(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        typer.echo(f"{name:28} {count:>14,}")


def _nested(option: str, fields: list[str]) -> dict[str, Any]:
    """["a=1", "b.c=2"] -> {"a": "1", "b": {"c": "2"}}."""
    result: dict[str, Any] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise ConfigError(f"{option} {field!r}: write NAME=VALUE")
        *parents, name = key.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return result
