"""Writing an item catalog: `catalog/part-00000.parquet` with the columns of schemas.CATALOG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pinrec_core.errors import DataError
from pinrec_core.schemas import CATALOG

Attribute = tuple[np.ndarray, pa.Array]  # rows and the text each of them gets; null texts are left out


def write_catalog(folder: Path, columns: dict[str, pa.Array], source: str) -> int:
    """Write the catalog's only file; columns left out are null. Returns the number of items.

    Raises DataError if an item id is null or named twice; `source` is the file named in the message.
    """
    ids = columns["item_id"].cast(pa.string())
    if ids.null_count:
        raise DataError(f"{source}: {ids.null_count} of {len(ids)} catalog rows have no item id; fill or drop them")
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise DataError(f"{source}: item {repeated[0]['values'].as_py()!r} is in the catalog "
                        f"{repeated[0]['counts'].as_py()} times ({len(repeated)} such items); keep one row each")
    filled = [columns.get(field.name, pa.nulls(len(ids), field.type)).cast(field.type) for field in CATALOG]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(filled, schema=CATALOG), folder / "part-00000.parquet", compression="zstd")
    return len(ids)


def attribute_lists(rows: int, attributes: Sequence[Attribute]) -> pa.ListArray:
    """One list of texts per item, in the order the attributes are given."""
    row = np.concatenate([row for row, _ in attributes])
    text = pa.concat_arrays([text.cast(pa.string()) for _, text in attributes])
    known = text.is_valid().to_numpy(zero_copy_only=False)
    order = np.flatnonzero(known)[np.argsort(row[known], kind="stable")]
    offsets = np.searchsorted(row[order], np.arange(rows + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), text.take(pa.array(order)))


def labelled(prefix: str, values: pa.Array) -> Attribute:
    """An attribute `prefix:value` per item; null values give none."""
    text = pc.binary_join_element_wise(prefix, values.cast(pa.string()), ":")
    return np.arange(len(values)), text


def split_labelled(prefix: str, values: pa.Array, separator: str) -> Attribute:
    """Several attributes per item from texts that hold a separated list: `prefix:value`, or `value` for prefix ""."""
    parts = pc.split_pattern(values.cast(pa.string()), separator)
    row = pc.list_parent_indices(parts).to_numpy()
    text = pc.utf8_trim_whitespace(pc.list_flatten(parts))
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return row, pc.binary_join_element_wise(prefix, text, ":") if prefix else text
