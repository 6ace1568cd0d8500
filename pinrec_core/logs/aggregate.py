"""aggregate_logs: raw event partitions and a catalog in, one sealed training dataset out.

    pinrec aggregate-logs --events DIR --catalog DIR --date 2022-05-05 --output DIR [--previous DIR]

The driver looks at every file first, runs the Beam job into a staging folder, adds up what the workers reported, and
seals the dataset only if rows in = kept + quarantined + duplicates + capped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.logs.aggregation.files import absolute
from pinrec_core.logs.aggregation.incremental import shards_of, still_to_read, take_over
from pinrec_core.logs.aggregation.inputs import look_at
from pinrec_core.logs.aggregation.items import normalise_catalog
from pinrec_core.logs.aggregation.job import Job, run_job
from pinrec_core.logs.aggregation.partitions import ReadTask, plan_reading
from pinrec_core.logs.aggregation.runners import (
    check_runner,
    fetch_parts,
    parts_folder,
    refuse_taken,
    staged_output,
    work_folder,
)
from pinrec_core.logs.aggregation.seal import seal
from pinrec_core.logs.aggregation.sharding import sharded
from pinrec_core.logs.aggregation.spill import ChunkRef
from pinrec_core.logs.aggregation.window import open_window
from pinrec_core.manifest import Manifest

logger = logging.getLogger("pinrec")
Run = Callable[[Job, list[ReadTask], list[tuple[int, ChunkRef]]], None]


def aggregate_logs(events: str, catalog: str, output: Path | str, *, log: LogConfig, aggregate: AggregateConfig,
                   date: str, previous: str = "", run: Run = run_job) -> Manifest:
    """Build the training dataset of the `lookback_days` that end with `date` and seal it at `output`, local or gs://.

    `previous` is an earlier dataset of the same log: partitions it has cleaned and that have not changed since are
    taken over instead of read. The outcome is the same, to the byte, as without it. `run` carries the stages out.
    Raises ConfigError for a bad date, zone or runner; DataError for missing, unreadable or wrongly shaped input and
    for counts that do not add up; IntegrityError if `output` is taken or `previous` is incomplete or altered. On any
    error nothing is left at `output`.
    """
    refuse_taken(output)
    check_runner(aggregate, events)
    inputs = look_at(absolute(events), absolute(catalog), open_window(date, aggregate))
    with staged_output(output) as aside, work_folder(aggregate, aside) as work:
        aggregate = sharded(aggregate, inputs.rows, shards_of(previous))
        job = Job(log, aggregate, inputs.window, work, parts_folder(aggregate, work, aside))
        carried = take_over(previous, inputs, job)
        facts = normalise_catalog(inputs.catalog, log, job.path("catalog.parquet"))
        tasks = plan_reading(still_to_read(inputs, carried))
        logger.info("aggregate: %d rows in %d files, %d tasks, %d shards, runner %s", inputs.rows, len(inputs.events),
                    len(tasks), aggregate.shards, aggregate.runner)
        run(job, tasks, [chunk for partition in carried for chunk in partition.chunks(job)])
        fetch_parts(job.output, aside)
        return seal(replace(job, output=str(aside)), inputs, facts, tasks, carried)
