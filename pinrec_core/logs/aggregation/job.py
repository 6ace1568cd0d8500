"""The Beam job of aggregate_logs: read, clean and spill by user shard; number the items; build each shard.

    tasks ── SpillEvents ──┬── references of seen items ── NumberItems ──┐ (path of the item numbering)
                           └── references by shard ── GroupByKey ── BuildShards ── parts of sequences and views

Chunks carried over from an earlier run join those that are spilled here; neither depends on the window, which is cut
where they are loaded. Only references and paths go through the runner. Every worker leaves a report file; the driver
adds them up, so that the count identity does not rest on what it checks. All DoFns are importable, nothing local lies
between stages.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.errors import DataError
from pinrec_core.logs.aggregation import files
from pinrec_core.logs.aggregation.clean import (
    count_reasons,
    encode_batch,
    first_of_each_reason,
    is_good,
    judge,
    null_counts,
    quarantined_rows,
)
from pinrec_core.logs.aggregation.items import number_items
from pinrec_core.logs.aggregation.lateness import items_within
from pinrec_core.logs.aggregation.partitions import ReadTask
from pinrec_core.logs.aggregation.profile import item_days, shard_profile
from pinrec_core.logs.aggregation.reading import read_batches
from pinrec_core.logs.aggregation.runners import runner_options
from pinrec_core.logs.aggregation.shard import build_tables, load_shard
from pinrec_core.logs.aggregation.sharding import cut_shard, gather
from pinrec_core.logs.aggregation.spill import ITEMS_KEY, ChunkRef, read_chunk, split_by_user, write_chunks
from pinrec_core.logs.aggregation.statistics import item_counts, shard_report
from pinrec_core.logs.aggregation.window import Window
from pinrec_core.progress import doing
from pinrec_core.storage import join

STORED_PER_REASON = 1000  # quarantined rows kept per reason; all are counted
STATE = "state"  # folder of the spilled chunks, by partition


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    log: LogConfig
    aggregate: AggregateConfig
    window: Window
    work: str  # folder for spilled chunks and reports, reachable by all workers
    output: str  # folder for the parts of the dataset, reachable by all workers

    def path(self, *parts: str) -> str:
        """A path in the work folder."""
        return join(self.work, *parts)


def run_job(job: Job, tasks: list[ReadTask], carried: Sequence[tuple[int, ChunkRef]] = ()) -> None:
    """Run the whole pipeline to its end on the configured runner. Raises DataError with what a worker found.

    `carried` are the chunks of partitions that an earlier run has cleaned and that need no task.
    """
    try:
        with _told_by_reports(job, tasks), beam.Pipeline(options=runner_options(job.aggregate)) as pipeline:
            lay_out(pipeline, job, tasks, carried)
    except Exception as error:  # runners wrap a worker's error in their own; the worker left its message behind
        messages = [files.read_document(job.path("errors", name)).decode()
                    for name in files.names_in(job.path("errors"))]
        if messages:
            raise DataError("; ".join(messages)) from error
        raise


def _told_by_reports(job: Job, tasks: list[ReadTask]) -> contextlib.AbstractContextManager:
    """How far the workers are, in other processes perhaps: one that is through with a task or shard leaves a report."""
    def reported() -> int:
        return sum(len(files.names_in(job.path(folder))) for folder in ("tasks", "shards"))
    if not files.is_local(job.work):  # to list a bucket several times a second is not worth it
        return doing("read and build")
    return doing("read and build", len(tasks) + job.aggregate.shards, "parts", look=reported)


def lay_out(pipeline: beam.Pipeline, job: Job, tasks: list[ReadTask],
            carried: Sequence[tuple[int, ChunkRef]] = ()) -> None:
    """Put the whole job into a pipeline, the same for every runner."""
    chunks = pipeline | "Tasks" >> beam.Create(tasks) | SpillEvents(job)
    if carried:
        chunks = (chunks, pipeline | "Carried over" >> beam.Create(carried)) | beam.Flatten()
    _ = chunks | BuildShards(job)


class SpillEvents(beam.PTransform):
    """ReadTask -> (shard or ITEMS_KEY, ChunkRef)."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Spread the tasks over workers, then clean and spill."""
        return tasks | "Spread" >> beam.Reshuffle() | "Clean and spill" >> beam.ParDo(SpillFn(self.job))


