"""The rules of validate_data that need only the manifest and the statistics of a dataset.

Each rule gives one Finding: what was observed, the limit, whether it holds, and a sentence a person can act on.
"""

from __future__ import annotations

import statistics as averages
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pinrec_core.config import LogConfig, ValidateConfig
from pinrec_core.logs.checks.finding import EXAMPLES, Finding, at_least, share
from pinrec_core.manifest import Manifest


def count_findings(manifest: Manifest, facts: dict[str, Any], limits: ValidateConfig) -> Iterator[Finding]:
    """Enough events, users and items; not too many rows set aside. `facts` is statistics.json."""
    counts = manifest.counts
    rows_in = counts["rows_in"]
    yield at_least("min_events", counts["rows_kept"], limits.min_events, "usable event rows")
    yield at_least("min_users", facts["users_engaged"], limits.min_users, "users with a positive engagement")
    yield at_least("min_items", facts["items_engaged"], limits.min_items, "items engaged with")
    examples = _of_every_reason(facts["quarantine_examples"])
    reasons = {reason: count for reason, count in facts["quarantined_by_reason"].items() if count}
    yield share("max_quarantined_share", counts["rows_quarantined"], rows_in, limits.max_quarantined_share,
                f"of all rows were quarantined {reasons or ''}", examples, examples[0]["file"] if examples else "")
    yield share("max_duplicate_share", counts["rows_duplicate"], rows_in, limits.max_duplicate_share,
                "of all rows are exact duplicates")
    yield share("max_uncatalogued_share", facts["items_engaged_uncatalogued"], facts["items_engaged"],
                limits.max_uncatalogued_share, "of the items engaged with are not in the catalog",
                tuple({"item_id": name} for name in facts["uncatalogued_examples"]))
    yield share("max_unordered_share", facts["rows_out_of_order"], rows_in, limits.max_unordered_share,
                "of all rows have a time before that of the row above them in their file")
    for column, limit in sorted(limits.max_null_share.items()):
        yield share(f"max_null_share[{column}]", round(facts["null_share"][column] * rows_in), rows_in, limit,
                    f"of all rows have no {column}")


def last_day_findings(facts: dict[str, Any], limits: ValidateConfig) -> Iterator[Finding]:
    """What the last day is made of: not too much that was never seen before, no item that drowns the others."""
    date = max(facts["days"])
    day, rows = facts["days"][date], facts["rows_by_date"][date]
    top = list(day["top_items"].items())[:EXAMPLES]
    examples = tuple({"date": date, "item_id": name, "rows": count} for name, count in top)
    yield share("max_new_item_share", day["rows_new_items"], rows, limits.max_new_item_share,
                f"of the rows of {date} are on items that no day of the window had before")
    yield share("max_top_item_share", top[0][1] if top else 0, rows, limits.max_top_item_share,
                f"of the rows of {date} are on one item", examples)


def day_finding(log: LogConfig, facts: dict[str, Any], limits: ValidateConfig) -> Finding:
    """The poorest of the last `day_ratio_days` days against the median day, counting modelled surfaces only.

    Only days with such rows make the median: days from before a surface was logged would pull it to nothing, and the
    rule would pass whatever is missing. They are judged all the same if they are recent.
    """
    rows = {date: sum(by_surface[name] for name in log.surfaces)
            for date, by_surface in facts["rows_by_date_and_surface"].items()}
    median = averages.median([count for count in rows.values() if count] or [0])
    recent = sorted(rows)[-limits.day_ratio_days:]
    worst = min(recent, key=lambda date: rows[date])
    ratio = rows[worst] / median if median else 1.0
    return Finding("min_day_ratio", ratio, limits.min_day_ratio, ratio >= limits.min_day_ratio,
                   f"{worst} has {rows[worst]} rows on modelled surfaces, {ratio:.2f} of the median day's {median:g} "
                   f"(at least {limits.min_day_ratio:g}); check that the day's log is complete",
                   () if ratio >= limits.min_day_ratio else tuple(
                       {"date": date, "rows": rows[date], "median": median}
                       for date in sorted(recent, key=lambda date: rows[date])[:EXAMPLES]
                       if rows[date] < limits.min_day_ratio * median))


def surface_findings(log: LogConfig, facts: dict[str, Any], limits: ValidateConfig) -> Iterator[Finding]:
    """Enough positive engagements to train on, per modelled surface."""
    for name in log.surfaces:
        yield at_least(f"min_surface_positives[{name}]", facts["engagements_in_training_by_surface"][name],
                       limits.min_surface_positives, f"positive engagements on {name!r} in the training window")


def _of_every_reason(examples: dict[str, list[dict[str, Any]]]) -> tuple[dict[str, Any], ...]:
    """Quarantined rows, the first of every reason before the second of any."""
    return tuple(row for rows in zip_longest(*examples.values()) for row in rows if row)
