"""The candidate against something else on the same users: the live release, baselines, the live release on slices.

What is judged is the paired interval of the difference, which evaluate made by resampling users, and never the point:

    interval wholly below the limit      failed: shown to be worse than the tolerance allows
    interval wholly above or at it       passed: shown not to be
    limit inside the interval            undecided: these users cannot tell; the configuration says what then

The limit is -tolerance * the other's value.
"""

from __future__ import annotations

from collections.abc import Iterable

from pinrec_core.config import BeatsBaseline, ComparisonRule, MaxDropPerSlice, Undecided
from pinrec_core.release.evidence import Comparison, Evidence, LiveComparison, Statistic
from pinrec_core.release.outcome import BASELINE_RULE, LIVE_RULE, SLICE_RULE, RuleResult
from pinrec_core.release.rules.judged import Subject, is_finite, judged, no_baseline, pair, undecided


def change_against_live(subject: Subject, live: LiveComparison | None, rule: ComparisonRule,
                        least_users: int) -> RuleResult:
    """One metric against the live release."""
    if live is None:
        return no_baseline(LIVE_RULE, subject)
    return compare(LIVE_RULE, subject, _name(live), live, rule, least_users)


def beats_baseline(subject: Subject, evidence: Evidence, rule: BeatsBaseline, least_users: int) -> list[RuleResult]:
    """One metric against each baseline of the rule."""
    results = []
    for name in rule.baselines:
        found = evidence.baselines.get(name)
        results.append(compare(BASELINE_RULE, subject, f"baseline {name}", found, rule, least_users) if found else
                       judged(BASELINE_RULE, subject, False, f"cannot be compared with baseline {name}: the evaluation "
                              "does not have it; rerun evaluate", level=rule.level))
    return results


def max_drop_per_slice(surface: str, metrics: Iterable[str], live: LiveComparison | None, rule: MaxDropPerSlice,
                       least_users: int) -> list[RuleResult]:
    """Every metric against the live release on every slice that has users."""
    if live is None:
        return [no_baseline(SLICE_RULE, Subject(surface))]
    results = []
    for kind in rule.slices:
        limits, slices = rule.limits(kind), live.slices.get(kind)
        if not slices:
            results.append(judged(SLICE_RULE, Subject(surface, slice=kind), False, f"cannot be compared with "
                                  f"{_name(live)}: the evaluation has no such slices; rerun evaluate",
                                  level=limits.level))
        for name, found in (slices or {}).items():
            results += [_slice(Subject(surface, metric, f"{kind} {name}"), _name(live), found, limits, least_users)
                        for metric in metrics if not _is_empty(found, metric)]
    return results


def compare(name: str, subject: Subject, other: str, found: Comparison, rule: ComparisonRule,
            least_users: int) -> RuleResult:
    """Judge one paired difference. Fails also if it is missing, not finite, or of too few users."""
    base, difference = _numbers(found, subject.metric)
    if not is_finite(base.value, difference.value, difference.low, difference.high):
        return judged(name, subject, False, f"cannot be compared with {other}: its value is {base.value}, the "
                      f"difference {difference.value} [{difference.low}, {difference.high}]; rerun evaluate",
                      level=rule.level, statistic=difference)
    if (difference.n or 0) < least_users:
        return judged(name, subject, False, f"is compared with {other} over only n = {difference.n or 0} users, at "
                      f"least {least_users} are needed", level=rule.level, statistic=difference)
    return _by_interval(name, subject, other, base.value, difference, rule)


def _by_interval(name: str, subject: Subject, other: str, base: float, difference: Statistic,
                 rule: ComparisonRule) -> RuleResult:
    limit = 0.0 - rule.tolerance * base  # never -0.0
    numbers = {"level": rule.level, "statistic": difference, "limit": limit}
    mine, theirs = pair(base + difference.value, base)
    told = (f"{mine} against {theirs} of {other}: difference {difference.value:+.4f}, interval "
            f"[{difference.low:+.4f}, {difference.high:+.4f}] (n = {difference.n}) ")
    told_limit = f"the limit {limit:+.4f} ({rule.tolerance:.1%} of {theirs})"
    if difference.high < limit:
        return judged(name, subject, False, f"{told}lies below {told_limit}", **numbers)
    if difference.low >= limit:
        return judged(name, subject, True, f"{told}does not reach below {told_limit}", **numbers)
    return undecided(name, subject, rule.undecided is Undecided.PROMOTE, f"{told}lies on both sides of {told_limit}",
                     **numbers)


def _slice(subject: Subject, other: str, found: Comparison, rule: ComparisonRule, least_users: int) -> RuleResult:
    """A slice of few users is no fault of the candidate: undecided, where a whole surface would fail."""
    difference = _numbers(found, subject.metric)[1]
    if difference.n is not None and difference.n < least_users:
        return undecided(SLICE_RULE, subject, rule.undecided is Undecided.PROMOTE, f"is compared with {other} over "
                         f"only n = {difference.n} users, at least {least_users} are needed", level=rule.level,
                         statistic=difference)
    return compare(SLICE_RULE, subject, other, found, rule, least_users)


def _numbers(found: Comparison, metric: str) -> tuple[Statistic, Statistic]:
    """The other's value and the difference to it."""
    return found.metrics.get(metric, Statistic()), found.difference.get(metric, Statistic())


def _is_empty(found: Comparison, metric: str) -> bool:
    return _numbers(found, metric)[1].n == 0


def _name(live: LiveComparison) -> str:
    return f"live release {live.release_id[:12]}"
