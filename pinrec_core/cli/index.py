"""pinrec index: what can be done to the index of a live release without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pinrec_core.cli.options import Catalog, DatasetDir, Registry, Surface
from pinrec_core.config import Config
from pinrec_core.progress import doing


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="The item index of a live release.")
    group.command("refresh")(refresh)
    app.add_typer(group, name="index")


def refresh(
    registry: Registry, surface: Surface, catalog: Catalog, dataset: DatasetDir,
    config: Annotated[Path | None, typer.Option("--config", "-c", help=(
        "Configuration file whose [index] is used. Default: as the live index was built."))] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make the verified release live.")] = False,
) -> None:
    """Add a catalog's new items to the live release, by content and without training; verify what comes of it.

    --dataset is the one the live release was evaluated on.
    """
    with doing(f"refresh {surface}"):
        from pinrec_core.release.promote_refresh import promote_refresh
        from pinrec_core.release.refresh import refresh as run

        found = run(registry, surface, catalog, dataset=dataset, index=Config.load(config).index if config else None)
    typer.echo(found.sentence)
    if promote and found.release_id:
        typer.echo(promote_refresh(registry, found.release_id, "refresh"))
