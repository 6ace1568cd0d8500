"""pinrec config: look at a configuration before it runs, and at what its keys mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pinrec_core.cli.options import AsJson
from pinrec_core.config import Config
from pinrec_core.progress import doing

File = Annotated[Path, typer.Argument(help="Configuration file (TOML).")]


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Configuration files and their keys.")
    for command in (show, validate, diff, explain):
        group.command(command.__name__)(command)
    app.add_typer(group, name="config")


def show(
    file: File,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from the defaults.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print every setting a run would use, defaults included; * marks what differs from them."""
    from pinrec_core.cli.config_text import print_settings
    from pinrec_core.config.settings import settings_of

    config = Config.load(file)
    settings = [one for one in settings_of(config) if one.differs or not changed]
    if as_json and changed:
        typer.echo(json.dumps({one.key: one.value for one in settings}, indent=1))
    elif as_json:
        typer.echo(config.model_dump_json(indent=1, by_alias=True))
    else:
        print_settings(settings)


def validate(
    file: File,
    dataset: Annotated[Path | None, typer.Option("--dataset", help=(
        "What aggregate-logs wrote of the log: then steps are exact, and so is all else."))] = None,
    events: Annotated[str, typer.Option("--events", help=(
        "Event log, if there is no dataset yet: then the steps of pretrain are estimated."))] = "",
    catalog: Annotated[str, typer.Option("--catalog", help="Item catalog: then sizes are those for its items.")] = "",
    speed: Annotated[float | None, typer.Option("--positions-per-s", min=1e-9, help=(
        "Training speed, as progress/progress.jsonl of an earlier model of this machine tells; for the time."))] = None,
    as_json: AsJson = False,
) -> None:
    """Check a file; every problem is named with its key and limit. Then estimate what a run would take."""
    config = Config.load(file)
    from pinrec_core.cli.config_text import print_outlook
    from pinrec_core.cli.outlook import outlook

    with doing("estimate"):
        found = outlook(config, dataset=dataset, events=events, catalog=catalog, positions_per_s=speed)
    if as_json:
        typer.echo(json.dumps({"file": str(file), "valid": True, "name": config.name} | found, indent=1))
        return
    typer.echo(f"{file}: valid; {config.name} models {', '.join(config.log.surfaces)}")
    print_outlook(found)


def diff(
    first: Annotated[Path, typer.Argument(help="Configuration file (TOML).")],
    second: Annotated[Path, typer.Argument(help="The other one.")],
    as_json: AsJson = False,
) -> None:
    """Print the settings in which two files differ, whether they say them or leave them at their defaults."""
    from pinrec_core.cli.config_text import print_changes
    from pinrec_core.config.settings import changes

    found = changes(Config.load(first), Config.load(second))
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in found], indent=1))
    else:
        print_changes(found)


def explain(
    key: Annotated[str, typer.Argument(metavar="[KEY]", help=(
        "Name of a key, for example pretrain.batch_size, or its last part. Default: list all keys."))] = "",
    as_json: AsJson = False,
) -> None:
    """Print what a key means, its type, default and limits."""
    from pinrec_core.cli.config_text import print_keys
    from pinrec_core.config.keys import all_keys, find_keys

    found = find_keys(key) if key else list(all_keys())
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in found], indent=1))
    else:
        print_keys(found, short=not key)