class BuildShards(beam.PTransform):
    """(shard or ITEMS_KEY, ChunkRef) -> number of each shard built."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def expand(self, chunks: beam.PCollection) -> beam.PCollection:
        """Number the items, then build every shard with that numbering."""
        numbering = (chunks | "Seen items" >> beam.Filter(_lists_items) | "Gather items" >> beam.GroupByKey()
                     | "Number items" >> beam.ParDo(NumberItemsFn(self.job)))
        return (chunks | "Rows" >> beam.Filter(_holds_rows) | "Gather shards" >> beam.GroupByKey()
                | "Build shards" >> beam.ParDo(BuildShardFn(self.job), beam.pvalue.AsSingleton(numbering)))


class SpillFn(beam.DoFn):
    """Reads one task, cleans it, writes its kept rows by shard, yields where they are."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, task):
        """Yield (key, ChunkRef) for each chunk written; leave the task's report when all of it is read."""
        report = {"task": task.number, "date": self.job.window.dates[task.day], "part": task.part, "rows_read": 0,
                  "rows_passed": 0, "rows_out_of_order": 0, "nulls": {}, "examples": [], "quarantined": Counter(),
                  "chunks": []}
        try:
            for number, batch in enumerate(read_batches(task.file, task.row_groups)):
                yield from self._spill(task, number, batch, report)
        except DataError as error:
            files.write_document(self.job.path("errors", f"task-{task.number:06d}.txt"), str(error).encode())
            raise
        report["examples"] = first_of_each_reason(report["examples"], STORED_PER_REASON)
        files.write_document(self.job.path("tasks", f"{task.number:06d}.json"), json.dumps(report).encode())

    def _spill(self, task: ReadTask, number: int, batch: pa.RecordBatch, report: dict) -> list[tuple[int, ChunkRef]]:
        events = encode_batch(batch, self.job.log)
        reason_N = judge(events, task.day, self.job.window)
        report["examples"] += quarantined_rows(batch, reason_N, file=task.file.name,
                                               first_row=task.first_row + report["rows_read"], limit=STORED_PER_REASON)
        report["rows_read"] += batch.num_rows
        report["rows_passed"] += int(is_good(reason_N).sum())
        report["rows_out_of_order"] += int((np.diff(events.time_N[~events.timeless_N]) < 0).sum())  # of any window
        report["quarantined"].update(count_reasons(reason_N))
        for name, count in null_counts(batch).items():
            report["nulls"][name] = report["nulls"].get(name, 0) + count
        name = join(f"date={report['date']}", f"{task.part:06d}-{number:04d}.arrow")
        day = self.job.window.first_day + task.day
        refs = write_chunks(self.job.path(STATE, name), split_by_user(events, reason_N, day, self.job.aggregate.shards))
        report["chunks"] += [(key, ref._replace(path=name)) for key, ref in refs]
        return refs


class NumberItemsFn(beam.DoFn):
    """Gives every item its index and writes the numbering; yields its path."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def process(self, keyed):
        """Yield the path of an Arrow file with (item_id, item_type) in index order."""
        with FileSystems.open(self.job.path("catalog.parquet")) as source:
            catalogued = pq.read_table(source, columns=["item_id", "item_type"])
        items = number_items(catalogued, (items_within(read_chunk(ref), self.job.window) for ref in sorted(keyed[1])))
        path = self.job.path("items.arrow")
        with files.create(path) as sink, pa.ipc.new_stream(sink, items.schema) as writer:
            writer.write_table(items)
        yield path


class BuildShardFn(beam.DoFn):
    """Builds one shard's part of the dataset from all its chunks."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.items: tuple[str, pa.Table] | None = None  # the numbering and its path, read once per worker

    def process(self, keyed, numbering):
        """Write the shard's parts and reports, one of each unless the shard is large; yield its number."""
        number, refs = keyed
        if not self.items or self.items[0] != numbering:
            self.items = (numbering, read_numbering(numbering))
        name, items = f"{number:05d}", self.items[1]
        parts = cut_shard(refs, self.job.path("parts", name), self.job.aggregate.shard_rows)
        for place, part in enumerate(parts):
            self._build(name if len(parts) == 1 else f"{name}-{place:05d}", part, items)
        yield number

    def _build(self, name: str, refs: list[ChunkRef], items: pa.Table) -> None:
        job = self.job
        cleaned, capped = gather(refs, job.aggregate, job.window)
        if not cleaned.num_rows:  # all its rows lie outside the window
            return
        shard = load_shard(cleaned, items, job.aggregate)
        del cleaned  # its memory is wanted for the tables
        tables = build_tables(shard, job.log, job.aggregate.view_gap_s)
        for folder, table in (("sequences", tables.sequences), ("views", tables.views)):
            with files.create(join(job.output, folder, f"part-{name}.parquet")) as sink:
                pq.write_table(table, sink)
        days = item_days(tables.rows, items)
        counts = pa.table(item_counts(shard, tables, days, job.window))
        with files.create(job.path("items", f"{name}.parquet")) as sink:
            pq.write_table(counts, sink)
        report = {"shard": name, "rows_capped": capped, **shard_report(shard, tables, job.log, job.window),
                  "profile": shard_profile(shard, tables, days, job.log, job.window)}
        files.write_document(job.path("shards", f"{name}.json"), json.dumps(report).encode())


def read_numbering(path: str) -> pa.Table:
    """(item_id, item_type) of every item, in index order."""
    with FileSystems.open(path) as source:
        return pa.ipc.open_stream(source).read_all()


def _lists_items(keyed: tuple[int, ChunkRef]) -> bool:
    return keyed[0] == ITEMS_KEY


def _holds_rows(keyed: tuple[int, ChunkRef]) -> bool:
    return keyed[0] != ITEMS_KEY


def reports(job: Job, folder: str) -> Iterator[dict]:
    """The report documents of a folder (tasks or shards), in order."""
    for name in files.names_in(job.path(folder)):
        yield json.loads(files.read_document(job.path(folder, name)))
