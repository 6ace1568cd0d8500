"""pinrec notify: tell again, or by hand, how a run ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pinrec_core.cli.exit_codes import EXIT_FAILED
from pinrec_core.config import Config
from pinrec_core.errors import PinrecError


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command("notify")(notify)


def notify(
    run_folder: Annotated[str, typer.Argument(help="Folder or URI of the run: REGISTRY/runs/RUN.")],
    config: Annotated[Path | None, typer.Option("--config", "-c", help=(
        "Configuration file whose [notify] is used. Default: no webhook."))] = None,
) -> None:
    """Tell how a run ended: log, run folder, webhook. Exits with 1 if the webhook did not take it."""
    from pinrec_core.report.notify import notify as run
    from pinrec_core.storage import list_names

    if not list_names(run_folder):
        raise PinrecError(f"{run_folder}: no run folder; the registry has them below runs/")
    section = Config.load(config).notify.canonical_json() if config else "{}"
    channels = run(run_folder, section)
    if "webhook" in channels:
        typer.echo(f"webhook: {channels['webhook'].sentence}")
    if not all(channel.delivered for channel in channels.values()):
        raise typer.Exit(EXIT_FAILED)
