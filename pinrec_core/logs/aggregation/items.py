"""The item table: catalog items in catalog order, then items that only events know, sorted by id.

The catalog streams through in batches: only ids, types and counts of all items are ever in memory at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pinrec_core.config import LogConfig
from pinrec_core.errors import DataError
from pinrec_core.logs.aggregation.files import create
from pinrec_core.logs.aggregation.hashing import blake2b_64
from pinrec_core.logs.aggregation.reading import read_batches
from pinrec_core.logs.aggregation.table_files import CATALOG_KINDS, TableFile, data_names, inspect_file
from pinrec_core.schemas import CATALOG, ITEMS
from pinrec_core.storage import join

CATALOGUED = pa.schema([field for field in ITEMS if field.name != "train_count"])
_BATCH = 1 << 16  # catalog rows handled at a time


@dataclass(frozen=True)
class CatalogFacts:
    """What the aggregation needs to know of the catalog it wrote aside."""

    items: int
    content_dim: int  # 0 if no item has content
    duplicate_rows: int  # rows whose item an earlier row describes
    foreign_rows: int  # rows of types outside log.item_types
    extra_columns: tuple[str, ...]


def find_catalog(catalog: str) -> list[TableFile]:
    """The catalog's files, looked at. Raises DataError if there is none or one cannot be used."""
    names = data_names(catalog)
    if not names:
        raise DataError(f"{catalog}: no catalog file; supply *.parquet or *.jsonl with at least {CATALOG.names[:2]}")
    return [inspect_file(join(catalog, name), f"catalog/{name}", CATALOG_KINDS, CATALOG.names[:2]) for name in names]


def normalise_catalog(files: list[TableFile], log: LogConfig, target: str) -> CatalogFacts:
    """Write the catalog as CATALOGUED rows, one per item, the first row of an item counting. Raises DataError."""
    first_N = _first_rows(files)
    dims: set[int] = set()
    seen = items = foreign = 0
    with create(target) as sink, pq.ParquetWriter(sink, CATALOGUED) as writer:
        for file in files:
            for batch in read_batches(file, rows=_BATCH):
                wanted = first_N[seen:seen + batch.num_rows]
                seen += batch.num_rows
                rows = _catalog_rows(batch.filter(pa.array(wanted)), log, file.name)
                foreign += int(wanted.sum()) - rows.num_rows
                items += rows.num_rows
                dims |= _content_dims(rows, file.name)
                if len(dims) > 1:
                    raise DataError(f"{file.name}: content vectors have lengths {sorted(dims)}; give all items "
                                    "vectors of one length")
                writer.write_table(rows)
    extra = tuple(sorted({name for file in files for name in file.extra}))
    return CatalogFacts(items, max(dims, default=0), len(first_N) - int(first_N.sum()), foreign, extra)


def number_items(catalogued: pa.Table, seen: Iterator[pa.Table]) -> pa.Table:
    """(item_id, item_type) of all items in index order: `catalogued`, then the others of `seen` sorted by id.

    An item that events name with several types has the one that comes first in log.item_types.
    """
    schema = pa.schema([("item_id", pa.string()), ("item_type", pa.int8())])
    catalogued, held, merged_rows = catalogued.cast(schema), schema.empty_table(), 0
    for table in itertools.chain(seen, [None]):
        held = held if table is None else pa.concat_tables([held, table])
        if table is None or held.num_rows > 2 * merged_rows + _BATCH:  # so that all merges together cost a few passes
            held = held.group_by("item_id").aggregate([("item_type", "min")]).rename_columns(schema.names).cast(schema)
            merged_rows = held.num_rows
    known = pc.is_in(held.column("item_id"), value_set=catalogued.column("item_id"))
    unknown = held.filter(pc.invert(known)).sort_by("item_id")
    return pa.concat_tables([catalogued, unknown]).combine_chunks()


