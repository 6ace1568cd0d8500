"""After the Beam job: add up what the workers reported, refuse a dataset that lost a row, seal one that did not."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pinrec_core.errors import DataError
from pinrec_core.logs.aggregation import files
from pinrec_core.logs.aggregation.clean import REASONS, first_of_each_reason
from pinrec_core.logs.aggregation.incremental import Partition, all_reports, keep_state
from pinrec_core.logs.aggregation.inputs import Inputs
from pinrec_core.logs.aggregation.items import CatalogFacts, write_items
from pinrec_core.logs.aggregation.job import STATE, STORED_PER_REASON, Job, read_numbering, reports
from pinrec_core.logs.aggregation.lateness import settle
from pinrec_core.logs.aggregation.partitions import ReadTask
from pinrec_core.logs.aggregation.profile import merge_profiles
from pinrec_core.logs.aggregation.statistics import EXAMPLES, Report, summarise, total
from pinrec_core.logs.aggregation.table_files import TableFile
from pinrec_core.manifest import Manifest, fingerprint_of, fingerprint_of_files, write_manifest
from pinrec_core.schemas import QUARANTINE
from pinrec_core.storage import write_bytes

logger = logging.getLogger("pinrec")


def seal(job: Job, inputs: Inputs, facts: CatalogFacts, tasks: list[ReadTask],
         carried: Sequence[Partition] = ()) -> Manifest:
    """Check the counts, write what the driver owns, drop the work folder, write the manifest last. Raises DataError."""
    unsettled = all_reports(carried, job)
    task_reports = [settle(report, job.window) for report in unsettled]
    examples = first_of_each_reason((row for report in task_reports for row in report["examples"]), STORED_PER_REASON)
    shard_reports = list(reports(job, "shards"))
    counts = check_counts(inputs.rows, tasks, task_reports, shard_reports)
    numbered = read_numbering(job.path("items.arrow"))
    engaged_I, train_I, new_rows_D = _item_counts(job, numbered.num_rows)
    aside = Path(job.output)
    write_items(job.path("catalog.parquet"), numbered, train_I, aside / "items.parquet")
    _write_quarantine(examples, aside / "quarantine")
    statistics = summarise(job.log, job.window, task_reports, shard_reports) | _driver_facts(inputs, facts, examples)
    rows_of_day = np.array(list(statistics["rows_by_date"].values()))
    profiles = [report["profile"] for report in shard_reports]
    days, sketches = merge_profiles(profiles, job.window, new_rows_D, rows_of_day)
    uncatalogued = facts.items + np.flatnonzero(engaged_I[facts.items:])
    statistics |= days | {"counts": counts, "items_engaged": int((engaged_I > 0).sum()),
                   "items_engaged_uncatalogued": len(uncatalogued),
                   "uncatalogued_examples": numbered.column("item_id").take(uncatalogued[:EXAMPLES]).to_pylist()}
    if counts["rows_capped"]:
        statistics["warnings"].append(f"{counts['rows_capped']} rows of users with more than aggregate.max_user_events "
                                      f"{job.aggregate.max_user_events} rows were left out, the oldest first")
    write_bytes(str(aside / "statistics.json"), json.dumps(statistics, indent=1, ensure_ascii=False).encode())
    write_bytes(str(aside / "sketches.json"), json.dumps(sketches, indent=1).encode())
    write_bytes(str(aside / "inputs.json"), json.dumps(inputs.document(), indent=1).encode())
    if job.aggregate.keep_state:
        keep_state(inputs, job, unsettled, aside / STATE)
    files.remove(job.work)
    for warning in statistics["warnings"]:
        logger.warning("aggregate: %s", warning)
    return write_manifest(
        aside, kind="dataset", config_fingerprint=_fingerprint(job), counts=counts | {
            "items": numbered.num_rows, "items_catalogued": facts.items, "items_engaged": statistics["items_engaged"]},
        facts=_dataset_facts(job, facts), apart=STATE, parents={
            "events": _lineage(file for _, file in inputs.events), "catalog": _lineage(inputs.catalog)})


def check_counts(rows_in: int, tasks: list[ReadTask], task_reports: list[Report],
                 shard_reports: list[Report]) -> dict[str, int]:
    """The row identity, from counters that do not know of each other. Raises DataError if a single row is amiss."""
    read = {report["task"]: report["rows_read"] for report in task_reports if "task" in report}  # of this run
    short = [f"{task.file.name}: {read.get(task.number, 0)} of {task.rows} rows read" for task in tasks
             if read.get(task.number, 0) != task.rows]
    quarantined = sum(sum(report["quarantined"].values()) for report in task_reports)
    kept, duplicate, capped = (total(shard_reports, f"rows_{what}") for what in ("kept", "duplicate", "capped"))
    accounted = kept + quarantined + duplicate + capped
    if short or rows_in != accounted:
        raise DataError(
            f"rows do not add up: {rows_in} in, but {kept} kept + {quarantined} quarantined + {duplicate} duplicates + "
            f"{capped} capped = {accounted}; {total(task_reports, 'rows_passed')} rows were sent to shards and "
            f"{total(shard_reports, 'rows_loaded')} arrived. {'; '.join(short)} Nothing was written. "
            "Rerun, if need be on another aggregate.runner")
    if not kept:
        reasons = {name: sum(report["quarantined"][name] for report in task_reports) for name in REASONS}
        told = ", ".join(f"{count} {name}" for name, count in reasons.items() if count)
        raise DataError(f"none of {rows_in} rows could be used: {told}; check the [log] section against the data")
    return {"rows_in": rows_in, "rows_kept": kept, "rows_quarantined": quarantined, "rows_duplicate": duplicate,
            "rows_capped": capped,
            **{name: total(shard_reports, name)
               for name in ("users", "users_engaged", "exposures", "engagements", "views")}}


def _item_counts(job: Job, items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Engagements and training engagements of every item, and per day the rows on items never seen before in the
    window, summed over the shards."""
    engaged_I, train_I, first_rows_I = np.zeros(items, np.int64), np.zeros(items, np.int64), np.zeros(items, np.int64)
    first_I = np.full(items, len(job.window.dates), np.int64)
    for name in files.names_in(job.path("items")):
        with FileSystems.open(job.path("items", name)) as source:
            index, engaged, train, first, rows = (column.to_numpy() for column in pq.read_table(source).columns)
        engaged_I[index] += engaged
        train_I[index] += train
        first_rows_I[index] = (np.where(first_I[index] < first, 0, rows)
                               + np.where(first_I[index] > first, 0, first_rows_I[index]))
        first_I[index] = np.minimum(first_I[index], first)
    new_rows_D = np.bincount(first_I, first_rows_I, minlength=len(job.window.dates) + 1).astype(np.int64)
    return engaged_I, train_I, new_rows_D[:-1]


