"""Turning columns of any table into the fields of the event log: texts, whole numbers, UTC milliseconds.

Every function works on whole columns; a value that cannot be turned raises DataError with the value and its row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.errors import DataError
from pinrec_core.logs.importers.mapping import TimeUnit

EARLIEST_MS, LATEST_MS = 631_152_000_000, 4_102_444_800_000  # 1990 and 2100: outside, the unit is wrong
_HAS_OFFSET = r":\d{2}(\.\d+)?\s*(Z|[+-]\d{2}(:?\d{2})?)$"
_UNIT_MS = {TimeUnit.S: 1000.0, TimeUnit.MS: 1.0, TimeUnit.US: 0.001}


@dataclass(frozen=True)
class Place:
    """Where a column comes from, for messages: file, column, row number of its first value."""

    path: str
    column: str
    first_row: int


def as_text(values: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    """Texts and whole numbers as text; numbers with a fraction and nested values raise DataError."""
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_floating(kind):  # whole numbers that became doubles because some were missing
        values = _cast(values, pa.int64(), place, "a whole number or text")
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
              or pa.types.is_null(kind)):
        raise DataError(f"{place.path}: column {place.column!r} is of type {kind}, expected text or whole numbers")
    return values.cast(pa.string())


def as_int32(values: pa.ChunkedArray, place: Place) -> pa.ChunkedArray:
    """Whole numbers, from numbers or text."""
    return _cast(values, pa.int32(), place, "a whole number")


def as_utc_ms(values: pa.ChunkedArray, place: Place, unit: TimeUnit, timezone: str) -> pa.ChunkedArray:
    """Timestamps as UTC milliseconds; nulls stay null.

    Raises DataError for a value that cannot be read, or that lies before 1990 or after 2100 (a wrong unit).
    """
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        result = _zoned(values, timezone)
    elif unit is TimeUnit.ISO:
        result = _attempt(lambda v: _iso(v, timezone), as_text(values, place), place, "an ISO 8601 time")
    else:
        result = _attempt(lambda v: _number(v, unit), values, place, f"a time in {unit.value}")
    _refuse_outliers(result, values, place, unit)
    return result


def _number(values: pa.ChunkedArray, unit: TimeUnit) -> pa.ChunkedArray:
    if unit is TimeUnit.MS and not pa.types.is_floating(values.type):
        return values.cast(pa.int64())
    milliseconds = pc.multiply(values.cast(pa.float64()), _UNIT_MS[unit])  # exact to the ms: below 2**53
    return pc.floor(pc.add(milliseconds, 1e-4)).cast(pa.int64())  # 1e-4: 0.001 s may lie just below the whole ms


def _iso(values: pa.ChunkedArray, timezone: str) -> pa.ChunkedArray:
    offset = pc.fill_null(pc.match_substring_regex(values, _HAS_OFFSET), False)
    none = pa.scalar(None, pa.string())
    aware = pc.if_else(offset, values, none).cast(pa.timestamp("ns", "UTC"))
    naive = pc.if_else(offset, none, values).cast(pa.timestamp("ns"))
    return pc.coalesce(_zoned(aware, timezone), _zoned(naive, timezone))


def _zoned(values: pa.ChunkedArray, timezone: str) -> pa.ChunkedArray:
    """Arrow timestamps as UTC ms; a clock time without zone is read in `timezone`, the earlier one if ambiguous."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    if values.type.tz is None:
        values = pc.assume_timezone(values, timezone, ambiguous="earliest", nonexistent="earliest")
    return values.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())


def _refuse_outliers(result: pa.ChunkedArray, values: pa.ChunkedArray, place: Place, unit: TimeUnit) -> None:
    outside = pc.fill_null(pc.or_(pc.less(result, EARLIEST_MS), pc.greater(result, LATEST_MS)), False)
    rows = np.flatnonzero(outside.to_numpy())
    if len(rows):
        row = int(rows[0])
        when = np.datetime64(result[row].as_py(), "ms")
        raise DataError(f"{place.path}: column {place.column!r} row {place.first_row + row}: {values[row].as_py()} "
                        f"read as {unit.value} is {when}, outside 1990 to 2100; is timestamp_unit right?")


def _cast(values: pa.ChunkedArray, kind: pa.DataType, place: Place, expected: str) -> pa.ChunkedArray:
    return _attempt(lambda v: v.cast(kind), values, place, expected)


def _attempt(convert: Callable, values: pa.ChunkedArray, place: Place, expected: str) -> pa.ChunkedArray:
    """Convert the whole column; on failure find the first offending value for the message."""
    try:
        return convert(values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row = _first_failure(convert, values)
        raise DataError(f"{place.path}: column {place.column!r} row {place.first_row + row}: {values[row].as_py()!r} "
                        f"is not {expected}") from error


def _first_failure(convert: Callable, values: pa.ChunkedArray) -> int:
    """Row of the first value that fails, by halving: the prefix [0, low) converts, [0, high) does not."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(values.slice(low, middle - low))
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
    return low
