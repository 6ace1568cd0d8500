"""The table that a backfill ends with: a line per date, and a sentence of what there was to do."""

from __future__ import annotations

import sys

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pinrec_core.cli.tables import PIPED_WIDTH
from pipelines.backfill.result import DateResult, DateStatus


def print_table(results: list[DateResult]) -> None:
    """One line per date: verdict, numbers, seconds, reused steps; below it what failed, and the summary."""
    numbers = list(dict.fromkeys((surface, metric) for result in results for surface, found in result.metrics.items()
                                 for metric in found))
    table = Table("date", "verdict", *(f"{surface} {metric}" for surface, metric in numbers), "seconds", "reused",
                  box=SIMPLE_HEAD)
    for result in results:
        values = (_decimal(result.metrics.get(surface, {}).get(metric)) for surface, metric in numbers)
        table.add_row(result.date, result.status.value, *values, f"{result.seconds:.1f}", _reused(result))
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    for result in results:
        if not result.status.complete or result.status is DateStatus.REJECTED:
            typer.echo(f"{result.date} {result.status.value}: {result.sentence}", err=True)
    typer.echo(summary(results))


def summary(results: list[DateResult]) -> str:
    """What there was to do, in one sentence."""
    new = [result for result in results if not result.again]
    if not new:
        return f"nothing to do: all {len(results)} dates were done before"
    counted = {status: sum(result.status is status for result in new) for status in DateStatus}
    ended = ", ".join(f"{count} {status.value}" for status, count in counted.items() if count)
    return f"{ended}; {len(results) - len(new)} of {len(results)} dates were done before"


def _reused(result: DateResult) -> str:
    return "done before" if result.again else f"{result.reused} of {result.steps}"


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
