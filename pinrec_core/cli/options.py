"""Options that several commands share, and small answers about paths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pinrec_core import storage
from pinrec_core.errors import DataError

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="Configuration file (TOML).")]
Events = Annotated[str, typer.Option("--events", help="Folder or URI of the event log's date=YYYY-MM-DD partitions.")]
Catalog = Annotated[str, typer.Option("--catalog", help="Folder or URI of the item catalog.")]
Date = Annotated[str, typer.Option("--date", help="Last day to read, YYYY-MM-DD; default: the last partition.")]
Registry = Annotated[str, typer.Option("--registry", envvar="PINREC_REGISTRY", help="Folder or URI of the registry.")]
DatasetDir = Annotated[Path, typer.Option("--dataset", help="What aggregate-logs wrote.")]
VerdictDir = Annotated[Path, typer.Option("--verdict", help="What gate wrote.")]
Surface = Annotated[str, typer.Option("--surface", "-s", help="Name of the surface.")]
CheckpointsDir = Annotated[Path | None, typer.Option("--checkpoints", help=(
    "Where the run keeps its place until it is done, say a mounted volume. [default: OUTPUT.checkpoints]"))]
Release = Annotated[str, typer.Argument(help=(
    "Id of a release, or so much of its beginning that it is the only one; or SURFACE:live, SURFACE:previous."))]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="New directory to write.")]

_PARTITION = "date="


def last_date(events: str) -> str:
    """The date of the last partition of an event log. Raises DataError if there is none."""
    dates = [name.removeprefix(_PARTITION) for name in storage.list_names(events) if name.startswith(_PARTITION)]
    if not dates:
        raise DataError(f"{events}: no date=YYYY-MM-DD partitions there; write some with `pinrec import` or "
                        "`pinrec synth`, or pass --events")
    return max(dates)
