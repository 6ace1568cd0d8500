"""pinrec config: look at a configuration file before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pinrec_core.config import Config


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Configuration files.")
    group.command("validate")(validate)
    group.command("show")(show)
    app.add_typer(group, name="config")


def validate(file: Annotated[Path, typer.Argument(help="Configuration file (TOML).")]) -> None:
    """Check a file; every problem is named with its key and limit."""
    config = Config.load(file)
    typer.echo(f"{file}: valid; {config.name} models {', '.join(config.log.surfaces)}")


def show(file: Annotated[Path, typer.Argument(help="Configuration file (TOML).")]) -> None:
    """Print every setting a run would use, defaults included, as JSON."""
    typer.echo(Config.load(file).model_dump_json(indent=1, by_alias=True))
