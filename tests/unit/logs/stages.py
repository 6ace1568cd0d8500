"""The stages of an aggregation without a runner, for tests that run many."""

from __future__ import annotations

from pinrec_core.logs.aggregation.job import BuildShardFn, Job, NumberItemsFn, SpillFn
from pinrec_core.logs.aggregation.spill import ITEMS_KEY


def run_stages(job: Job, tasks: list, carried: list) -> None:
    """The stages of the job one after the other, without a runner."""
    chunks = [*carried, *(chunk for task in tasks for chunk in SpillFn(job).process(task))]
    [numbering] = NumberItemsFn(job).process((ITEMS_KEY, [ref for key, ref in chunks if key == ITEMS_KEY]))
    for shard in {key for key, _ in chunks} - {ITEMS_KEY}:
        list(BuildShardFn(job).process((shard, [ref for key, ref in chunks if key == shard]), numbering))
