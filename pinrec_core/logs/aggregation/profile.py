"""What the days of a log are like: who came, what was new, what was shown most, how much each user did.

A shard leaves exact counts where users or items can be summed exactly, and mergeable sketches where they cannot; the
driver merges them. Nothing is read twice. "Day" is the partition a row came in.

Legend: N rows after de-duplication, S distinct items of the shard, D days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pinrec_core.config import LogConfig
from pinrec_core.logs.aggregation import sketches
from pinrec_core.logs.aggregation.exposures import Rows
from pinrec_core.logs.aggregation.hashing import hash_text
from pinrec_core.logs.aggregation.shard import Shard, ShardTables
from pinrec_core.logs.aggregation.window import Window

TOP_ITEMS = 20  # most frequent items of a day named in statistics.json
Report = dict[str, Any]


@dataclass(frozen=True)
class ItemDays:
    """The items of a shard over its days. Keys of the sketches are days with rows, as text for JSON."""

    item_S: np.ndarray  # int64 item index, ascending
    first_S: np.ndarray  # int64 first day
    first_rows_S: np.ndarray  # int64 rows on that day
    distinct: dict[str, str]  # sketch of a day's distinct items
    frequent: dict[str, str]  # sketch of a day's most frequent items


def shard_profile(shard: Shard, tables: ShardTables, items: ItemDays, log: LogConfig, window: Window) -> Report:
    """Counts and sketches of one shard; users of shards are disjoint."""
    rows, days = tables.rows, len(window.dates)
    shape = (days, len(log.surface_names), len(log.item_types))
    types = np.ravel_multi_index((rows.day_N, rows.surface_N, rows.item_type_N), shape)
    came = np.bincount(rows.user_N.astype(np.int64) * days + rows.day_N, minlength=len(shard.users) * days)
    return {
        "users_of_day": (came.reshape(-1, days) > 0).sum(0).tolist(),
        "types": np.bincount(types, minlength=int(np.prod(shape))).reshape(shape).tolist(),
        "users": sketches.distinct(hash_text(shard.users)), "items_of_day": items.distinct,
        "top_of_day": items.frequent,
        "quantiles": {name: sketches.quantiles(value) for name, value in _amounts(rows, tables).items()},
    }


def item_days(rows: Rows, items: pa.Table) -> ItemDays:
    """Look at a shard's items day by day. `items` has the column item_id in index order."""
    seen_I = np.zeros(items.num_rows, bool)
    seen_I[rows.item_N] = True
    item_S = np.flatnonzero(seen_I)
    names = items.column("item_id").take(pa.array(item_S)).combine_chunks()
    hash_S = hash_text(names)
    code_N = (np.cumsum(seen_I) - 1)[rows.item_N]
    by_day_N = np.argsort(rows.day_N, kind="stable")  # a radix sort for 16 bits
    end_D = np.cumsum(np.bincount(rows.day_N))
    found = ItemDays(item_S, np.full(len(item_S), -1), np.zeros(len(item_S), np.int64), {}, {})
    for day, (start, end) in enumerate(zip([0, *end_D[:-1]], end_D, strict=True)):
        if start == end:
            continue
        count_S = np.bincount(code_N[by_day_N[start:end]], minlength=len(item_S))
        new_S = (count_S > 0) & (found.first_S < 0)
        found.first_S[new_S], found.first_rows_S[new_S] = day, count_S[new_S]
        top = _largest(count_S)
        found.distinct[str(day)] = sketches.distinct(hash_S[count_S > 0])
        found.frequent[str(day)] = sketches.frequent(names.take(pa.array(top)).to_pylist(), count_S[top])
    return found


def merge_profiles(profiles: list[Report], window: Window, new_rows_of_day: np.ndarray,
                   rows_of_day: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """What statistics.json says of the days and of the amounts, and the merged sketches for sketches.json."""
    users = sum((np.array(profile["users_of_day"]) for profile in profiles), np.zeros(len(window.dates), np.int64))
    days, kept = {}, {"items_by_date": {}, "top_items_by_date": {}, "quantiles": {}}
    for day, date in enumerate(window.dates):
        items, item_count = sketches.merge_distinct(_found(profiles, "items_of_day", day))
        top, top_counts = sketches.merge_frequent(_found(profiles, "top_of_day", day), TOP_ITEMS)
        if rows_of_day[day]:
            kept["items_by_date"][date], kept["top_items_by_date"][date] = items, top
        days[date] = {"users": int(users[day]), "items_about": item_count, "rows_new_items": int(new_rows_of_day[day]),
                      "top_items": top_counts}
    amounts = {}
    for name in profiles[0]["quantiles"] if profiles else ():
        kept["quantiles"][name], amounts[name] = sketches.merge_quantiles(
            profile["quantiles"][name] for profile in profiles)
    kept["users"], _ = sketches.merge_distinct(profile["users"] for profile in profiles)
    return {"days": days, "quantiles": amounts}, kept


def _found(profiles: list[Report], key: str, day: int) -> Iterator[str]:
    return (profile[key][str(day)] for profile in profiles if str(day) in profile[key])


def _largest(count_S: np.ndarray) -> np.ndarray:
    """Places of the FED largest counts above 0, largest first; ties by place."""
    at_most = min(sketches.FED, len(count_S))
    least = np.partition(count_S, len(count_S) - at_most)[len(count_S) - at_most]
    place = np.flatnonzero(count_S >= max(least, 1))
    return place[np.lexsort([place, -count_S[place]])][:at_most]


def _amounts(rows: Rows, tables: ShardTables) -> dict[str, np.ndarray]:
    """Events per user, items per feed view, seconds from an event of a user to the next. Rows are by user and time."""
    pause_N = np.diff(rows.time_N)[np.diff(rows.user_N) == 0]
    return {"events_per_user": np.bincount(rows.user_N), "items_per_view": np.bincount(tables.exposures.view_E),
            "seconds_between_events": pause_N / 1000}
