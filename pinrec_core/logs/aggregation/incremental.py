"""What an aggregation leaves for the next day's, and what it takes over from the day before.

Beside its tables a dataset keeps `state/`: for every partition of its window the cleaned, user-sharded chunks that the
readers spilled, and the readers' reports. Nothing of it depends on the window or on the catalog, so tomorrow's run
takes over every partition whose files are still the same, reads only the others, and builds the shards from both: what
comes out is, byte for byte, what reading everything again would give.

    state/date=2022-05-04/000000-0000.arrow    chunks of one batch
    state/date=2022-05-04/partition.json       its files, its readers' reports and where their chunks lie
    state/manifest.json                        how it was cleaned, and a hash of every file
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import pinrec_core
from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.errors import IntegrityError
from pinrec_core.logs.aggregation import files
from pinrec_core.logs.aggregation.inputs import Inputs
from pinrec_core.logs.aggregation.job import STATE, Job, reports
from pinrec_core.logs.aggregation.spill import ChunkRef
from pinrec_core.logs.aggregation.table_files import TableFile
from pinrec_core.manifest import Manifest, fingerprint_of, read_manifest, write_manifest
from pinrec_core.storage import MANIFEST_NAME, join, local_tree, read_bytes, read_versioned

logger = logging.getLogger("pinrec")

STATE_KIND = "aggregation_state"
_FORMAT = "2"  # of the chunks and reports; raise it whenever either changes its meaning
_PARTITION = "partition.json"
# Settings that do not change how a partition is cleaned and sharded. A new setting counts until it is named here.
_NOT_CLEANING = frozenset({"lookback_days", "eval_days", "view_gap_s", "validation_user_share", "heldout_user_share",
                           "seed", "shard_rows", "max_user_events", "runner", "runner_options", "work_uri",
                           "keep_state"})


@dataclass(frozen=True)
class Partition:
    """One cleaned partition: the files it was read from and its readers' reports, in order."""

    date: str
    files: list[list[Any]]  # name, size, rows, mark
    reports: list[dict[str, Any]]

    def chunks(self, job: Job) -> list[tuple[int, ChunkRef]]:
        """Its chunks by shard, where workers find them."""
        return [(key, ChunkRef(job.path(STATE, path), *rest)) for report in self.reports
                for key, (path, *rest) in report["chunks"]]


def shards_of(previous: str) -> int:
    """How many shards the state of the dataset `previous` is spread over; 0 if it has none or none that is legible."""
    data = read_versioned(join(previous, STATE, MANIFEST_NAME)).data if previous else None
    try:
        return Manifest.model_validate_json(data or b"").facts["shards"]
    except (ValidationError, KeyError):  # take_over says what is wrong with it
        return 0


def take_over(previous: str, inputs: Inputs, job: Job) -> list[Partition]:
    """The partitions of the window that the dataset `previous` ("" = none) has cleaned, brought into the work folder.

    A partition is left out, and so read again, if its files differ from those it was cleaned from, if the settings or
    the release that cleaned it differ, or if `previous` has not kept it; the log says which and why. Raises
    IntegrityError if `previous` is not a complete dataset or its state is altered.
    """
    if not previous:
        return []
    with _state_of(previous) as state:
        carried = _unchanged(_usable(state, previous, job), inputs)
        for partition in carried:
            _bring(state / f"date={partition.date}", job.path(STATE, f"date={partition.date}"))
    return carried


def still_to_read(inputs: Inputs, carried: Sequence[Partition]) -> list[tuple[int, TableFile]]:
    """(day, file) of the files of partitions that are not taken over."""
    done = {partition.date for partition in carried}
    return [(day, file) for day, file in inputs.events if inputs.window.dates[day] not in done]


def all_reports(carried: Sequence[Partition], job: Job) -> list[dict[str, Any]]:
    """The reports of all readers, this run's and those taken over, in the order of partitions and files."""
    old = [report for partition in carried for report in partition.reports]
    return sorted([*old, *reports(job, "tasks")], key=lambda report: (report["date"], report["part"]))


