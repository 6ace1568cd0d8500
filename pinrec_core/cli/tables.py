"""Tables for a person: as wide as the terminal, or as a fixed width where there is none to ask."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

PIPED_WIDTH = 120  # columns of a table where there is no terminal to ask


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; nothing in it is markup."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=SIMPLE_HEAD, title=title or None, title_justify="left")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
