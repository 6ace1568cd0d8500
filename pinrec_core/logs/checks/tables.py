"""The rules of validate_data that read the tables: schemas, ranges, order, and lists that belong together.

Every row is checked, in vectorised code, one batch at a time. A rule counts the rows that break it; none may.
Legend: R rows of a batch, L list entries of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pinrec_core.config import LogConfig
from pinrec_core.logs.checks.finding import EXAMPLES, Finding
from pinrec_core.manifest import Manifest
from pinrec_core.progress import counted
from pinrec_core.schemas import ITEMS, NO_ITEM, QUARANTINE, SEQUENCES, SPLITS, VIEWS

_BATCH = 1 << 14  # rows, each with its lists
Bad = Iterator[tuple[str, np.ndarray]]  # rule, mask [R] of rows that break it


@dataclass
class Tally:
    """Rows that break a rule, and the first of them."""

    rows: int = 0
    file: str = ""  # of the first
    examples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Bounds:
    """What the values of a dataset must lie within."""

    items: int
    log: LogConfig
    start_ms: int
    end_ms: int
    tallies: dict[str, Tally] = field(default_factory=dict)


def table_findings(dataset: Path, manifest: Manifest, log: LogConfig) -> Iterator[Finding]:
    """Check every table of the dataset, file by file."""
    bounds = Bounds(manifest.counts["items"], log, manifest.facts["start_ms"], manifest.facts["eval_end_ms"])
    for folder, schema, check in (("items.parquet", ITEMS, bad_items), ("sequences", SEQUENCES, bad_sequences),
                                  ("views", VIEWS, bad_views), ("quarantine", QUARANTINE, None)):
        wrong = {}
        for path in counted(_files(dataset / folder), f"check {folder}", "files"):
            found = pq.read_schema(path)
            if not found.equals(schema):
                wrong[path.name] = _difference(found, schema)
            elif check:
                _scan(path, check, bounds)
        yield Finding(f"schema[{folder}]", len(wrong), 0, not wrong,
                      f"{len(wrong)} files of {folder} do not have the schema of schemas.py {wrong or ''}",
                      file=next((f"{folder}/{name}" for name in wrong if name != folder), folder) if wrong else "")
    for rule, tally in bounds.tallies.items():
        yield Finding(rule, tally.rows, 0, not tally.rows, f"{tally.rows} rows break this rule (none may)",
                      tuple(tally.examples), tally.file)


def bad_items(rows: pa.RecordBatch, bounds: Bounds) -> Bad:
    """Types within the vocabulary, counts not negative."""
    type_R = rows.column("item_type").to_numpy()
    yield "items.item_type within log.item_types", (type_R < 0) | (type_R >= len(bounds.log.item_types))
    yield "items.train_count not negative", rows.column("train_count").to_numpy() < 0


def bad_sequences(rows: pa.RecordBatch, bounds: Bounds) -> Bad:
    """Ranges, time order and positive bits of the users' engagements."""
    lists = _Lists(rows, "item", "actions", "surface", "timestamp_ms", "view")
    time_L, actions_L, inner_L = lists.values["timestamp_ms"], lists.values["actions"], lists.inner_L
    yield "sequences.user_id ascending", _not_ascending(rows.column("user_id"))
    yield "sequences.lists share one length", lists.ragged_R
    yield "sequences.no nulls", lists.null_R
    yield from _common("sequences", rows, lists, bounds)
    yield "sequences.actions has a positive bit", lists.rows_with((actions_L & bounds.log.positive_mask) == 0)
    yield "sequences.surface within the vocabulary", lists.rows_with(
        (lists.values["surface"] < 0) | (lists.values["surface"] >= len(bounds.log.surface_names)))
    yield "sequences.timestamp_ms within the window", lists.rows_with(
        (time_L < bounds.start_ms) | (time_L >= bounds.end_ms))
    yield "sequences.timestamp_ms in order", lists.rows_with(inner_L & (np.diff(time_L, prepend=0) < 0))


