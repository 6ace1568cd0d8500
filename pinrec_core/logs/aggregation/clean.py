"""Checking a record batch of raw events in vectorised code: every row is kept, or set aside with one reason.

The verdict depends on the row and its partition's date, never on the window, so that it can be kept and used again the
next day. A row that is good but happened on another day than its partition's is labelled with the days between; the
window decides about it later (lateness.py).

Legend: N rows of the batch, K rows kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.config import LogConfig
from pinrec_core.logs.aggregation.hashing import hash_text
from pinrec_core.logs.aggregation.window import Window

UNKNOWN = -1  # code of a name outside the vocabulary, of a null, and of an absent position
OPTIONAL_COLUMNS = ("request_id", "position", "context_item_id")
REASONS = ("null_user_id", "null_item_id", "null_timestamp", "unknown_surface", "unknown_action", "unknown_item_type",
           "timestamp_in_seconds", "timestamp_in_microseconds", "timestamp_in_nanoseconds", "timestamp_in_future",
           "timestamp_outside_partition", "timestamp_before_window")
KEPT = 0  # reason code of a good row; reason i of REASONS has code i + 1
OFF_DAY = 10_000  # code of a good row that happened k days after its partition's date: OFF_DAY + k, k != 0
# A plausible time in milliseconds has 12 or 13 digits (1973 to 5138); the same moment in other units falls outside.
_LEAST_MS, _LEAST_US, _LEAST_NS = 10**11, 10**14, 10**17


@dataclass(frozen=True)
class Text:
    """A text column as codes into its distinct values; code UNKNOWN = null or empty."""

    code_N: np.ndarray  # int32
    values: pa.StringArray

    def compact(self, row_K: np.ndarray) -> Text:
        """The column at the given rows, with only the values that occur there."""
        code_K = self.code_N[row_K]
        if len(row_K) < len(self.values) // 8:  # few rows of a large batch: its whole dictionary is not worth a look
            used_V, place_K = np.unique(code_K, return_inverse=True)
            nulls = int(len(used_V) > 0 and used_V[0] == UNKNOWN)
            return Text((place_K - nulls).astype(np.int32), self.values.take(pa.array(used_V[nulls:])))
        used = np.zeros(len(self.values) + 1, bool)
        used[code_K] = True
        used[-1] = False  # where UNKNOWN lands
        place = np.where(used, np.cumsum(used) - 1, UNKNOWN).astype(np.int32)
        return Text(place[code_K], self.values.take(pa.array(np.flatnonzero(used))))

    def to_arrow(self) -> pa.DictionaryArray:
        """As an Arrow dictionary array with nulls."""
        return pa.DictionaryArray.from_arrays(pa.array(self.code_N, mask=self.code_N == UNKNOWN), self.values)


@dataclass(frozen=True)
class Coded:
    """A batch with its columns as codes and numbers; null times are 0 and marked in `timeless_N`."""

    user: Text
    item: Text
    context: Text
    item_type_N: np.ndarray  # int8 position in log.item_types
    surface_N: np.ndarray  # int8 surface code
    action_N: np.ndarray  # int8 bit number; len(log.action_names) = impression
    time_N: np.ndarray  # int64 UTC ms
    timeless_N: np.ndarray  # bool
    request_N: np.ndarray  # uint64 hash of the request id, 0 = none
    position_N: np.ndarray  # int32, UNKNOWN = none


def encode_batch(batch: pa.RecordBatch, log: LogConfig) -> Coded:
    """Cast and encode the columns of a raw batch; optional columns that are absent are all null."""
    def column(name: str) -> pa.Array:
        return batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)

    surfaces = {name: code for code, name in enumerate(log.surface_names)}
    actions = {name: code for code, name in enumerate((*log.action_names, log.impression_action))}
    types = {name: code for code, name in enumerate(log.item_types)}
    pooled = surfaces[log.pooled_surface] if log.pooled_surface else UNKNOWN
    time = column("timestamp_ms").cast(pa.int64())
    position_N = column("position").cast(pa.int64()).fill_null(UNKNOWN).to_numpy()
    return Coded(
        user=encode_text(column("user_id")), item=encode_text(column("item_id")),
        context=encode_text(column("context_item_id")),
        item_type_N=_codes(encode_text(column("item_type")), types, UNKNOWN),
        surface_N=_codes(encode_text(column("surface")), surfaces, pooled),
        action_N=_codes(encode_text(column("action")), actions, UNKNOWN),
        time_N=time.fill_null(0).to_numpy(), timeless_N=time.is_null().to_numpy(zero_copy_only=False),
        request_N=_request_hash(encode_text(column("request_id"))),
        position_N=np.clip(position_N, UNKNOWN, np.iinfo(np.int32).max).astype(np.int32))


def encode_text(column: pa.Array) -> Text:
    """Codes and distinct values of a text, integer, dictionary or null column, integers in their canonical text."""
    if pa.types.is_null(column.type):
        return Text(np.full(len(column), UNKNOWN, np.int32), pa.array([], pa.string()))
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    values = encoded.dictionary.cast(pa.string())
    code_N = encoded.indices.cast(pa.int32()).fill_null(UNKNOWN).to_numpy()
    empty = pc.fill_null(pc.equal(values, ""), True).to_numpy(zero_copy_only=False)
    if empty.any():
        code_N = np.where(np.append(empty, False)[code_N], np.int32(UNKNOWN), code_N)
    return Text(code_N, values)


def judge(events: Coded, day: int, window: Window) -> np.ndarray:
    """Reason code of each row, int16: KEPT, OFF_DAY + k, or one more than the place in REASONS of its first fault."""
    time_N, timed_N = events.time_N, ~events.timeless_N
    off_N = window.days_off(day, time_N)
    faults = {
        "null_user_id": events.user.code_N == UNKNOWN, "null_item_id": events.item.code_N == UNKNOWN,
        "null_timestamp": events.timeless_N, "unknown_surface": events.surface_N == UNKNOWN,
        "unknown_action": events.action_N == UNKNOWN, "unknown_item_type": events.item_type_N == UNKNOWN,
        "timestamp_in_seconds": timed_N & (time_N > 0) & (time_N < _LEAST_MS),
        "timestamp_in_nanoseconds": time_N >= _LEAST_NS,
        "timestamp_in_microseconds": (time_N >= _LEAST_US) & (time_N < _LEAST_NS),
        "timestamp_in_future": off_N > window.late_days,
        "timestamp_outside_partition": off_N < -window.late_days,
    }
    reason_N = np.where(off_N == 0, np.int16(KEPT), OFF_DAY + off_N).astype(np.int16)
    good_N = np.ones(len(time_N), bool)
    for name, fault_N in faults.items():
        reason_N[fault_N & good_N] = REASONS.index(name) + 1
        good_N &= ~fault_N
    return reason_N


def is_good(reason_N: np.ndarray) -> np.ndarray:
    """Bool [N]: rows without a fault, whatever day they happened on."""
    return (reason_N == KEPT) | (reason_N > len(REASONS))


def days_between(reason_N: np.ndarray) -> np.ndarray:
    """Days [N] from the partition's date to that of each good row."""
    return np.where(reason_N > len(REASONS), reason_N - OFF_DAY, 0)