def keep_state(inputs: Inputs, job: Job, task_reports: list[dict[str, Any]], target: Path) -> None:
    """Move the cleaned partitions from the work folder to `target` and seal them."""
    for date, cleaned in _files_by_date(inputs).items():
        folder = target / f"date={date}"
        _take_out(job.path(STATE, f"date={date}"), folder)
        partition = {"date": date, "files": cleaned, "reports": [
            {name: value for name, value in report.items() if name != "task"}  # a task's number is this run's
            for report in task_reports if report["date"] == date]}
        (folder / _PARTITION).write_text(json.dumps(partition), "utf-8")
    write_manifest(target, kind=STATE_KIND, config_fingerprint=cleaning_fingerprint(job.log, job.aggregate),
                   facts={"dates": list(inputs.window.dates), "shards": job.aggregate.shards})


def cleaning_fingerprint(log: LogConfig, aggregate: AggregateConfig) -> str:
    """Of everything that decides how a partition is cleaned and sharded, beside its files and the release."""
    cleaning = aggregate.model_dump(mode="json", exclude=set(_NOT_CLEANING))
    return fingerprint_of(log, json.dumps(cleaning, sort_keys=True), _FORMAT)


@contextlib.contextmanager
def _state_of(previous: str) -> Iterator[Path]:
    """The state of the complete dataset `previous` as a local folder, empty or absent if the dataset kept none."""
    dataset = Manifest.model_validate_json(read_bytes(join(previous, MANIFEST_NAME)))
    if dataset.kind != "dataset":
        raise IntegrityError(f"{previous}: is a {dataset.kind}, expected a dataset; check which path is passed as "
                             "previous")
    with local_tree(join(previous, STATE)) as state:
        yield state


def _usable(state: Path, previous: str, job: Job) -> dict[str, Partition]:
    """The partitions of a state by date; none, with a warning, if it is absent or was cleaned in another way."""
    again = "so every partition is read again"
    if not state.is_dir() or not any(state.iterdir()):
        logger.warning("aggregate: %s keeps no %s/, %s; set aggregate.keep_state = true in the run that writes it",
                       previous, STATE, again)
        return {}
    manifest = read_manifest(state, STATE_KIND)
    if manifest.code_version != pinrec_core.__version__:
        logger.warning("aggregate: the partitions of %s were cleaned by release %s, this is %s, %s", previous,
                       manifest.code_version, pinrec_core.__version__, again)
        return {}
    if manifest.facts.get("shards") != job.aggregate.shards:
        logger.warning("aggregate: the partitions of %s are spread over %s shards, this run needs %d, %s", previous,
                       manifest.facts.get("shards"), job.aggregate.shards, again)
        return {}
    if manifest.config_fingerprint != cleaning_fingerprint(job.log, job.aggregate):
        logger.warning("aggregate: the partitions of %s were cleaned with other settings in [log] or [aggregate], %s",
                       previous, again)
        return {}
    documents = [json.loads((state / f"date={date}" / _PARTITION).read_text("utf-8"))
                 for date in manifest.facts["dates"]]
    return {document["date"]: Partition(**document) for document in documents}


def _unchanged(found: dict[str, Partition], inputs: Inputs) -> list[Partition]:
    """The partitions of the window whose files are still those that were cleaned; the log names the others."""
    present = _files_by_date(inputs)
    changed = [date for date in present if date in found and found[date].files != present[date]]
    if changed:
        logger.warning("aggregate: partitions that changed since they were last read are read again: %s",
                       ", ".join(changed))
    carried = [found[date] for date in present if date in found and date not in changed]
    new = [date for date in present if date not in found]
    logger.info("aggregate: %d partitions taken over, %d new: %s", len(carried), len(new), ", ".join(new) or "none")
    return carried


def _files_by_date(inputs: Inputs) -> dict[str, list[list[Any]]]:
    """Name, size, rows and mark of the files of every partition of the window."""
    present: dict[str, list[list[Any]]] = {date: [] for date in inputs.window.dates}
    for day, file in inputs.events:
        present[inputs.window.dates[day]].append(file.told())
    return present


def _take_out(spilled: str, folder: Path) -> None:
    """The chunks of a partition from the work folder into the dataset."""
    if not files.is_local(spilled):
        files.fetch(spilled, folder)
        return
    folder.mkdir(parents=True)
    for name in files.names_in(spilled):
        shutil.move(join(spilled, name), folder / name)


def _bring(source: Path, target: str) -> None:
    """The chunks of a partition to where workers read them, as links where that is possible: they are never altered."""
    if not files.is_local(target):
        files.send(source, target)
        return
    Path(target).mkdir(parents=True)
    for path in source.glob("*.arrow"):
        try:
            os.link(path, Path(target, path.name))
        except OSError:  # another file system, or one without links
            shutil.copyfile(path, Path(target, path.name))
