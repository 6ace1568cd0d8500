"""aggregate_logs: raw event partitions and a catalog in, one sealed training dataset out.

    pinrec aggregate-logs --events DIR --catalog DIR --date 2022-05-05 --output DIR [--previous DIR]

The driver looks at every file first, runs the Beam job into a staging folder, adds up what the workers reported, and
seals the dataset only if rows in = kept + quarantined + duplicates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.logs.aggregation.incremental import still_to_read, take_over
from pinrec_core.logs.aggregation.inputs import look_at
from pinrec_core.logs.aggregation.items import normalise_catalog
from pinrec_core.logs.aggregation.job import Job, run_job, runner_options
from pinrec_core.logs.aggregation.partitions import ReadTask, plan_reading
from pinrec_core.logs.aggregation.seal import seal
from pinrec_core.logs.aggregation.spill import ChunkRef
from pinrec_core.logs.aggregation.window import open_window
from pinrec_core.manifest import Manifest
from pinrec_core.storage import staged_directory

logger = logging.getLogger("pinrec")
Run = Callable[[Job, list[ReadTask], list[tuple[int, ChunkRef]]], None]


def aggregate_logs(events: str, catalog: str, output: Path, *, log: LogConfig, aggregate: AggregateConfig,
                   date: str, previous: str = "", run: Run = run_job) -> Manifest:
    """Build the training dataset of the `lookback_days` that end with `date` and seal it at `output`.

    `previous` is an earlier dataset of the same log: partitions it has cleaned and that have not changed since are
    taken over instead of read. The outcome is the same, to the byte, as without it. `run` carries the stages out.
    Raises ConfigError for a bad date, zone or runner; DataError for missing, unreadable or wrongly shaped input and
    for counts that do not add up; IntegrityError if `output` is taken or `previous` is incomplete or altered. On any
    error nothing is left at `output`.
    """
    output = Path(output)
    if output.is_dir() and any(output.iterdir()):
        raise IntegrityError(f"{output}: already exists; remove it or choose another output")
    runner_options(aggregate)
    inputs = look_at(events, catalog, open_window(date, aggregate))
    with staged_directory(output) as aside:
        job = Job(log, aggregate, inputs.window, str(aside / ".work"), str(aside))
        carried = take_over(previous, inputs, job)
        facts = normalise_catalog(inputs.catalog, log, job.path("catalog.parquet"))
        tasks = plan_reading(still_to_read(inputs, carried))
        logger.info("aggregate: %d rows in %d files, %d tasks, %d shards, runner %s", inputs.rows, len(inputs.events),
                    len(tasks), aggregate.shards, aggregate.runner)
        run(job, tasks, [chunk for partition in carried for chunk in partition.chunks(job)])
        return seal(job, inputs, facts, tasks, carried)