def reason_name(code: int) -> str:
    """Name of a reason code; a good row of another day is named by the days between, for example "day-1"."""
    return REASONS[code - 1] if code <= len(REASONS) else f"day{code - OFF_DAY:+d}"


def count_reasons(reason_N: np.ndarray) -> dict[str, int]:
    """Rows per reason of those that are not simply kept."""
    codes, counts = np.unique(reason_N[reason_N != KEPT], return_counts=True)
    return {reason_name(int(code)): int(count) for code, count in zip(codes, counts, strict=True)}


def quarantined_rows(batch: pa.RecordBatch, reason_N: np.ndarray, *, file: str, first_row: int,
                     limit: int) -> list[dict[str, object]]:
    """Rows of the quarantine table, in row order: the first `limit` of each reason, each with its record as JSON."""
    rows: list[int] = []
    for code in np.unique(reason_N[reason_N != KEPT]):
        rows += np.flatnonzero(reason_N == code)[:limit].tolist()
    rows.sort()
    records = batch.take(pa.array(rows, pa.int64())).to_pylist() if rows else []
    return [{"file": file, "row": first_row + row, "reason": reason_name(int(reason_N[row])),
             "record": json.dumps(record, default=str, ensure_ascii=False)}
            for row, record in zip(rows, records, strict=True)]


def first_of_each_reason(rows: Iterable[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The first `limit` quarantined rows of each reason, in the order given."""
    seen: Counter[str] = Counter()
    kept = []
    for row in rows:
        seen[row["reason"]] += 1
        if seen[row["reason"]] <= limit:
            kept.append(row)
    return kept


def null_counts(batch: pa.RecordBatch) -> dict[str, int]:
    """Rows without a value, per optional column; an absent column has none."""
    return {name: batch.column(name).null_count if name in batch.schema.names else batch.num_rows
            for name in OPTIONAL_COLUMNS}


def _codes(text: Text, vocabulary: dict[str, int], otherwise: int) -> np.ndarray:
    """int8 code of each row's name; `otherwise` for names outside the vocabulary; UNKNOWN for nulls."""
    table = [vocabulary.get(name, otherwise) for name in text.values.to_pylist()]
    return np.array([*table, UNKNOWN], np.int8)[text.code_N]


def _request_hash(text: Text) -> np.ndarray:
    hash_R = np.maximum(hash_text(text.values), np.uint64(1))  # 0 is kept for "no request id"
    return np.append(hash_R, np.uint64(0))[text.code_N]
