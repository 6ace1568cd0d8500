"""Cleaned rows on their way from readers to shards: Arrow streams laid end to end in one spill file per batch.

What travels through the shuffle is a reference (path, offset, length), so that neither the runner's memory nor its
network grows with the log. Files go through Beam's filesystems, so that every worker can reach them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from pinrec_core.logs.aggregation.clean import Coded, Text, days_between, is_good
from pinrec_core.logs.aggregation.files import create
from pinrec_core.logs.aggregation.hashing import hash_text, shard_of

ITEMS_KEY = -1  # shuffle key of the streams that list the items of a batch; shards have keys from 0
_TEXT = pa.dictionary(pa.int32(), pa.string())
CLEANED = pa.schema([
    ("user", _TEXT), ("item", _TEXT), ("context", _TEXT), ("item_type", pa.int8()), ("surface", pa.int8()),
    ("action", pa.int8()), ("time", pa.int64()), ("request", pa.uint64()), ("position", pa.int32()),
    ("day", pa.int16())])  # of the partition the row came in; days since 1970
SEEN_ITEMS = pa.schema([("item_id", pa.string()), ("item_type", pa.int8()), ("day", pa.int16())])  # day of the events


class ChunkRef(NamedTuple):
    """Where one Arrow stream lies, and how many rows it holds."""

    path: str
    offset: int  # bytes
    length: int  # bytes
    rows: int


def write_chunks(path: str, chunks: Iterable[tuple[int, pa.RecordBatch]]) -> list[tuple[int, ChunkRef]]:
    """Write record batches one after the other into one file; the references by key."""
    refs = []
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with create(path) as file:
        offset = 0
        for key, batch in chunks:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
                writer.write_batch(batch)
            data = sink.getvalue()
            file.write(data)
            refs.append((key, ChunkRef(path, offset, data.size, batch.num_rows)))
            offset += data.size
    return refs


def read_chunk(ref: ChunkRef) -> pa.Table:
    """The rows behind a reference."""
    with FileSystems.open(ref.path) as file:
        file.seek(ref.offset)
        return pa.ipc.open_stream(pa.py_buffer(file.read(ref.length))).read_all()


def compacted(table: pa.Table) -> pa.Table:
    """The rows in one chunk, with dictionaries that hold only what occurs in them."""
    columns = [column.cast(column.type.value_type).combine_chunks().dictionary_encode()
               if pa.types.is_dictionary(column.type) else column.combine_chunks() for column in table.columns]
    return pa.table(columns, schema=table.schema)


def split_by_user(events: Coded, reason_N: np.ndarray, day: int, shards: int) -> Iterable[tuple[int, pa.RecordBatch]]:
    """Yield (shard, rows) for every shard that has good rows, then (ITEMS_KEY, items named) for each day of events.

    `reason_N` are the codes of clean.judge, `day` is the partition's date in days since 1970.
    """
    shard_U = shard_of(hash_text(events.user.values), shards)
    row_K = np.flatnonzero(is_good(reason_N))
    shard_K = shard_U[events.user.code_N[row_K]].astype(np.uint16 if shards < 1 << 16 else np.int64)
    row_K = row_K[np.argsort(shard_K, kind="stable")]  # a radix sort for 16 bits
    end_S = np.cumsum(np.bincount(shard_K, minlength=shards))
    for shard, (start, end) in enumerate(zip([0, *end_S[:-1]], end_S, strict=True)):
        if end > start:
            yield shard, _rows(events, row_K[start:end], day)
    off_K = days_between(reason_N[row_K])
    for off in np.unique(off_K):
        yield ITEMS_KEY, _items(events, row_K[off_K == off], day + int(off))


def _rows(events: Coded, row_K: np.ndarray, day: int) -> pa.RecordBatch:
    def text(column: Text) -> pa.DictionaryArray:
        return column.compact(row_K).to_arrow()

    return pa.record_batch(
        [text(events.user), text(events.item), text(events.context), events.item_type_N[row_K], events.surface_N[row_K],
         events.action_N[row_K], events.time_N[row_K], events.request_N[row_K], events.position_N[row_K],
         np.full(len(row_K), day, np.int16)], schema=CLEANED)


def _items(events: Coded, row_K: np.ndarray, day: int) -> pa.RecordBatch:
    """Distinct items with the least type code each is named with."""
    item = events.item.compact(row_K)
    type_K = events.item_type_N[row_K]
    type_I = np.zeros(len(item.values), np.int8)
    for code in np.unique(type_K)[::-1]:
        type_I[item.code_N[type_K == code]] = code  # written from the largest code down, so the least stays
    return pa.record_batch([item.values, type_I, np.full(len(type_I), day, np.int16)], schema=SEEN_ITEMS)
