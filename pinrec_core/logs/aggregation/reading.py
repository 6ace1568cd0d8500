"""Reading rows as record batches of known columns, from Parquet or JSON Lines, through Beam's filesystems."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pinrec_core.errors import DataError
from pinrec_core.logs.aggregation.table_files import TableFile

BATCH_ROWS = 1 << 19  # rows cleaned at a time; large enough to make dictionaries pay, small enough to keep memory flat
_JSON_BLOCK = 1 << 24  # bytes


def read_batches(file: TableFile, row_groups: tuple[int, ...] = (), columns: list[str] | None = None,
                 rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield batches of about `rows` rows, Parquet text columns dictionary-encoded. Raises DataError if unreadable.

    `row_groups` () = all; `columns` None = all known ones the file has.
    """
    wanted = [name for name in file.schema.names if columns is None or name in columns]
    pieces = _parquet_pieces(file, row_groups, wanted, rows) if file.is_parquet else _json_pieces(file, wanted)
    held, count = [], 0
    try:
        for piece in pieces:
            held.append(piece)
            count += piece.num_rows
            if count >= rows:
                yield _joined(held)
                held, count = [], 0
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file.name}: cannot be read to its end ({error}); write the file again") from error
    if count:
        yield _joined(held)


def _parquet_pieces(file: TableFile, row_groups: tuple[int, ...], wanted: list[str],
                    rows: int) -> Iterator[pa.RecordBatch]:
    text = [name for name in wanted if pa.types.is_string(file.schema.field(name).type)]
    with FileSystems.open(file.path) as source:
        parquet = pq.ParquetFile(source, read_dictionary=text)
        yield from parquet.iter_batches(rows, row_groups=list(row_groups) or None, columns=wanted)


def _json_pieces(file: TableFile, wanted: list[str]) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([file.schema.field(name) for name in wanted])
    with FileSystems.open(file.path) as source:
        yield from pj.open_json(
            source, read_options=pj.ReadOptions(use_threads=False, block_size=_JSON_BLOCK),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"))


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()[0]
