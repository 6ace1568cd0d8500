"""The command `pinrec backfill`: arguments in, a table or JSON out."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer

from pinrec_core.cli.options import ConfigFile
from pinrec_core.config import Config
from pipelines.options import Catalog, Events, Registry, Store, Work
from pipelines.places import Places, absolute


def backfill(
    first: Annotated[str, typer.Argument(metavar="FROM", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Argument(metavar="TO", help="Last day, YYYY-MM-DD.")],
    config: ConfigFile,
    parallel: Annotated[int, typer.Option(min=1, help="Dates at once. Promotions are in order, one by one.")] = 1,
    promote: Annotated[bool, typer.Option("--promote", help="Promote each date that passes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    events: Events = "",
    catalog: Catalog = "",
    work: Work = None,
    registry: Registry = "",
    store: Store = "",
) -> None:
    """Run every date from FROM to TO; what is done already is not done again.

    Exits with 1 if a date failed, else with 3 if one was rejected.
    """
    settings = Config.load(config)
    places = Places.of(settings, work, events, catalog, registry)._replace(store=absolute(store) if store else "")
    from pipelines.backfill.done import earlier_result
    from pipelines.backfill.plan import dates_between, day_before, plan_date
    from pipelines.backfill.result import exit_code
    from pipelines.backfill.schedule import Backfill, Settings
    from pipelines.backfill.table import print_table
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
    if as_json:
        typer.echo(json.dumps([result.model_dump(mode="json") for result in results], indent=1))
    else:
        print_table(results)
    raise typer.Exit(exit_code(results))


def _tell(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {line}\n")
    sys.stderr.flush()
