"""The command `pinrec backfill`: arguments in, a table or JSON out."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pinrec_core.cli.options import AsJson, ConfigFile
from pinrec_core.config import Config
from pinrec_core.errors import ConfigError
from pipelines.options import Catalog, Events, Registry, Store, Work
from pipelines.places import Places, absolute

if TYPE_CHECKING:
    from pipelines.backfill.result import DateResult


def backfill(
    first: Annotated[str, typer.Argument(metavar="FROM", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Argument(metavar="TO", help="Last day, YYYY-MM-DD.")],
    config: ConfigFile,
    parallel: Annotated[int, typer.Option(min=1, help="Dates at once. Promotions are in order, one by one.")] = 1,
    promote: Annotated[bool, typer.Option("--promote", help="Promote each date that passes.")] = False,
    as_json: AsJson = False,
    events: Events = "",
    catalog: Catalog = "",
    work: Work = None,
    registry: Registry = "",
    store: Store = "",
    target: Annotated[str, typer.Option("--target", "-t", help=(
        "Run on this cluster of the configuration, one date after another, on its data."))] = "",
) -> None:
    """Run every date from FROM to TO; what is done already is not done again.

    Exits with 1 if a date failed, else with 3 if one was rejected.
    """
    settings = Config.load(config)
    if target:
        if events or catalog or work or registry or store or parallel > 1:
            raise ConfigError(f"--target {target} has its places in [targets.{target}] and runs one date after "
                              "another; leave out --events, --catalog, --work, --registry, --store and --parallel")
        _finish(_on_cluster(settings, target, first, last, promote), as_json)
    places = Places.of(settings, work, events, catalog, registry)._replace(store=absolute(store) if store else "")
    from pipelines.backfill.done import earlier_result
    from pipelines.backfill.plan import dates_between, day_before, plan_date
    from pipelines.backfill.schedule import Backfill, Settings
    from pipelines.local import child_environment
    from pipelines.warm.start import warm_python
    from pipelines.work_lock import only_one

    dates = dates_between(first, last)
    parallel = 1 if promote else parallel
    with only_one(places.work) as lock, warm_python(child_environment(parallel)) as python:
        plan = [plan_date(date, settings, places, go_live=promote) for date in [day_before(first), *dates]]
        how = Settings(work=places.work, lock=lock, python=python, parallel=parallel, go_live=promote,
                       lookback_days=settings.aggregate.lookback_days, tell=_tell)
        results = Backfill(plan[1:], how).run(earlier_result(places.work, plan[0]))
    _finish(results, as_json)


def _on_cluster(config: Config, target: str, first: str, last: str, promote: bool) -> list[DateResult]:
    from pipelines.backfill.plan import dates_between
    from pipelines.cluster.backfill import ClusterBackfill
    from pipelines.cluster.kubeflow import Kubeflow
    from pipelines.cluster.submission import compiled_for

    dates = dates_between(first, last)
    kubeflow = Kubeflow(target, config.target(target))
    version = kubeflow.version(compiled_for(config, target))
    return ClusterBackfill(config, kubeflow, version, go_live=promote, tell=_tell).run(dates)


def _finish(results: list[DateResult], as_json: bool) -> NoReturn:
    """Print what came of the dates and end with the exit code."""
    from pipelines.backfill.result import exit_code
    from pipelines.backfill.table import print_table

    if as_json:
        typer.echo(json.dumps([result.model_dump(mode="json") for result in results], indent=1))
    else:
        print_table(results)
    raise typer.Exit(exit_code(results))


def _tell(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {line}\n")
    sys.stderr.flush()
