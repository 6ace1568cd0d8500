"""One user shard from its spilled chunks to its part of the sequences and views tables.

Legend: N rows, V views, E exposures, G engagements (exposures with a positive action), U users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.config import AggregateConfig, LogConfig
from pinrec_core.errors import DataError
from pinrec_core.logs.aggregation.clean import UNKNOWN
from pinrec_core.logs.aggregation.exposures import (
    Exposures,
    Rows,
    Views,
    deduplicate,
    describe_views,
    find_views,
    merge_exposures,
)
from pinrec_core.logs.aggregation.hashing import hash_text, split_of
from pinrec_core.logs.aggregation.ordering import lexicographic_order
from pinrec_core.schemas import NO_ITEM, SEQUENCES, VIEWS


@dataclass(frozen=True)
class Shard:
    """A shard's users, and its rows with every id as a number."""

    users: pa.StringArray  # ascending
    split_U: np.ndarray  # int8
    rows: Rows
    context_items: int  # context codes from here up are context items that the item table does not know
    retyped_rows: int  # rows whose item_type is not that of the item table, which counts


@dataclass(frozen=True)
class ShardTables:
    """What a shard yields: its tables, and the arrays that its statistics are counted from."""

    sequences: pa.Table
    views: pa.Table
    rows: Rows  # after de-duplication
    duplicates: int
    view_list: Views
    exposures: Exposures
    engaged_E: np.ndarray  # bool


def load_shard(cleaned: pa.Table, items: pa.Table, aggregate: AggregateConfig) -> Shard:
    """Turn the concatenated chunks of a shard into numbers: users by rank of their id, items by index."""
    cleaned = cleaned.unify_dictionaries()
    user_N, names = _decoded(cleaned, "user")
    by_name_U = pc.sort_indices(names).to_numpy()
    rank_U = np.empty(len(names), np.int32)
    rank_U[by_name_U] = np.arange(len(names), dtype=np.int32)
    users = names.take(pa.array(by_name_U))
    index_N = _item_index(cleaned, items)
    item_type_N = cleaned.column("item_type").to_numpy()
    rows = Rows(user_N=rank_U[user_N], item_N=index_N, context_N=_context_code(cleaned, items), item_type_N=item_type_N,
                time_N=cleaned.column("time").to_numpy(), surface_N=cleaned.column("surface").to_numpy(),
                action_N=cleaned.column("action").to_numpy(), position_N=cleaned.column("position").to_numpy(),
                request_N=cleaned.column("request").to_numpy(), day_N=cleaned.column("day").to_numpy())
    retyped = int((items.column("item_type").to_numpy()[index_N] != item_type_N).sum())
    split_U = split_of(hash_text(users), seed=aggregate.seed, validation_share=aggregate.validation_user_share,
                       heldout_share=aggregate.heldout_user_share)
    return Shard(users, split_U, rows, items.num_rows, retyped)


def build_tables(shard: Shard, log: LogConfig, view_gap_s: int) -> ShardTables:
    """De-duplicate, find views, merge, and lay out the shard's part of the sequences and views tables."""
    rows, duplicates = deduplicate(shard.rows)
    view_N = find_views(rows, view_gap_s * 1000)
    views = describe_views(rows, view_N)
    exposures = merge_exposures(rows, view_N, log)
    engaged_E = (exposures.actions_E & log.positive_mask) != 0
    return ShardTables(_sequences(shard, exposures, views, engaged_E), _views(shard, exposures, views), rows,
                       duplicates, views, exposures, engaged_E)


def _sequences(shard: Shard, exposures: Exposures, views: Views, engaged_E: np.ndarray) -> pa.Table:
    """One row per user; a user without engagement has empty lists. Ties in time keep the order of the feed."""
    engaged_G = np.flatnonzero(engaged_E)
    engaged_G = engaged_G[lexicographic_order([exposures.user_E[engaged_G], exposures.time_E[engaged_G], engaged_G])]
    offset_U1 = _offsets(exposures.user_E[engaged_G], len(shard.users))
    columns = [exposures.item_E, exposures.actions_E, exposures.surface_E, exposures.time_E,
               views.ordinal_V[exposures.view_E]]
    lists = [_lists(offset_U1, column[engaged_G]) for column in columns]
    return pa.table([shard.users, shard.split_U, *lists], schema=SEQUENCES)


def _views(shard: Shard, exposures: Exposures, views: Views) -> pa.Table:
    offset_V1 = _offsets(exposures.view_E, len(views.user_V))
    context_V = np.where(views.context_V < shard.context_items, views.context_V, NO_ITEM).astype(np.int32)
    lists = [_lists(offset_V1, column) for column in (exposures.item_E, exposures.actions_E, exposures.position_E)]
    return pa.table([shard.users.take(pa.array(views.user_V)), shard.split_U[views.user_V], views.surface_V,
                     views.ordinal_V, views.start_V, context_V, *lists], schema=VIEWS)


def _offsets(owner_N: np.ndarray, owners: int) -> np.ndarray:
    return np.append(0, np.cumsum(np.bincount(owner_N, minlength=owners))).astype(np.int32)


def _lists(offset: np.ndarray, values: np.ndarray) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offset), pa.array(values))


def _decoded(cleaned: pa.Table, name: str) -> tuple[np.ndarray, pa.StringArray]:
    """Codes [N] (UNKNOWN = null) and values of a column whose chunks share one dictionary."""
    chunks = cleaned.column(name).chunks
    code_N = np.concatenate([chunk.indices.fill_null(UNKNOWN).to_numpy() for chunk in chunks])
    return code_N, chunks[0].dictionary


def _item_index(cleaned: pa.Table, items: pa.Table) -> np.ndarray:
    code_N, values = _decoded(cleaned, "item")
    index = pc.index_in(values, value_set=items.column("item_id"))
    if index.null_count:
        raise DataError(f"item {values.filter(index.is_null())[0].as_py()!r} is in the events but not in the item "
                        "table: part of the shuffle was lost; rerun, if need be on another aggregate.runner")
    return index.to_numpy()[code_N]


def _context_code(cleaned: pa.Table, items: pa.Table) -> np.ndarray:
    """Item index of the context; ids the item table does not know are numbered after its end, in the order of ids."""
    code_N, values = _decoded(cleaned, "context")
    if not len(values):  # a lookup reads the whole item table, whatever it is asked for
        return np.full(len(code_N), UNKNOWN, np.int32)
    index = pc.index_in(values, value_set=items.column("item_id"))
    index_C = index.fill_null(0).to_numpy().astype(np.int32)
    unknown_C = np.flatnonzero(index.is_null().to_numpy(zero_copy_only=False))
    order = pc.sort_indices(values.take(pa.array(unknown_C))).to_numpy()
    index_C[unknown_C[order]] = items.num_rows + np.arange(len(unknown_C))
    return np.append(index_C, np.int32(UNKNOWN))[code_N]
