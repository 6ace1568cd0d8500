"""The `pinrec` console script: the commands of pinrec_core, and the two that need kfp, `run` and `compile`.

It lives here because pinrec_core may not import pipelines (or kfp): the entry point is the one place above both.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pinrec_core import storage
from pinrec_core.cli.entry import EXIT_FAILED, EXIT_REJECTED, Settings, build_app, execute
from pinrec_core.cli.options import ConfigFile, last_date
from pinrec_core.config import Config
from pinrec_core.errors import DataError, PinrecError

if TYPE_CHECKING:
    from pipelines.local import LocalRun

PIPED_WIDTH = 120  # columns of the table where there is no terminal to ask
EXIT_CODES = {"promoted": 0, "ready": 0, "rejected": EXIT_REJECTED, "failed": EXIT_FAILED}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    settings = Settings()
    app = build_app(settings)
    app.command("run")(run)
    app.command("compile")(compile_)
    sys.exit(execute(app, settings, arguments))


def compile_(
    output: Annotated[Path, typer.Option("--output", "-o", help="YAML file to write.")] = Path(
        "manifests/compiled/pinrec_training.yaml"),
) -> None:
    """Compile the training pipeline for a cluster; PINREC_IMAGE names the image, PINREC_CLAIM a volume."""
    from pipelines.compile import compile_training

    typer.echo(compile_training(output))


def run(
    config: ConfigFile,
    events: Annotated[str, typer.Option(help="Event log; default: WORK/data/events.")] = "",
    catalog: Annotated[str, typer.Option(help="Catalog; default: WORK/data/catalog.")] = "",
    date: Annotated[str, typer.Option(help="Last day to read, YYYY-MM-DD; default: the last partition.")] = "",
    previous: Annotated[str, typer.Option(help="An earlier dataset of this log: only what is new since is read.")] = "",
    work: Annotated[Path | None, typer.Option(help="Work folder; default: work/<name of the configuration>.")] = None,
    registry: Annotated[str, typer.Option(help="Release registry; default: WORK/registry.")] = "",
) -> None:
    """Run the whole workflow here. Exits with 0 if promoted, 3 if rejected, 1 if failed."""
    settings = Config.load(config)
    work = (work or Path("work") / settings.name).resolve()
    events = _place(events or f"{work}/data/events")
    catalog = _place(catalog or f"{work}/data/catalog")
    registry = _absolute(registry or f"{work}/registry")
    from pipelines.arguments import pipeline_arguments
    from pipelines.local import run_locally
    from pipelines.work_lock import only_one

    arguments = pipeline_arguments(settings, events=events, catalog=catalog, registry=registry,
                                   date=date or last_date(events), previous=_absolute(previous) if previous else "")
    with only_one(work):
        done = run_locally(arguments, work)
    if not done.run_id:
        raise PinrecError(f"the run did not start; {done.log} says why")
    raise typer.Exit(EXIT_CODES[_conclude(done, registry)])


def _conclude(done: LocalRun, registry: str) -> str:
    """Print how the run ended and return its status; a failure's reason is put into the run's report."""
    from pinrec_core.report.run_folder import record_failure, run_folder
    from pinrec_core.report.run_report import OUTCOME, write_run_report

    logging.getLogger("pinrec").setLevel(logging.WARNING)  # what the report would log is printed below
    folder = run_folder(registry, done.run_id)
    culprit = next((task for task in done.failed if task.component != "reject"), None)
    if culprit:
        record_failure(folder, culprit.name, culprit.error, culprit.lines)
    if culprit or not storage.exists(storage.join(folder, OUTCOME)):
        write_run_report(folder)
    outcome = json.loads(storage.read_bytes(storage.join(folder, OUTCOME)))
    _print_table(folder)
    if culprit and not culprit.user_error:
        typer.echo("\n".join(["", *culprit.lines, ""]), err=True)
    for warning in outcome["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(outcome["sentence"], err=EXIT_CODES[outcome["status"]] != 0)
    for line in culprit.user_error.splitlines()[1:] if culprit else ():  # the sentence has the first one
        typer.echo(line, err=True)
    typer.echo(f"report {outcome['report']}\nlog    {done.log}")
    return outcome["status"]


def _print_table(folder: str) -> None:
    """One line per surface and floor: what was reached, the best baseline, the floor, the verdict."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from pinrec_core.report.run_facts import summary_table

    rows = summary_table(folder)
    if not rows:
        return
    table = Table("surface", "metric", "value", "interval", "best baseline", "floor", "users", "verdict",
                  box=SIMPLE_HEAD)
    for row in rows:
        interval = "" if row.low is None or row.high is None else f"{row.low:.3f}-{row.high:.3f}"
        baseline = f"{_decimal(row.baseline_value)} {row.baseline}" + (" (higher)" if row.below_baseline else "")
        table.add_row(row.surface, row.metric, _decimal(row.recall), interval, baseline, _decimal(row.floor),
                      str(row.n or ""), row.verdict)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table)


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _place(uri: str) -> str:
    """A folder that must be there, as an absolute path or URI. Raises DataError."""
    if not storage.list_names(uri):
        raise DataError(f"{uri}: nothing there; write it with `pinrec import` or `pinrec synth`, or pass --events and "
                        "--catalog")
    return _absolute(uri)


def _absolute(uri: str) -> str:
    return uri if storage.is_remote(uri) else str(Path(uri).resolve())


if __name__ == "__main__":
    main()
