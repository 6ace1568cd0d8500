"""histories.parquet of a release: what each user did last, so that a release can answer on its own.

Rows ascend by user_id and row groups are small, so that one user is found without reading the file.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pinrec_core.data.batch import History
from pinrec_core.data.dataset import Dataset
from pinrec_core.errors import DataError
from pinrec_core.schemas import SEQUENCES

COLUMNS = ("item", "actions", "surface", "timestamp_ms")  # list columns as in schemas.SEQUENCES, oldest first
SCHEMA = pa.schema([SEQUENCES.field(name) for name in ("user_id", *COLUMNS)])
_USERS_PER_BLOCK = 65536  # users written at a time
_USERS_PER_GROUP = 4096  # users read to find one
_SEARCHED = 20_000  # user ids looked through for the nearest one


def write_histories(dataset: Dataset, path: Path, limit: int) -> int:
    """Write every user's last `limit` engagements up to the end of the dataset; returns the number of users."""
    order_U = pc.sort_indices(dataset.user_ids).to_numpy()
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(order_U), _USERS_PER_BLOCK):
            block = _block(dataset, order_U[start : start + _USERS_PER_BLOCK], limit)
            writer.write_table(block, row_group_size=_USERS_PER_GROUP)
    return len(order_U)


def _block(dataset: Dataset, users: np.ndarray, limit: int) -> pa.Table:
    end = dataset.offsets_U1[users + 1]
    length = np.minimum(end - dataset.offsets_U1[users], limit)
    offsets = np.concatenate([[0], np.cumsum(length)])
    rows = np.arange(offsets[-1]) - np.repeat(offsets[:-1], length) + np.repeat(end - length, length)
    columns = {"user_id": dataset.user_ids.take(pa.array(users))}
    sources = (dataset.item_E, dataset.actions_E, dataset.surface_E, dataset.time_E)
    for name, values in zip(COLUMNS, sources, strict=True):
        kind = SCHEMA.field(name).type
        flat = pa.array(values[rows], kind.value_type)
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat).cast(kind)
    return pa.table(columns, schema=SCHEMA)


def read_history(path: Path, user_id: str) -> History:
    """One user's history. Raises DataError naming the nearest known user if the release does not know this one."""
    found = pq.read_table(path, filters=[("user_id", "=", user_id)])
    if not found.num_rows:
        raise DataError(_unknown(path, user_id))
    return History(*(found[name].chunk(0).values.to_numpy() if found[name].num_chunks == 1
                     else np.array(found[name][0].as_py()) for name in COLUMNS))


def _unknown(path: Path, user_id: str) -> str:
    known = pq.read_table(path, columns=["user_id"])["user_id"]
    place = pc.sum(pc.less(known, user_id)).as_py() or 0  # ids near it in the order are the likeliest misspellings
    start = max(0, min(place, len(known)) - _SEARCHED // 2)
    near = difflib.get_close_matches(user_id, known.slice(start, _SEARCHED).to_pylist(), n=1, cutoff=0.0)
    nearest = f"; the nearest known id is {near[0]!r}" if near else ""
    return (f"user {user_id!r} is not among the {len(known)} users of the live release{nearest}; check the id, or "
            "release again once the user is in the event log")
