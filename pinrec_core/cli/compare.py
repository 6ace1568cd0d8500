"""pinrec compare: two runs beside each other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pinrec_core.cli.ask import DEMO_REGISTRY
from pinrec_core.cli.options import AsJson, Registry
from pinrec_core.progress import doing

if TYPE_CHECKING:
    from pinrec_core.report.compared_runs import Cell, Compared, CurveEnd, MetricRow

WIDTH = 120  # columns of a table where no terminal tells them
Run = Annotated[str, typer.Argument(help="Id of a run, or so much of its beginning that it is the only one.")]


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compare")(compare)


def compare(
    first: Run, second: Run, registry: Registry = DEMO_REGISTRY,
    every: Annotated[bool, typer.Option("--all", help="Print all metrics, not only recall.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two runs: data, settings, metrics with the paired difference, verdicts, how training ended.

    A difference is the second run minus the first. The ids of runs are the folders of REGISTRY/runs.
    """
    with doing("compare"):
        from pinrec_core.report.compared_runs import compare_runs

        found = compare_runs(registry, first, second)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        _print(found, every)


def _print(found: Compared, every: bool) -> None:
    facts = [("run", *found.runs), ("status", *found.status), ("date", *found.dates), ("promoted", *found.promoted),
             ("dataset", *(value and value[:12] for value in found.dataset))]
    _table(("", "first", "second"), facts + [(name, *pair) for name, pair in found.counts.items()])
    _table(("setting", "first", "second"), [(name, *pair) for name, pair in found.config.items()],
           none="settings: no difference" if not any("settings" in note for note in found.notes) else "")
    rows = [row for row in found.metrics if every or row.metric.startswith("recall@")]
    _table(("surface", "metric", "first", "second", "difference", "interval", "users"), list(map(_metric, rows)))
    for why in dict.fromkeys(f"{row.surface}: no interval of the difference: {row.unpaired}" for row in rows
                             if row.unpaired):
        typer.echo(why)
    _table(("verdict", "first", "second"), [(one.surface, *one.decision) for one in found.verdicts])
    for one in found.verdicts:
        for name, reasons in zip(("first", "second"), one.reasons, strict=True):
            for reason in reasons:
                typer.echo(f"{name}: {reason}")
    _table(("training", "first", "second"), [(name, *map(_end, pair)) for name, pair in found.training.items()])
    _table(("step", "first, s", "second, s"), [(name, *pair) for name, pair in found.seconds.items()])
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]], none: str = "") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    if not rows:
        if none:
            typer.echo(none)
        return
    table = Table(*heads, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(_text, row))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)


def _metric(row: MetricRow) -> tuple[str, ...]:
    difference = "" if row.difference is None else f"{row.difference:+.4f}"
    interval = "" if row.low is None or row.high is None else f"{row.low:+.4f} to {row.high:+.4f}"
    return row.surface, row.metric, _cell(row.first), _cell(row.second), difference, interval, str(row.n or "")


def _cell(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return "none"
    interval = "" if cell.low is None or cell.high is None else f" ({cell.low:.4f}-{cell.high:.4f})"
    return f"{cell.value:.4f}{interval}"


def _end(end: CurveEnd | None) -> str:
    if end is None:
        return "none"
    loss = "" if end.loss is None else f"loss {end.loss:.4f} after {end.epochs} epochs"
    best = "" if end.best is None else f"validation {end.best:.4f}, epoch {end.best_epoch}"
    return ", ".join(filter(None, (loss, best))) or "none"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