def bad_views(rows: pa.RecordBatch, bounds: Bounds) -> Bad:
    """Ranges of the feed views; a view shows at least one item."""
    lists = _Lists(rows, "item", "actions", "position")
    surface_R, context_R = rows.column("surface").to_numpy(), rows.column("context_item").to_numpy()
    start_R = rows.column("start_ms").to_numpy()
    yield "views.lists share one length", lists.ragged_R
    yield "views.no nulls", lists.null_R
    yield from _common("views", rows, lists, bounds)
    yield "views.surface within the vocabulary", (surface_R < 0) | (surface_R >= len(bounds.log.surface_names))
    yield "views.context_item within the item table", (context_R < NO_ITEM) | (context_R >= bounds.items)
    yield "views.start_ms within the window", (start_R < bounds.start_ms) | (start_R >= bounds.end_ms)
    yield "views.not empty", lists.length_R == 0


def _common(name: str, rows: pa.RecordBatch, lists: _Lists, bounds: Bounds) -> Bad:
    split_R = rows.column("split").to_numpy()
    item_L, actions_L = lists.values["item"], lists.values["actions"]
    known = (1 << len(bounds.log.action_names)) - 1
    yield f"{name}.split within SPLITS", (split_R < 0) | (split_R >= len(SPLITS))
    yield f"{name}.item within the item table", lists.rows_with((item_L < 0) | (item_L >= bounds.items))
    yield f"{name}.actions within the vocabulary", lists.rows_with((actions_L & ~known) != 0)


class _Lists:
    """The list columns of a batch side by side. Values of ragged rows are cut from the check that says so."""

    def __init__(self, rows: pa.RecordBatch, *names: str) -> None:
        columns = {name: rows.column(name) for name in names}
        self.length_R = pc.list_value_length(columns[names[0]]).fill_null(0).to_numpy()
        self.ragged_R = np.zeros(rows.num_rows, bool)
        self.null_R = np.zeros(rows.num_rows, bool)
        for column in columns.values():
            self.ragged_R |= pc.list_value_length(column).fill_null(0).to_numpy() != self.length_R
            null_entry = pc.list_parent_indices(column).filter(column.flatten().is_null()).to_numpy()
            self.null_R[null_entry] = True
        sound = pa.array(~(self.ragged_R | self.null_R))
        row_of_sound = np.flatnonzero(~(self.ragged_R | self.null_R))
        flat = {name: column.filter(sound) for name, column in columns.items()}
        parent_L = pc.list_parent_indices(flat[names[0]]).to_numpy()
        self.row_L = row_of_sound[parent_L]
        self.values = {name: column.flatten().to_numpy() for name, column in flat.items()}
        self.inner_L = np.append(False, self.row_L[1:] == self.row_L[:-1])[:len(self.row_L)]  # not first of its row

    def rows_with(self, bad_L: np.ndarray) -> np.ndarray:
        """Mask [R] of the rows with a marked entry."""
        bad_R = np.zeros(len(self.length_R), bool)
        bad_R[self.row_L[bad_L]] = True
        return bad_R


def _scan(path: Path, check: Callable[[pa.RecordBatch, Bounds], Bad], bounds: Bounds) -> None:
    first = 0
    for batch in pq.ParquetFile(path).iter_batches(_BATCH):
        for rule, bad_R in check(batch, bounds):
            tally = bounds.tallies.setdefault(rule, Tally())
            if bad_R.any():
                file = f"{path.parent.name}/{path.name}" if path.name.startswith("part-") else path.name
                tally.file = tally.file or file
                for row in np.flatnonzero(bad_R)[:EXAMPLES - len(tally.examples)].tolist():
                    tally.examples.append({"file": file, "row": first + row, **_shown(batch.slice(row, 1))})
                tally.rows += int(bad_R.sum())
        first += batch.num_rows


def _shown(row: pa.RecordBatch) -> dict[str, Any]:
    """One row for people, its lists cut to their first entries."""
    return {name: value[:10] if isinstance(value, list) else value for name, value in row.to_pylist()[0].items()}


def _not_ascending(ids: pa.Array) -> np.ndarray:
    if len(ids) < 2:
        return np.zeros(len(ids), bool)
    return np.append(False, pc.less_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False))


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]


def _difference(found: pa.Schema, wanted: pa.Schema) -> list[str]:
    """Columns by which two schemas differ."""
    names = [*wanted.names, *(name for name in found.names if name not in wanted.names)]
    return [name for name in names if name not in found.names or name not in wanted.names
            or not found.field(name).equals(wanted.field(name))]