def _write_quarantine(rows: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE), folder / "part-00000.parquet")


def _driver_facts(inputs: Inputs, facts: CatalogFacts, examples: list[dict[str, Any]]) -> dict[str, Any]:
    """What only the driver knows: files, extra columns, the catalog, examples, warnings."""
    extra = Counter(name for _, file in inputs.events for name in file.extra)
    rows_of_day = Counter({date: 0 for date in inputs.window.dates})
    for day, file in inputs.events:
        rows_of_day[inputs.window.dates[day]] += file.rows
    warnings = [f"partition {date} has 0 rows" for date, rows in rows_of_day.items() if not rows]
    warnings += [f"column {name!r} of {count} event files is not used" for name, count in sorted(extra.items())]
    if facts.foreign_rows:
        warnings.append(f"{facts.foreign_rows} catalog rows are of types outside log.item_types and were left out")
    by_reason: dict[str, list] = {}
    for row in examples:
        shown = by_reason.setdefault(row["reason"], [])
        if len(shown) < EXAMPLES:
            shown.append(row)
    return {"event_files": len(inputs.events), "rows_in_by_date": dict(rows_of_day),
            "extra_columns": dict(sorted(extra.items())), "catalog": asdict(facts),
            "quarantine_examples": by_reason, "warnings": warnings}


def _dataset_facts(job: Job, facts: CatalogFacts) -> dict[str, Any]:
    window = job.window
    return {"log": job.log.model_dump(mode="json"), "date": window.dates[-1], "first_date": window.dates[0],
            "timezone": job.aggregate.timezone, "start_ms": window.start_ms, "train_end_ms": window.train_end_ms,
            "eval_end_ms": window.end_ms, "content_dim": facts.content_dim}


def _fingerprint(job: Job) -> str:
    """Of everything that shapes the dataset; the runner and what is kept beside the tables do not."""
    shaping = job.aggregate.model_copy(update={"runner": "", "runner_options": (), "work_uri": "", "keep_state": True})
    return fingerprint_of(job.log, shaping, job.window.dates[-1])


def _lineage(files: Iterable[TableFile]) -> str:
    """Fingerprint of input files by name, size, rows and mark; hashing all bytes would mean reading them twice."""
    return fingerprint_of_files(file.told() for file in files)
