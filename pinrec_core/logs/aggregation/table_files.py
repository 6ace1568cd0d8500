"""Looking at input files before reading them: format, columns, types and row counts, from footers or first lines.

Everything a person can get wrong about a file's shape is said here, before anything expensive starts.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from pinrec_core.errors import DataError
from pinrec_core.storage import list_names

PARQUET, JSON_LINES = ".parquet", ".jsonl"
_HEAD_BYTES = 1 << 20  # of a JSON Lines file, read to learn the types of its ids and the names of its columns
ID, TEXT, INTEGER, VECTOR, TEXTS = "id", "text", "integer", "list of numbers", "list of texts"  # kinds of columns
_SAID = {ID: "an integer or a string", TEXT: "a string", INTEGER: "an integer", VECTOR: "a list of floats",
         TEXTS: "a list of strings"}
EVENT_KINDS = {"user_id": ID, "item_id": ID, "item_type": TEXT, "surface": TEXT, "action": TEXT,
               "timestamp_ms": INTEGER, "request_id": ID, "position": INTEGER, "context_item_id": ID}
CATALOG_KINDS = {"item_id": ID, "item_type": TEXT, "content": VECTOR, "attributes": TEXTS, "title": TEXT,
                 "created_ms": INTEGER}


@dataclass(frozen=True)
class TableFile:
    """One input file that has been looked at."""

    path: str
    name: str  # path relative to the input's root; what people are told
    rows: int
    row_groups: tuple[int, ...]  # rows of each Parquet row group; empty for JSON Lines
    schema: pa.Schema  # the known columns it has, with their types
    extra: tuple[str, ...]  # names of columns nobody asked for
    size: int  # bytes
    mark: str  # digest of a Parquet footer (place, size and value range of every column chunk) or of all JSON lines

    @property
    def is_parquet(self) -> bool:
        """Parquet, or else JSON Lines."""
        return self.path.endswith(PARQUET)

    def told(self) -> list[Any]:
        """What tells this file from another: name, size, rows and mark."""
        return [self.name, self.size, self.rows, self.mark]


def data_names(folder: str) -> list[str]:
    """Names of the files of a folder, sorted, without markers such as _SUCCESS and hidden files."""
    return [name for name in list_names(folder) if not name.startswith(("_", "."))]


def inspect_file(path: str, name: str, kinds: Mapping[str, str], required: list[str]) -> TableFile:
    """Read footer or first lines of a file and check its columns. Raises DataError naming file, column and hint."""
    if path.endswith(PARQUET):
        found, rows, row_groups, size, mark = _parquet_shape(path, name)
    elif path.endswith(JSON_LINES):
        found, rows, row_groups, size, mark = _json_shape(path, name, kinds)
    else:
        raise DataError(f"{name}: neither {PARQUET} nor {JSON_LINES}; convert it, or move it out of the input")
    if rows:
        _check_columns(name, found, kinds, required)
    known = pa.schema([field for field in found if field.name in kinds])
    extra = tuple(sorted(field.name for field in found if field.name not in kinds))
    return TableFile(path, name, rows, row_groups, known, extra, size, mark)


def _parquet_shape(path: str, name: str) -> tuple[pa.Schema, int, tuple[int, ...], int, str]:
    with FileSystems.open(path) as file:
        try:
            meta = pq.read_metadata(file)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{name}: not Parquet, or cut short ({error}); write the file again") from error
        size = file.seek(0, io.SEEK_END)
        file.seek(size - 8 - meta.serialized_size)  # after the footer come its length and four magic bytes
        mark = hashlib.blake2b(file.read(), digest_size=16).hexdigest()
    groups = tuple(meta.row_group(index).num_rows for index in range(meta.num_row_groups))
    return meta.schema.to_arrow_schema(), meta.num_rows, groups, size, mark


def _json_shape(path: str, name: str, kinds: Mapping[str, str]) -> tuple[pa.Schema, int, tuple[int, ...], int, str]:
    """Count the lines that are not blank and learn the columns from the first ones."""
    with FileSystems.open(path) as file:
        head = file.read(_HEAD_BYTES)
        rows = size = 0
        digest = hashlib.blake2b(digest_size=16)
        file.seek(0)
        for line in file:
            rows += not line.isspace()
            size += len(line)
            digest.update(line)
    lines = [line for line in head.split(b"\n") if line.strip()]
    if size > len(head):
        lines.pop()  # most likely cut
    try:
        records = [json.loads(line) for line in lines]
    except ValueError as error:
        raise DataError(f"{name}: not JSON Lines ({error}); write one JSON object per line") from error
    if any(not isinstance(record, dict) for record in records):
        raise DataError(f"{name}: a line is not a JSON object; write one JSON object per line")
    columns = dict.fromkeys(column for record in records for column in record)
    schema = pa.schema([(column, _json_type(column, records, kinds)) for column in columns])
    return schema, rows, (), size, digest.hexdigest()


def _json_type(column: str, records: list[dict], kinds: Mapping[str, str]) -> pa.DataType:
    """Type to read a JSON column as; ids follow their first value, so that 7 and "7" are both fine, file by file."""
    kind = kinds.get(column)
    value = next((record[column] for record in records if record.get(column) is not None), None)
    if isinstance(value, bool):
        return pa.bool_()
    by_kind = {INTEGER: pa.int64(), VECTOR: pa.list_(pa.float32()), TEXTS: pa.list_(pa.string())}
    expected = by_kind.get(kind, pa.string())
    if value is None:
        return expected
    if isinstance(value, int):
        return expected if kind == INTEGER else pa.int64()
    if isinstance(value, float):
        return pa.float64()
    return expected if isinstance(value, list) == (kind in (VECTOR, TEXTS)) and kind != INTEGER else pa.string()


def _check_columns(name: str, found: pa.Schema, kinds: Mapping[str, str], required: list[str]) -> None:
    for column in required:
        if column not in found.names:
            unknown = [other for other in found.names if other not in kinds]
            near = difflib.get_close_matches(column, unknown, n=1, cutoff=0.4)
            hint = f"; is it {near[0]!r}? Rename it" if near else f"; it has {sorted(found.names)}"
            raise DataError(f"{name}: required column {column!r} is missing{hint}, or import the log with a mapping")
    for field in found:
        kind = kinds.get(field.name)
        if kind and not _fits(field.type, kind):
            raise DataError(f"{name}: column {field.name!r} is {field.type}, it must be {_SAID[kind]}; "
                            "convert it where the file is written")


def _fits(given: pa.DataType, kind: str) -> bool:
    types = pa.types
    if types.is_null(given):
        return True
    if kind == INTEGER:
        return types.is_integer(given)
    if kind in (ID, TEXT):
        plain = given.value_type if types.is_dictionary(given) else given
        text = types.is_string(plain) or types.is_large_string(plain)
        return text or (kind == ID and types.is_integer(plain))
    if not (types.is_list(given) or types.is_large_list(given) or types.is_fixed_size_list(given)):
        return False
    return types.is_floating(given.value_type) if kind == VECTOR else _fits(given.value_type, TEXT)