def write_items(catalogued: str, numbered: pa.Table, train_count_I: np.ndarray, target: Path) -> None:
    """Write items.parquet: the normalised catalog, then uncatalogued items, each with its training count."""
    place = 0
    with FileSystems.open(catalogued) as source, pq.ParquetWriter(target, ITEMS) as writer:
        for batch in pq.ParquetFile(source).iter_batches(_BATCH):
            counts = pa.array(train_count_I[place:place + batch.num_rows], pa.int64())
            writer.write_table(pa.table([*batch.columns, counts], schema=ITEMS))
            place += batch.num_rows
        for start in range(place, numbered.num_rows, _BATCH):
            rows = numbered.slice(start, _BATCH)
            ids = rows.column("item_id").to_pylist()
            empty = pa.array([[]] * len(ids), ITEMS.field("attributes").type)
            columns = {"item_id": ids, "item_type": rows.column("item_type"), "id_hash": blake2b_64(ids),
                       "attributes": empty, "train_count": train_count_I[start:start + len(ids)]}
            writer.write_table(pa.table([columns.get(field.name, pa.nulls(len(ids), field.type)) for field in ITEMS],
                                        schema=ITEMS))


def _first_rows(files: list[TableFile]) -> np.ndarray:
    """Bool over all catalog rows: the first row of its item. Raises DataError for a null id."""
    pieces = []
    for file in files:
        for batch in read_batches(file, columns=["item_id"], rows=_BATCH):
            ids = _as_text(batch.column("item_id"))
            empty = pc.fill_null(pc.equal(ids, ""), True)
            if pc.any(empty).as_py():
                raise DataError(f"{file.name}: a row has no item_id; give every catalog item its id")
            pieces.append(ids)
    code_N = pa.chunked_array(pieces, pa.string()).combine_chunks().dictionary_encode().indices.to_numpy()
    return np.append(True, code_N[1:] > np.maximum.accumulate(code_N)[:-1]) if len(code_N) else np.zeros(0, bool)


def _catalog_rows(batch: pa.RecordBatch, log: LogConfig, name: str) -> pa.Table:
    """The rows of known types as a CATALOGUED table."""
    types = _as_text(batch.column("item_type"))
    code = pc.index_in(types, value_set=pa.array(log.item_types))
    known = code.is_valid()
    batch, code = batch.filter(known), code.filter(known)
    ids = _as_text(batch.column("item_id"))

    def column(field: str, kind: pa.DataType) -> pa.Array:
        return batch.column(field).cast(kind) if field in batch.schema.names else pa.nulls(batch.num_rows, kind)

    titles = _as_text(batch.column("title")) if "title" in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
    return pa.table(
        [ids, code.cast(pa.int8()), blake2b_64(ids.to_pylist()), column("content", ITEMS.field("content").type),
         _hashed_lists(column("attributes", pa.list_(pa.string()))), titles, column("created_ms", pa.int64())],
        schema=CATALOGUED)


def _hashed_lists(lists: pa.ListArray) -> pa.ListArray:
    """Attribute lists as lists of stable hashes; null lists become empty, null entries are left out."""
    parent = pc.list_parent_indices(lists)
    values = lists.flatten()
    parent_A = parent.filter(values.is_valid()).to_numpy()
    encoded = values.drop_null().dictionary_encode()
    hash_A = blake2b_64(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]
    offset_N1 = np.append(0, np.cumsum(np.bincount(parent_A, minlength=len(lists))))
    return pa.ListArray.from_arrays(pa.array(offset_N1, pa.int32()), pa.array(hash_A, pa.uint64()))


def _content_dims(rows: pa.Table, name: str) -> set[int]:
    """Lengths of the content vectors. Raises DataError for an empty vector or an entry that is not a finite number."""
    for chunk in rows.column("content").chunks:
        finite = pc.fill_null(pc.is_finite(chunk.flatten()), False)
        if not pc.all(finite, min_count=0).as_py():
            place = pc.list_parent_indices(chunk).filter(pc.invert(finite))[0].as_py()
            raise DataError(f"{name}: content of item {rows.column('item_id')[place].as_py()!r} has a value that is "
                            "not a finite number; repair the vector or leave it null")
    dims = set(pc.unique(pc.list_value_length(rows.column("content")).drop_null()).to_pylist())
    if 0 in dims:
        raise DataError(f"{name}: a content vector has length 0; leave it null where an item has none")
    return dims


def _as_text(column: pa.Array) -> pa.Array:
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return plain.cast(pa.string())
