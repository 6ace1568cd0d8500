"""The `pinrec` console script: the commands of pinrec_core, and those of pipelines: `run`, `backfill`, `compile`,
`doctor`, and those about a cluster: `submit`, `schedule`, `status`.

It lives here because pinrec_core may not import pipelines (or kfp): the entry point is the one place above both.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pinrec_core.cli.entry import Settings, build_app, execute
from pinrec_core.cli.examples import show_examples
from pinrec_core.cli.options import ConfigFile, last_date
from pinrec_core.cli.tables import PIPED_WIDTH
from pinrec_core.config import Config
from pinrec_core.config.target import LOCAL
from pinrec_core.progress import doing
from pipelines.backfill.command import backfill
from pipelines.cluster import schedule_command
from pipelines.cluster.status_command import status
from pipelines.cluster.submit_command import submit
from pipelines.compile import Form, compile_training, default_output
from pipelines.doctor.command import doctor
from pipelines.examples import EXAMPLES
from pipelines.options import Catalog, Events, Registry, Store, Work
from pipelines.places import Places, absolute

if TYPE_CHECKING:
    from pipelines.conclusion import Conclusion


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    settings = Settings()
    sys.exit(execute(whole_app(settings), settings, arguments))


def whole_app(settings: Settings) -> typer.Typer:
    """All commands."""
    app = build_app(settings)
    app.command("run")(run)
    app.command("backfill")(backfill)
    app.command("compile")(compile_)
    app.command("submit")(submit)
    app.command("status")(status)
    schedule_command.add_commands(app)
    app.command("doctor")(doctor)
    show_examples(app, EXAMPLES)
    return app


def compile_(
    config: Annotated[Path | None, typer.Option("--config", "-c", help=(
        "Configuration file (TOML); not needed for target local."))] = None,
    target: Annotated[str, typer.Option("--target", "-t", help="local, or a target of the configuration.")] = LOCAL,
    form: Annotated[Form, typer.Option("--format", "-f", help="yaml, or resources for kubectl apply.")] = Form.YAML,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=(
        "File to write. [default: manifests/compiled/TARGET.yaml or TARGET_resources.yaml]"))] = None,
) -> None:
    """Compile the training pipeline for a target: its image, resources, volume and secret; see docs/compile.md."""
    settings = Config.load(config) if config else None
    with doing("compile"):
        written = compile_training(output or default_output(target, form), settings, target, form)
    typer.echo(written)


def run(
    config: ConfigFile,
    events: Events = "",
    catalog: Catalog = "",
    date: Annotated[str, typer.Option(help="Last day to read, YYYY-MM-DD; default: the last partition.")] = "",
    previous: Annotated[str, typer.Option(help="An earlier dataset of this log: only what is new since is read.")] = "",
    work: Work = None,
    registry: Registry = "",
    store: Store = "",
    step_timeout: Annotated[float, typer.Option(min=0, help="Seconds after which a step is ended; 0 = never.")] = 0,
) -> None:
    """Run the whole workflow here. Exits with 0 if promoted, 3 if rejected, 1 if failed."""
    settings = Config.load(config)
    places = Places.of(settings, work, events, catalog, registry)
    from pipelines.arguments import pipeline_arguments
    from pipelines.conclusion import EXIT_CODES, conclude
    from pipelines.local import child_environment, run_locally
    from pipelines.warm.start import warm_python
    from pipelines.work_lock import only_one

    arguments = pipeline_arguments(settings, events=places.events, catalog=places.catalog, registry=places.registry,
                                   date=date or last_date(places.events), store=absolute(store) if store else "",
                                   previous=absolute(previous) if previous else "")
    with only_one(places.work), warm_python(child_environment()) as python:
        done = run_locally(arguments, places.work, python=python, step_timeout_s=step_timeout)
        ended = conclude(done, places.registry)
    _show(ended, done.log)
    raise typer.Exit(EXIT_CODES[ended.status])


def _show(ended: Conclusion, log: Path) -> None:
    """The table, what the failed step said, the run in one sentence, and where there is more."""
    failed, culprit = ended.status in ("rejected", "failed"), ended.culprit
    _print_table(ended.folder)
    if culprit and not culprit.user_error:
        typer.echo("\n".join(["", *culprit.lines, ""]), err=True)
    for warning in ended.outcome["warnings"]:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(ended.outcome["sentence"], err=failed)
    for line in culprit.user_error.splitlines()[1:] if culprit else ():  # the sentence has the first one
        typer.echo(line, err=True)
    typer.echo(f"report {ended.outcome['report']}\nlog    {log}")


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


if __name__ == "__main__":
    main()
