"""Writing an event log: one folder per day, `events/date=YYYY-MM-DD/part-*.parquet`, no day missing in between.

A day without events gets an empty file, because aggregate_logs takes a missing partition for a lost one and stops.
Suffix: N = rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pinrec_core.errors import DataError, IntegrityError
from pinrec_core.progress import counted
from pinrec_core.schemas import EVENTS
from pinrec_core.storage import staged_directory

BUFFER_ROWS = 2_000_000  # rows held before they are written; bounds memory for logs of any size
DAY_MS = 86_400_000
MAX_DAYS = 20_000  # 55 years; every day becomes a folder

# What is written: EVENTS, but every column may be null: a null is the input's, and aggregate_logs quarantines it.
WRITTEN_EVENTS = pa.schema([field.with_nullable(True) for field in EVENTS])


@contextmanager
def new_directory(destination: Path) -> Iterator[Path]:
    """A staged directory that refuses an occupied destination before the work instead of after it."""
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise IntegrityError(f"{destination}: already exists; remove it or choose another output")
    with staged_directory(destination) as aside:
        yield aside


def local_days(timestamp_ms_N: np.ndarray, timezone: str) -> np.ndarray:
    """The calendar day (datetime64[D]) of each UTC millisecond in an IANA zone; exact across clock changes."""
    if not len(timestamp_ms_N):
        return np.empty(0, "datetime64[D]")
    first = _utc_date(int(timestamp_ms_N.min())) - timedelta(days=1)
    days = (_utc_date(int(timestamp_ms_N.max())) - first).days + 3
    zone = ZoneInfo(timezone)
    midnights = [datetime.combine(first + timedelta(days=d), datetime.min.time(), zone) for d in range(days)]
    starts = np.array([round(m.timestamp() * 1000) for m in midnights], np.int64)
    return np.datetime64(first, "D") + (np.searchsorted(starts, timestamp_ms_N, side="right") - 1)


class PartitionWriter:
    """Collects events by day and writes them as Parquet files; every row must have a day."""

    def __init__(self, root: Path, buffer_rows: int = BUFFER_ROWS) -> None:
        """Write partitions below `root`, holding at most about `buffer_rows` rows in memory."""
        self._root, self._limit = root, buffer_rows
        self._tables: list[pa.Table] = []
        self._days: list[np.ndarray] = []
        self._held = self._flushes = self.rows_given = 0
        self.days: set[date] = set()

    def write(self, events: pa.Table, day_N: np.ndarray) -> None:
        """Add events (columns of EVENTS) of the given days (datetime64[D])."""
        self._tables.append(events.cast(WRITTEN_EVENTS))
        self._days.append(day_N)
        self._held += events.num_rows
        self.rows_given += events.num_rows
        if self._held >= self._limit:
            self._flush()

    def close(self) -> dict[str, int]:
        """Write what is left and the empty days; returns rows_written (counted in the files), days and empty_days.

        Raises DataError if the days span more than MAX_DAYS, IntegrityError if the files lack rows that were given.
        """
        self._flush()
        empty = self._fill_gaps()
        written = sum(pq.read_metadata(path).num_rows for path in self._root.glob("date=*/*.parquet"))
        if written != self.rows_given:
            raise IntegrityError(f"{self._root}: {self.rows_given} rows were given, the files hold {written}; "
                                 "import again and check the disk")
        return {"rows_written": written, "days": len(self.days), "empty_days": empty}

    def _flush(self) -> None:
        if not self._held:
            return
        events, day_N = pa.concat_tables(self._tables).combine_chunks(), np.concatenate(self._days)
        order = np.argsort(day_N, kind="stable")
        events, day_N = events.take(pa.array(order)), day_N[order]
        days, starts = np.unique(day_N, return_index=True)
        cuts = list(zip(days, starts, [*starts[1:], len(day_N)], strict=True))
        for day, start, stop in counted(cuts, "write", "days"):
            self._write_day(day.item(), events.slice(start, stop - start))
        self._tables, self._days, self._held = [], [], 0
        self._flushes += 1

    def _fill_gaps(self) -> int:
        if not self.days:
            return 0
        first, last = min(self.days), max(self.days)
        if (last - first).days >= MAX_DAYS:
            raise DataError(f"{self._root}: events from {first} to {last}, {(last - first).days + 1} days, at most "
                            f"{MAX_DAYS} make sense; look for wrong timestamps among the earliest and the latest")
        missing = [first + timedelta(days=d) for d in range((last - first).days)]
        missing = [day for day in missing if day not in self.days]
        for day in missing:
            self._write_day(day, WRITTEN_EVENTS.empty_table())
        return len(missing)

    def _write_day(self, day: date, events: pa.Table) -> None:
        folder = self._root / f"date={day.isoformat()}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(events, folder / f"part-{self._flushes:05d}.parquet", compression="zstd")
        self.days.add(day)


def _utc_date(timestamp_ms: int) -> date:
    return datetime.fromtimestamp(timestamp_ms // 1000, UTC).date()
