"""Any Parquet, CSV or JSON Lines log as an event log, by a mapping of columns (see mapping.EventMapping).

A row with an empty required field is written as it is, counted, and left for aggregate_logs to quarantine; one without
a time has no day to be filed under and stops the import. Nothing is skipped: rows read == rows written.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.errors import DataError
from pinrec_core.logs.importers.catalog_writer import attribute_lists, split_labelled, write_catalog
from pinrec_core.logs.importers.event_writer import WRITTEN_EVENTS, PartitionWriter, local_days, new_directory
from pinrec_core.logs.importers.fields import Place, as_int32, as_text, as_utc_ms
from pinrec_core.logs.importers.mapping import CatalogMapping, EventMapping
from pinrec_core.logs.importers.reading import KINDS, kind_of, read_files, read_pieces
from pinrec_core.schemas import CATALOG, REQUIRED_EVENT_COLUMNS

logger = logging.getLogger("pinrec")


def import_events(src: Path, dst: Path, mapping: EventMapping) -> dict[str, int]:
    """Write dst/events and dst/catalog from a file, or from all files below a folder; returns counts.

    Raises DataError naming file, column, row and value; IntegrityError if dst exists or rows are lost.
    """
    files = _data_files(src, mapping)
    counts = {"files": len(files), "rows_read": 0, "rows_incomplete": 0}
    seen: list[pa.Table] = []  # (item_id, item_type) of the events, for a catalog if there is no other
    with new_directory(dst) as aside:
        writer = PartitionWriter(aside / "events")
        rows_of = dict.fromkeys(files, 0)
        for path, piece in read_files(files, sorted(set(mapping.columns.values()))):
            events = _to_events(piece, mapping, str(path), rows_of[path])
            writer.write(events, local_days(events["timestamp_ms"].to_numpy(), mapping.timezone))
            counts["rows_incomplete"] += _incomplete(events)
            seen = seen if mapping.catalog else [_distinct_items([*seen, events])]
            rows_of[path] += piece.num_rows
        counts["rows_read"] = sum(rows_of.values())
        counts |= writer.close()
        counts["items"] = _write_catalog(aside / "catalog", src, mapping, seen)
        _check(src, counts)
    return counts


def _data_files(src: Path, mapping: EventMapping) -> list[Path]:
    """The file itself, or all files of a known kind below the folder but the catalog; others are named in the log."""
    if not src.exists():
        raise DataError(f"{src}: no such file or folder; check the path")
    if src.is_file():
        return [src]
    catalog = _catalog_path(src, mapping.catalog).resolve() if mapping.catalog else None
    found = sorted(p for p in src.rglob("*") if p.is_file() and p.resolve() != catalog
                   and not any(part.startswith((".", "_")) for part in p.relative_to(src).parts))
    files = [path for path in found if kind_of(path)]
    for path in sorted(set(found) - set(files)):
        logger.warning("%s: not a known kind of file, not imported", path)
    if not files:
        raise DataError(f"{src}: no file of a known kind there; known are {', '.join(KINDS)}, also with .gz")
    return files


def _to_events(piece: pa.Table, mapping: EventMapping, path: str, first_row: int) -> pa.Table:
    """A piece of the input as columns of EVENTS."""
    convert = {"timestamp_ms": functools.partial(as_utc_ms, unit=mapping.timestamp_unit, timezone=mapping.timezone),
               "position": as_int32}
    columns = {name: convert.get(name, as_text)(piece[column], Place(path, column, first_row))
               for name, column in mapping.columns.items()}
    columns |= {name: pa.repeat(text, piece.num_rows) for name, text in mapping.constants.items()}
    times = columns["timestamp_ms"]
    if times.null_count:
        row = first_row + pc.index(times.is_null(), True).as_py()
        raise DataError(f"{path}: column {mapping.timestamp!r} row {row}: empty, and so are {times.null_count - 1} "
                        "more; an event without a time has no partition, fill or drop it")
    return pa.table([columns.get(f.name, pa.nulls(piece.num_rows, f.type)) for f in WRITTEN_EVENTS],
                    schema=WRITTEN_EVENTS)


def _incomplete(events: pa.Table) -> int:
    empty = [events[name].is_null() for name in REQUIRED_EVENT_COLUMNS]
    return pc.sum(functools.reduce(pc.or_, empty)).as_py() or 0


def _distinct_items(tables: list[pa.Table]) -> pa.Table:
    """Item ids with the first type each was seen with."""
    columns = pa.concat_tables([table.select(["item_id", "item_type"]) for table in tables])
    known = columns.filter(columns["item_id"].is_valid())
    first = known.group_by("item_id", use_threads=False).aggregate([("item_type", "first")])
    return first.rename_columns({"item_type_first": "item_type"})


def _write_catalog(folder: Path, src: Path, mapping: EventMapping, seen: list[pa.Table]) -> int:
    if mapping.catalog is None:
        logger.warning("%s: no catalog is mapped; the catalog holds the ids of the events only", src)
        items = seen[0] if seen else pa.schema([("item_id", pa.string()), ("item_type", pa.string())]).empty_table()
        return write_catalog(folder, {name: items[name].combine_chunks() for name in items.column_names}, str(src))
    path = _catalog_path(src, mapping.catalog)
    return write_catalog(folder, _catalog_columns(path, mapping.catalog, mapping.timezone), str(path))


def _catalog_path(src: Path, catalog: CatalogMapping) -> Path:
    return (src if src.is_dir() else src.parent) / catalog.path


def _catalog_columns(path: Path, catalog: CatalogMapping, timezone: str) -> dict[str, pa.Array]:
    """The mapped columns of the catalog file as fields of CATALOG."""
    fields = {"item_id": catalog.item_id, "content": catalog.content, "attributes": catalog.attributes,
              "title": catalog.title, "created_ms": catalog.created,
              "item_type": "" if catalog.item_type_constant else catalog.item_type or "item_type"}
    fields = {name: column for name, column in fields.items() if column}
    pieces = list(read_pieces(path, sorted(set(fields.values()))))
    if not pieces:
        raise DataError(f"{path}: holds no rows; a catalog needs at least one item")
    table = pa.concat_tables(pieces, promote_options="permissive")
    columns = {name: _catalog_field(name, table[column], Place(str(path), column, 0), catalog, timezone)
               for name, column in fields.items()}
    constant = {"item_type": pa.repeat(catalog.item_type_constant, table.num_rows)}
    return (constant if catalog.item_type_constant else {}) | columns


def _catalog_field(name: str, values: pa.ChunkedArray, place: Place, catalog: CatalogMapping,
                   timezone: str) -> pa.Array:
    if name == "created_ms":
        values = as_utc_ms(values, place, catalog.created_unit, timezone)
    elif name in ("item_id", "item_type", "title"):
        values = as_text(values, place)
    elif name == "attributes" and not pa.types.is_nested(values.type):
        parts = split_labelled("", as_text(values, place).combine_chunks(), catalog.attribute_separator)
        return attribute_lists(len(values), [parts])
    try:
        return values.cast(CATALOG.field(name).type).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{place.path}: column {place.column!r} cannot be {name}, a {CATALOG.field(name).type}: "
                        f"{error}") from error


def _check(src: Path, counts: dict[str, int]) -> None:
    if counts["rows_read"] != counts["rows_written"]:
        raise DataError(f"{src}: {counts['rows_read']} rows read, {counts['rows_written']} written; import again")
    if not counts["rows_read"]:
        raise DataError(f"{src}: holds no rows; check the path")
    if counts["rows_incomplete"]:
        logger.warning("%s: %d of %d rows lack a required field; aggregate_logs will quarantine them", src,
                       counts["rows_incomplete"], counts["rows_read"])
    if counts["empty_days"]:
        logger.warning("%s: %d of %d days between the first and the last have no events", src, counts["empty_days"],
                       counts["days"])
