"""What every surface owes: an evaluation, a floor that can reject, numbers that can be trusted, and the floor reached.

These are never warnings, but for the floor itself where it is configured so.
"""

from __future__ import annotations

from pinrec_core.config import Floor
from pinrec_core.release.evidence import Evidence, Statistic
from pinrec_core.release.outcome import FLOOR_RULE, RuleResult
from pinrec_core.release.rules.judged import Subject, is_finite, judged, pair


def surface_evaluated(surface: str, evidence: Evidence | None) -> RuleResult:
    """A surface with a floor must have been evaluated."""
    return judged("surface_evaluated", Subject(surface), evidence is not None, "was evaluated" if evidence else
                  "has a floor but no evaluation, so nothing shows that its candidate is good; run evaluate for it or "
                  "remove its floor")


def no_floor(surface: str) -> RuleResult:
    """A surface without a floor that can reject is never promoted."""
    return judged("has_floor", Subject(surface), False,
                  f"was evaluated but has no floor of level error; set gate.floors.{surface}")


def finite(subject: Subject, statistic: Statistic | None) -> RuleResult:
    """The metric must be there and be a finite number."""
    if statistic is None:
        return judged("finite", subject, False, "is missing from the evaluation; add its cut-off to evaluation.ks or "
                      "remove its floor")
    good = is_finite(statistic.value)
    shown = f"{statistic.value:.3f}" if good else statistic.value
    return judged("finite", subject, good, f"is {'a' if good else 'not a'} finite number: {shown} (n = {statistic.n})",
                  statistic=statistic)


def min_users(subject: Subject, statistic: Statistic, limit: int) -> RuleResult:
    """The metric must rest on at least `limit` users."""
    good = statistic.n is not None and statistic.n >= limit
    return judged("min_users", subject, good, f"{statistic.value:.3f} {'rests on' if good else 'rests on only'} n = "
                  f"{statistic.n or 0} users, at least {limit} needed",
                  statistic=Statistic(value=statistic.n, n=statistic.n), limit=limit)


def floor(subject: Subject, statistic: Statistic, limit: Floor) -> RuleResult:
    """The metric must reach its floor; equal is enough."""
    good = statistic.value >= limit.least
    observed, least = pair(statistic.value, limit.least)
    return judged(FLOOR_RULE, subject, good, f"{observed} (n = {statistic.n or 0}) "
                  f"{'reaches' if good else 'is below'} its floor {least}", level=limit.level, statistic=statistic,
                  limit=limit.least)
