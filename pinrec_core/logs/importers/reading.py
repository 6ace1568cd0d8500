"""Reading tables of any known kind in bounded pieces: Parquet, CSV, TSV, JSON Lines, each also gzipped.

CSV values are read as text, so that an id keeps its leading zeros; an empty CSV field is null. A file that breaks its
own format raises, and no line is skipped. Progress is told in bytes of the files as they lie on the disk.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from pinrec_core.errors import DataError
from pinrec_core.progress import doing

KINDS = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "json", ".ndjson": "json", ".json": "json"}
BATCH_ROWS = 500_000  # rows of a Parquet piece
BLOCK_BYTES = 64 << 20  # bytes of a CSV or JSON piece
Placed = Iterator[tuple[pa.Table, int]]  # rows, and how many bytes of the file are read with them


def kind_of(path: Path) -> str | None:
    """The kind of a file by its name, None if unknown."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    return KINDS.get(suffixes[-1].lower()) if suffixes else None


def read_files(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[tuple[Path, pa.Table]]:
    """The rows of all files as read_pieces gives them, each piece with its file."""
    sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
    with doing("read", sum(sizes), "bytes") as told:
        for number, path in enumerate(paths):
            for piece, position in _read_placed(path, columns):
                yield path, piece
                told(sum(sizes[:number]) + position)


def read_pieces(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the file's rows in order as tables with exactly `columns`.

    Raises DataError if the file is missing, of no known kind, unreadable, or lacks a column (naming the nearest).
    """
    for piece, _ in _read_placed(path, columns):
        yield piece


def _read_placed(path: Path, columns: Sequence[str]) -> Placed:
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    readers = {"parquet": _parquet, "csv": _csv, "tsv": _csv, "json": _json}
    kind = kind_of(path)
    if kind is None:
        raise DataError(f"{path}: not a known kind of file; known are {', '.join(KINDS)}, also with .gz")
    try:
        yield from readers[kind](path, list(columns))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as {kind}: {error}; is it complete, and is its name right?") from error


def column_names(path: Path) -> list[str]:
    """The columns of a Parquet, CSV or TSV file. Raises DataError if it cannot be read."""
    try:
        return pq.read_schema(path).names if kind_of(path) == "parquet" else _csv_header(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read: {error}; is it complete?") from error


def require_columns(path: Path, present: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise DataError naming the first missing column and the nearest present one."""
    for name in wanted:
        if name not in present:
            near = difflib.get_close_matches(name, present, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, present)) or 'no columns'}"
            raise DataError(f"{path}: no column {name!r}; {hint}")


def _parquet(path: Path, columns: list[str]) -> Placed:
    """The place is that of as many rows of equal size."""
    size, read = path.stat().st_size, 0
    with pq.ParquetFile(path) as file:
        require_columns(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            read += batch.num_rows
            yield pa.Table.from_batches([batch]).select(columns), size * read // file.metadata.num_rows


def _csv(path: Path, columns: list[str]) -> Placed:
    require_columns(path, _csv_header(path), columns)
    convert = pacsv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()),
                                   null_values=[""], strings_can_be_null=True)
    with pa.OSFile(str(path)) as file, _uncompressed(path, file) as stream:
        for batch in pacsv.open_csv(stream, pacsv.ReadOptions(block_size=BLOCK_BYTES), _csv_format(path), convert):
            yield pa.Table.from_batches([batch]), file.tell()


def _uncompressed(path: Path, file: pa.NativeFile) -> pa.NativeFile:
    """What an open file holds."""
    return pa.CompressedInputStream(file, "gzip") if path.suffix.lower() == ".gz" else file


def _csv_format(path: Path) -> pacsv.ParseOptions:
    return pacsv.ParseOptions(delimiter="\t" if kind_of(path) == "tsv" else ",", newlines_in_values=True)


def _csv_header(path: Path) -> list[str]:
    with pa.input_stream(str(path), compression="detect") as stream:
        return pacsv.open_csv(stream, parse_options=_csv_format(path)).schema.names


def _json(path: Path, columns: list[str]) -> Placed:
    """Pieces end at line ends; a column may be absent from a piece (then null), but not from the whole file."""
    seen: set[str] = set()
    with pa.OSFile(str(path)) as file, _uncompressed(path, file) as stream:
        rest = b""
        while block := stream.read(BLOCK_BYTES):
            whole, _, rest = (rest + block).rpartition(b"\n")
            if whole.strip():
                yield _json_piece(whole, columns, seen), file.tell()
        if rest.strip():
            yield _json_piece(rest, columns, seen), file.tell()
    require_columns(path, sorted(seen), columns)


def _json_piece(lines: bytes, columns: list[str], seen: set[str]) -> pa.Table:
    table = _parse_json(lines)
    seen.update(table.column_names)
    dated = [field.name for field in table.schema if pa.types.is_temporal(field.type) and field.name in columns]
    if dated:  # Arrow guesses dates from text; the mapping decides instead
        table = _parse_json(lines, pa.schema([(name, pa.string()) for name in dated]))
    arrays = [table[name] if name in table.column_names else pa.nulls(table.num_rows) for name in columns]
    return pa.table(arrays, names=columns)


def _parse_json(lines: bytes, schema: pa.Schema | None = None) -> pa.Table:
    return pajson.read_json(io.BytesIO(lines), pajson.ReadOptions(block_size=len(lines) + 1),
                            pajson.ParseOptions(explicit_schema=schema))
