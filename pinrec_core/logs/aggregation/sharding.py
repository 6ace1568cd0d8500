"""How many shards a log is cut into, and how the rows of one shard come into memory without ever being too many.

Level one: readers spread rows over at most MAX_SHARDS shards by user, because each batch leaves a chunk per shard.
Level two: a shard that came out larger than `shard_rows` is cut again by user, chunk by chunk, before it is loaded.
What neither can cut, a single user with too many rows, is held to `max_user_events` while chunks stream in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from pinrec_core.config import AggregateConfig
from pinrec_core.logs.aggregation.capping import cap_users
from pinrec_core.logs.aggregation.hashing import hash_text, part_of
from pinrec_core.logs.aggregation.lateness import rows_within
from pinrec_core.logs.aggregation.spill import ChunkRef, compacted, read_chunk, write_chunks
from pinrec_core.logs.aggregation.window import Window
from pinrec_core.storage import join

MAX_SHARDS = 256  # of level one
_FILL = 0.75  # an automatic shard is planned this full, so that few need a second cut


def sharded(aggregate: AggregateConfig, rows: int, earlier: int = 0) -> AggregateConfig:
    """The settings with the number of shards decided: as given, or from the rows of the log where it is 0.

    The number of an `earlier` dataset is kept while it is at most twice or half of that, because its cleaned partitions
    can be taken over only if they are spread over the same shards.
    """
    if aggregate.shards:
        return aggregate
    wanted = min(int(rows / (_FILL * aggregate.shard_rows)) + 1, MAX_SHARDS)
    fits = wanted <= 2 * earlier <= 4 * wanted
    return aggregate.model_copy(update={"shards": earlier if fits else wanted})


def cut_shard(refs: Iterable[ChunkRef], folder: str, shard_rows: int) -> list[list[ChunkRef]]:
    """A shard's chunks as parts of about `shard_rows` rows and disjoint users: themselves, or cut anew into `folder`.

    A part without users does not appear; which part a user goes to depends on the shard's rows only. Rows outside the
    window are still among them: gather leaves them out.
    """
    refs = sorted(refs)
    rows = sum(ref.rows for ref in refs)
    if rows <= shard_rows:
        return [refs]
    parts: list[list[ChunkRef]] = [[] for _ in range(int(rows / (_FILL * shard_rows)) + 1)]
    for number, table in enumerate(_gathered(refs, shard_rows)):
        for part, ref in write_chunks(join(folder, f"{number:06d}.arrow"), _cut(table, len(parts))):
            parts[part].append(ref)
    return [part for part in parts if part]


def gather(refs: Iterable[ChunkRef], aggregate: AggregateConfig, window: Window) -> tuple[pa.Table, int]:
    """All rows of the chunks inside the window after the cap on rows per user, and how many the cap cost.

    Holds about twice what is left, however many rows stream by.
    """
    held, capped, next_cut = [], 0, aggregate.shard_rows
    for ref in sorted(refs):
        held.append(rows_within(read_chunk(ref), window))
        rows = sum(table.num_rows for table in held)
        if aggregate.max_user_events and rows > next_cut:
            table, dropped = cap_users(pa.concat_tables(held), aggregate.max_user_events)
            held, capped, next_cut = [table], capped + dropped, max(aggregate.shard_rows, 2 * table.num_rows)
    table, dropped = cap_users(pa.concat_tables(held), aggregate.max_user_events)
    return table, capped + dropped


def _gathered(refs: list[ChunkRef], rows: int) -> Iterator[pa.Table]:
    """The chunks in stretches of about `rows` rows."""
    held = []
    for ref in refs:
        held.append(read_chunk(ref))
        if sum(table.num_rows for table in held) >= rows:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _cut(table: pa.Table, parts: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows by part, each with one dictionary per text column."""
    table = table.unify_dictionaries().combine_chunks()
    user = table.column("user").chunk(0)
    part_N = part_of(hash_text(user.dictionary), parts)[user.indices.to_numpy()]
    for part in np.unique(part_N):
        rows = table.take(pa.array(np.flatnonzero(part_N == part)))
        yield int(part), compacted(rows).to_batches()[0]
