"""Holding a user to a number of rows: the newest stay. One user with a million events must not decide a shard's size.

Which rows stay depends on the rows alone, never on the order or the pieces in which they arrive, so that capping what
has arrived so far and capping again later is capping once. Duplicates count like any other row until they are found.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pinrec_core.logs.aggregation.clean import UNKNOWN
from pinrec_core.logs.aggregation.hashing import hash_text, mix64
from pinrec_core.logs.aggregation.spill import compacted


def cap_users(cleaned: pa.Table, limit: int) -> tuple[pa.Table, int]:
    """Rows of CLEANED with at most `limit` newest of each user, and how many went; a limit of 0 is no limit."""
    if not limit or cleaned.num_rows <= limit:
        return cleaned, 0
    cleaned = cleaned.unify_dictionaries()
    user_N = _codes(cleaned.column("user"))
    over_U = np.bincount(user_N) > limit
    if not over_U.any():
        return cleaned, 0
    row_M = np.flatnonzero(over_U[user_N])
    tie_M = _content_hash(cleaned.take(pa.array(row_M)))
    time_M = cleaned.column("time").to_numpy()[row_M]
    row_M = row_M[np.lexsort([tie_M, -time_M, user_N[row_M]])]
    user_M = user_N[row_M]
    place_M = np.arange(len(row_M)) - np.searchsorted(user_M, user_M)  # among the user's rows, newest first
    stays_N = np.ones(len(user_N), bool)
    stays_N[row_M[place_M >= limit]] = False
    return compacted(cleaned.filter(pa.array(stays_N))), int((~stays_N).sum())


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    return np.concatenate([chunk.indices.fill_null(UNKNOWN).to_numpy() for chunk in column.chunks])


def _content_hash(rows: pa.Table) -> np.ndarray:
    """A number per row that all its columns decide; equal rows have equal numbers."""
    hash_M = np.zeros(rows.num_rows, np.uint64)
    for column in rows.columns:
        if pa.types.is_dictionary(column.type):
            hash_V = hash_text(column.chunk(0).dictionary) if column.num_chunks else np.zeros(0, np.uint64)
            value_M = np.append(hash_V, np.uint64(1))[_codes(column)]
        else:
            value_M = column.to_numpy().astype(np.uint64)
        hash_M = mix64(hash_M ^ mix64(value_M + np.uint64(1)))
    return hash_M
