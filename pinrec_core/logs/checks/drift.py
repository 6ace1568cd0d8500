"""Is a day like the same weekday of the weeks before it? Distributions by Jensen-Shannon distance, rows by ratio.

Only modelled surfaces are compared, except for the most frequent items; days without rows on modelled surfaces are no
history. Without history nothing is compared, and the findings say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date as Day
from datetime import timedelta
from typing import Any

import numpy as np

from pinrec_core.config import LogConfig, ValidateConfig
from pinrec_core.logs.aggregation.profile import TOP_ITEMS
from pinrec_core.logs.aggregation.sketches import counts_of, merge_frequent
from pinrec_core.logs.checks.finding import EXAMPLES, Finding

KINDS = ("surface", "action", "item_type", "top_item")
OTHERS = "(all others)"


@dataclass(frozen=True)
class DayCounts:
    """Rows of one day or of several added up: on modelled surfaces, in all, and by every kind of name."""

    rows: int
    by_kind: dict[str, Counter[str]]


def drift_findings(log: LogConfig, facts: dict[str, Any], limits: ValidateConfig, date: str = "") -> Iterator[Finding]:
    """Compare a day (the last, unless named) with its history; skipped findings pass and have observed None."""
    date = date or max(facts["rows_by_date"])
    history = history_of(log, facts, date, limits.drift_weeks)
    bounds = {f"max_{kind}_drift": getattr(limits, f"max_{kind}_drift") for kind in KINDS}
    ratios = {"min_weekday_ratio": limits.min_weekday_ratio, "max_weekday_ratio": limits.max_weekday_ratio}
    if not history:
        why = (f"skipped: no {Day.fromisoformat(date):%A} in the {limits.drift_weeks} weeks before {date} has rows on "
               "modelled surfaces in the window")
        for rule, limit in (bounds | ratios).items():
            yield Finding(rule, None, limit, True, why)
        return
    names = _top_names(facts, [date]) + _top_names(facts, history)
    now, before = _counts(log, facts, [date], names), _counts(log, facts, history, names)
    for kind, (rule, limit) in zip(KINDS, bounds.items(), strict=True):
        yield _distribution(rule, kind, now.by_kind[kind], before.by_kind[kind], limit, date, history)
    mean = before.rows / len(history)
    ratio = now.rows / mean
    for rule, limit in ratios.items():
        good = ratio >= limit if rule.startswith("min_") else ratio <= limit
        yield Finding(rule, ratio, limit, good, f"{date} has {now.rows} rows on modelled surfaces, {ratio:.2f} of the "
                                                f"{mean:g} of the mean of {', '.join(history)}",
                      () if good else ({"date": date, "rows": now.rows, "rows_before": mean},))


def history_of(log: LogConfig, facts: dict[str, Any], date: str, weeks: int) -> list[str]:
    """The same weekday of up to `weeks` weeks before, newest first, where the window has rows on modelled surfaces."""
    days = [(Day.fromisoformat(date) - timedelta(weeks=back)).isoformat() for back in range(1, weeks + 1)]
    by_surface = facts["rows_by_date_and_surface"]
    return [day for day in days if sum(by_surface.get(day, {}).get(name, 0) for name in log.surfaces)]


def distance(now: Counter[str], before: Counter[str]) -> float:
    """Jensen-Shannon distance (root of the divergence, base 2) of two distributions: 0 = the same, 1 = disjoint.

    A side without rows is at distance 0 from nothing and 1 from something.
    """
    names = sorted(now | before)
    sides_N = [np.array([max(side[name], 0) for name in names], np.float64) for side in (now, before)]
    if not all(side_N.sum() for side_N in sides_N):
        return float(bool(names))
    p_N, q_N = (side_N / side_N.sum() for side_N in sides_N)
    middle_N = (p_N + q_N) / 2
    divergence = sum(float((side_N * np.log2(np.divide(side_N, middle_N, where=side_N > 0,
                                                       out=np.ones_like(side_N)))).sum()) for side_N in (p_N, q_N)) / 2
    return min(max(divergence, 0.0), 1.0) ** 0.5


def _distribution(rule: str, kind: str, now: Counter[str], before: Counter[str], limit: float, date: str,
                  history: list[str]) -> Finding:
    observed = distance(now, before)
    shares = [{kind: name, "share": round(now[name] / max(now.total(), 1), 4),
               "share_before": round(before[name] / max(before.total(), 1), 4)} for name in now | before]
    shares.sort(key=lambda row: (-abs(row["share"] - row["share_before"]), row[kind]))
    good = observed <= limit
    return Finding(rule, observed, limit, good,
                   f"by {kind.replace('_', ' ')}, {date} is {observed:.3f} away from {', '.join(history)} (at most "
                   f"{limit:g}; 0 = alike, 1 = nothing in common)", () if good else tuple(shares[:EXAMPLES]))


def _counts(log: LogConfig, facts: dict[str, Any], days: list[str], items: list[str]) -> DayCounts:
    by_kind = {kind: Counter() for kind in KINDS}
    for day in days:
        for surface in log.surfaces:
            by_kind["surface"][surface] += facts["rows_by_date_and_surface"][day][surface]
            by_kind["action"].update(facts["rows_by_date_surface_and_action"][day][surface])
            by_kind["item_type"].update(facts["rows_by_date_surface_and_item_type"][day][surface])
        found = counts_of(facts["sketches"]["top_items_by_date"][day], items) if facts["rows_by_date"][day] else {}
        by_kind["top_item"].update(found)
        by_kind["top_item"][OTHERS] += max(facts["rows_by_date"][day] - sum(found.values()), 0)
    return DayCounts(by_kind["surface"].total(), by_kind)


def _top_names(facts: dict[str, Any], days: list[str]) -> list[str]:
    """The most frequent items of some days together."""
    kept = facts["sketches"]["top_items_by_date"]
    return list(merge_frequent((kept[day] for day in days if day in kept), TOP_ITEMS)[1])
