"""Every table that crosses a step, column by column, with units.

Raw inputs: EVENTS and CATALOG (ids may be int64 or string there). Everything after aggregate_logs uses dense codes:
item index (row of items.parquet), surface code (position in `LogConfig.surface_names`), action bits (bit i =
`LogConfig.action_names[i]`; an impression sets no bit).
"""

from __future__ import annotations

import pyarrow as pa

NO_ITEM = -1  # item index that means "none"
SPLITS = ("train", "validation", "heldout")  # user split codes 0, 1, 2


def _field(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"meaning": meaning})


# One row per event, under events/date=YYYY-MM-DD/*.parquet. Columns after `timestamp_ms` are optional.
EVENTS = pa.schema([
    _field("user_id", pa.string(), "who; int64 or string"),
    _field("item_id", pa.string(), "what; int64 or string; unique over all item types"),
    _field("item_type", pa.string(), "kind of item, as in log.item_types"),
    _field("surface", pa.string(), "where it was shown"),
    _field("action", pa.string(), "log.impression_action, or one of the positive or negative actions"),
    _field("timestamp_ms", pa.int64(), "UTC milliseconds since 1970"),
    _field("request_id", pa.string(), "one feed view; rows that share it were shown together", nullable=True),
    _field("position", pa.int32(), "rank in the feed view, 0 = first", nullable=True),
    _field("context_item_id", pa.string(), "the query or close-up item the feed answers", nullable=True),
])
REQUIRED_EVENT_COLUMNS = EVENTS.names[:6]

# One row per item, catalog/*.parquet. Columns after `item_type` are optional.
CATALOG = pa.schema([
    _field("item_id", pa.string(), "int64 or string"),
    _field("item_type", pa.string(), "kind of item"),
    _field("content", pa.list_(pa.float32()), "pretrained content vector; one length for all items", nullable=True),
    _field("attributes", pa.list_(pa.string()), "categories, brands, tags", nullable=True),
    _field("title", pa.string(), "text shown to people", nullable=True),
    _field("created_ms", pa.int64(), "UTC milliseconds since 1970", nullable=True),
])

# items.parquet of a training dataset: row number = dense item index. Catalog items, then items only seen in events.
ITEMS = pa.schema([
    _field("item_id", pa.string(), "original id as text"),
    _field("item_type", pa.int8(), "position in log.item_types"),
    _field("id_hash", pa.uint64(), "stable 64-bit hash of item_id; feeds the id tables, never depends on the dataset"),
    _field("content", pa.list_(pa.float32()), "content vector or null", nullable=True),
    _field("attributes", pa.list_(pa.uint64()), "stable 64-bit hashes of the attributes; empty if none"),
    _field("title", pa.string(), "text or null", nullable=True),
    _field("created_ms", pa.int64(), "UTC milliseconds or null", nullable=True),
    _field("train_count", pa.int64(), "positive engagements by train users before the evaluation window; 0 = cold"),
])

# sequences/part-*.parquet: one row per user, ascending user_id over each part; lists share one length per row.
SEQUENCES = pa.schema([
    _field("user_id", pa.string(), "original id as text"),
    _field("split", pa.int8(), "position in SPLITS"),
    _field("item", pa.list_(pa.int32()), "item index of each positive engagement, in time order"),
    _field("actions", pa.list_(pa.int32()), "action bits of the engagement; at least one positive bit"),
    _field("surface", pa.list_(pa.int8()), "surface code"),
    _field("timestamp_ms", pa.list_(pa.int64()), "time of the first positive action"),
    _field("view", pa.list_(pa.int64()), "ordinal of the feed view among the user's views, in time order"),
])

# views/part-*.parquet: one row per feed view, ordered by (user_id, start_ms); lists share one length per row.
VIEWS = pa.schema([
    _field("user_id", pa.string(), "original id as text"),
    _field("split", pa.int8(), "position in SPLITS"),
    _field("surface", pa.int8(), "surface code"),
    _field("view", pa.int64(), "ordinal of the view among the user's views, in time order"),
    _field("start_ms", pa.int64(), "time of the first event of the view"),
    _field("context_item", pa.int32(), "item index of the query or close-up item, NO_ITEM if none"),
    _field("item", pa.list_(pa.int32()), "items of the view, in order of position, then first event"),
    _field("actions", pa.list_(pa.int32()), "action bits of each item; 0 = shown and not acted on"),
    _field("position", pa.list_(pa.int32()), "rank in the view, -1 if unknown"),
])

# quarantine/part-*.parquet: the row as text and why it was set aside.
QUARANTINE = pa.schema([
    _field("file", pa.string(), "input file"),
    _field("row", pa.int64(), "row number in that file, from 0"),
    _field("reason", pa.string(), "short machine-readable reason"),
    _field("record", pa.string(), "the row as JSON"),
])
