"""Cutting what was cleaned partition by partition to a window: rows, items and reports.

Partitions are cleaned without looking at the window, so that what is kept of them serves every window they lie in.
An event may sit up to `max_late_days` off its partition's date; so partitions at the edges hold events that belong to
the window's neighbours. Those are left out here and counted: before the window's start as `timestamp_before_window`,
after its end as `timestamp_in_future`.
"""

from __future__ import annotations

from datetime import date as Day
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pinrec_core.logs.aggregation.clean import REASONS
from pinrec_core.logs.aggregation.spill import compacted
from pinrec_core.logs.aggregation.window import Window

_BEFORE, _AFTER = "timestamp_before_window", "timestamp_in_future"


def rows_within(cleaned: pa.Table, window: Window) -> pa.Table:
    """The rows that happened inside the window, `day` as the position of their partition in Window.dates."""
    day = pc.subtract(cleaned.column("day"), pa.scalar(window.first_day, pa.int16()))
    cleaned = cleaned.set_column(cleaned.column_names.index("day"), cleaned.schema.field("day"), day)
    time = cleaned.column("time")
    least, most = pc.min_max(time).as_py().values() if len(time) else (window.start_ms, window.start_ms)
    if window.start_ms <= least and most < window.end_ms:
        return cleaned
    inside = pc.and_(pc.greater_equal(time, window.start_ms), pc.less(time, window.end_ms))
    return compacted(cleaned.filter(inside))  # a user all of whose rows were cut is no user of the window


def items_within(seen: pa.Table, window: Window) -> pa.Table:
    """(item_id, item_type) of the items that events inside the window name."""
    day = seen.column("day")
    last_day = window.first_day + len(window.dates) - 1
    inside = pc.and_(pc.greater_equal(day, window.first_day), pc.less_equal(day, last_day))
    return seen.filter(inside).drop_columns("day")


def settle(report: dict[str, Any], window: Window) -> dict[str, Any]:
    """A task's report as this window sees it: every row either passed to a shard or quarantined with one of REASONS."""
    reasons = {name: name if name in REASONS else _reason(name, report["date"], window)
               for name in report["quarantined"]}
    quarantined = dict.fromkeys(REASONS, 0)
    for name, count in report["quarantined"].items():
        if reasons[name]:
            quarantined[reasons[name]] += count
    cut = sum(count for name, count in report["quarantined"].items() if name not in REASONS and reasons[name])
    examples = [row | {"reason": reasons[row["reason"]]} for row in report["examples"] if reasons[row["reason"]]]
    return report | {"quarantined": quarantined, "examples": examples, "rows_passed": report["rows_passed"] - cut}


def _reason(label: str, partition: str, window: Window) -> str:
    """Why rows labelled "day-1" and the like are left out of the window; "" if they are not."""
    day = Day.fromisoformat(partition).toordinal() + int(label.removeprefix("day"))
    if day < Day.fromisoformat(window.dates[0]).toordinal():
        return _BEFORE
    return _AFTER if day > Day.fromisoformat(window.dates[-1]).toordinal() else ""
