"""Options that the commands about a cluster share."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

Target = Annotated[str, typer.Option("--target", "-t", help="Name of a [targets.NAME] of the configuration.")]


def tell(line: str) -> None:
    """A line of progress, with the time, onto stderr."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {line}\n")
    sys.stderr.flush()
