"""The rules of validate_data that need only the manifest and the statistics of a dataset.

Each rule gives one Finding: what was observed, the limit, whether it holds, and a sentence a person can act on.
"""

from __future__ import annotations

import statistics as averages
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pinrec_core.config import LogConfig, ValidateConfig
from pinrec_core.manifest import Manifest


@dataclass(frozen=True)
class Finding:
    """One rule's outcome, as it stands in validation.json."""

    rule: str
    observed: float
    limit: float
    passed: bool
    sentence: str
    example: Any = None  # an offending row, if there is one

    def as_json(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)


def count_findings(manifest: Manifest, facts: dict[str, Any], limits: ValidateConfig) -> Iterator[Finding]:
    """Enough events, users and items; not too many rows set aside. `facts` is statistics.json."""
    counts = manifest.counts
    yield _at_least("min_events", counts["rows_kept"], limits.min_events, "usable event rows")
    yield _at_least("min_users", facts["users_engaged"], limits.min_users, "users with a positive engagement")
    yield _at_least("min_items", facts["items_engaged"], limits.min_items, "items engaged with")
    examples = [row for rows in facts["quarantine_examples"].values() for row in rows]
    reasons = {reason: count for reason, count in facts["quarantined_by_reason"].items() if count}
    yield _share("max_quarantined_share", counts["rows_quarantined"], counts["rows_in"], limits.max_quarantined_share,
                 f"of all rows were quarantined {reasons or ''}", examples[0] if examples else None)
    yield _share("max_duplicate_share", counts["rows_duplicate"], counts["rows_in"], limits.max_duplicate_share,
                 "of all rows are exact duplicates")
    yield _share("max_uncatalogued_share", facts["items_engaged_uncatalogued"], facts["items_engaged"],
                 limits.max_uncatalogued_share, "of the items engaged with are not in the catalog",
                 {"item_id": facts["uncatalogued_examples"]})


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
                   {"date": worst, "rows": rows[worst], "median": median})


def surface_findings(log: LogConfig, facts: dict[str, Any], limits: ValidateConfig) -> Iterator[Finding]:
    """Enough positive engagements to train on, per modelled surface."""
    for name in log.surfaces:
        yield _at_least(f"min_surface_positives[{name}]", facts["engagements_in_training_by_surface"][name],
                        limits.min_surface_positives, f"positive engagements on {name!r} in the training window")


def _at_least(rule: str, observed: int, limit: int, what: str) -> Finding:
    return Finding(rule, observed, limit, observed >= limit, f"{observed} {what} (at least {limit})")


def _share(rule: str, part: int, whole: int, limit: float, what: str, example: Any = None) -> Finding:
    """A share with an empty whole is 0: nothing was found wrong in nothing; the count rules judge emptiness."""
    share = part / whole if whole else 0.0
    return Finding(rule, share, limit, share <= limit, f"{share:.4f} ({part} of {whole}) {what} (at most {limit:g})",
                   None if share <= limit else example)
