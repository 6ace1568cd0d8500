"""Options that `run` and `backfill` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Events = Annotated[str, typer.Option(help="Event log; default: WORK/data/events.")]
Catalog = Annotated[str, typer.Option(help="Catalog; default: WORK/data/catalog.")]
Work = Annotated[Path | None, typer.Option(help="Work folder; default: work/<name of the configuration>.")]
Store = Annotated[str, typer.Option(help="Folder or gs:// URI for datasets and models; default: the tasks' outputs.")]
Registry = Annotated[str, typer.Option(help="Release registry; default: WORK/registry.")]
