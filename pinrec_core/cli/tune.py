"""pinrec tune: which settings validate best, by a seeded random search with successive halving. See docs/tuning.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pinrec_core.cli.options import AsJson, ConfigFile, DatasetDir
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError
from pinrec_core.progress import doing

if TYPE_CHECKING:
    from pinrec_core.tuning.result import Row, Table

WIDTH = 140  # columns of the table where no terminal tells them


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command("tune")(tune)


def tune(
    config: ConfigFile, dataset: DatasetDir,
    surface: Annotated[str | None, typer.Option("--surface", "-s", help=(
        "Surface whose fine-tuned model is measured; \"\" = the base model on all. [default: tune.surface]"))] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help=(
        "Draws in all, those of an earlier call among them. [default: tune.trials]"))] = None,
    study: Annotated[Path | None, typer.Option("--study", help=(
        "Folder of the journal and the result. [default: work/NAME/tuning]"))] = None,
    resume: Annotated[bool, typer.Option("--resume", help=(
        "Go on with the study that is there: what is finished stays, what was running is tried again."))] = False,
    as_json: AsJson = False,
) -> None:
    """Try settings drawn from [tune.ranges], give up early on those behind, and write the best configuration."""
    settings = Config.load(config)
    try:
        from pinrec_core.tuning.result import BEST, PLOT, RESULT
        from pinrec_core.tuning.space import configured
        from pinrec_core.tuning.tune import tune as run
    except ModuleNotFoundError as error:
        raise ConfigError(f"tune needs {error.name}, which is not installed; pip install 'pinrec[tune]'") from error

    asked = {"tune.surface": surface, "tune.trials": trials}
    if settings.tune:
        settings = configured(settings, {key: value for key, value in asked.items() if value is not None})
    folder = study or Path("work", settings.name, "tuning")
    with doing("tune"):
        table = run(settings, dataset, folder, resume=resume)
    if as_json:
        typer.echo(table.model_dump_json(indent=1))
        return
    _print(table)
    typer.echo(f"best  {folder / RESULT / BEST}\nplot  {folder / RESULT / PLOT}")


def _print(table: Table) -> None:
    """Best first."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Printed

    names = sorted(table.rows[0].values)
    printed = Printed("trial", "state", "epochs", table.metric, *names, box=SIMPLE_HEAD)
    for row in table.ranked:
        printed.add_row(str(row.trial), _state(row, table), str(row.epochs),
                        "" if row.value is None else f"{row.value:.4f}",
                        *(_spelled(row.values[name]) for name in names))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(printed)
    whose = f"surface {table.surface}" if table.surface else "base model, all surfaces"
    typer.echo(f"validation {table.metric}, {whose}, n = {table.requests} requests")


def _state(row: Row, table: Table) -> str:
    return "best" if row.trial == table.best else row.state


def _spelled(value: bool | int | float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
