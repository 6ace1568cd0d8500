"""The rules a candidate must pass, each a pure function from numbers to a RuleResult with one sentence.

Everything fails closed: a missing metric, a NaN, too few users, a surface without a floor or without an evaluation.
"""

from __future__ import annotations

import math

from pinrec_core.config import GateConfig
from pinrec_core.release.evidence import Evidence, LiveComparison, Statistic
from pinrec_core.release.verdict import FLOOR_RULE, Outcome, RuleResult


def surface_rules(surface: str, evidence: Evidence | None, gate: GateConfig) -> tuple[RuleResult, ...]:
    """All rules of one surface, in the order a reader wants them."""
    floors = gate.floors.get(surface) or {}
    if evidence is None:
        return (surface_evaluated(surface, None),)
    if not floors:
        return (surface_evaluated(surface, evidence), has_floor(surface))
    results = [surface_evaluated(surface, evidence)]
    for metric, limit in floors.items():
        results += metric_rules(surface, metric, evidence, limit, gate)
    return tuple(results)


def metric_rules(surface: str, metric: str, evidence: Evidence, limit: float, gate: GateConfig) -> list[RuleResult]:
    """The rules of one metric; a metric that is missing or not finite fails once and is judged no further."""
    statistic = evidence.metrics.get(metric)
    number = finite(surface, metric, statistic)
    if statistic is None or not number.passed:
        return [number]
    return [number, min_users(surface, metric, statistic, gate.min_users), floor(surface, metric, statistic, limit),
            change_against_live(surface, metric, evidence.live, gate)]


def surface_evaluated(surface: str, evidence: Evidence | None) -> RuleResult:
    """A surface with a floor must have been evaluated."""
    if evidence is None:
        return _result("surface_evaluated", "", False, f"{surface} has a floor but no evaluation, so nothing shows "
                       "that its candidate is good; run evaluate for it or remove its floor")
    return _result("surface_evaluated", "", True, f"{surface} was evaluated")


def has_floor(surface: str) -> RuleResult:
    """A surface without a floor is never promoted."""
    return _result("has_floor", "", False, f"{surface} was evaluated but has no floor; set gate.floors.{surface}")


def finite(surface: str, metric: str, statistic: Statistic | None) -> RuleResult:
    """The metric must be there and be a finite number."""
    if statistic is None:
        return _result("finite", metric, False, f"{surface} {metric} is missing from the evaluation; "
                       "add its cut-off to evaluation.ks or remove its floor")
    good = _is_finite(statistic.value)
    shown = _text(statistic.value) if good else statistic.value
    text = f"{surface} {metric} is {'a' if good else 'not a'} finite number: {shown} (n = {statistic.n})"
    return _result("finite", metric, good, text, statistic)


def min_users(surface: str, metric: str, statistic: Statistic, limit: int) -> RuleResult:
    """The metric must rest on at least `limit` users."""
    good = statistic.n is not None and statistic.n >= limit
    verb = "rests on" if good else "rests on only"
    text = f"{surface} {metric} {_text(statistic.value)} {verb} n = {statistic.n or 0} users, at least {limit} needed"
    return _result("min_users", metric, good, text, Statistic(value=statistic.n, n=statistic.n), limit)


def floor(surface: str, metric: str, statistic: Statistic, limit: float) -> RuleResult:
    """The metric must reach its floor; equal is enough."""
    good = statistic.value >= limit
    observed, least = _pair(statistic.value, limit)
    relation = "reaches" if good else "is below"
    text = f"{surface} {metric} {observed} (n = {statistic.n or 0}) {relation} its floor {least}"
    return _result(FLOOR_RULE, metric, good, text, statistic, limit)


def change_against_live(surface: str, metric: str, live: LiveComparison | None, gate: GateConfig) -> RuleResult:
    """Fails when the paired interval of candidate - live lies wholly below -max_drop * live value.

    The same when the comparison itself is missing, not finite, or over too few users.
    """
    rule = "change_against_live"
    if live is None:
        return RuleResult(rule=rule, metric=metric, outcome=Outcome.NO_BASELINE, passed=True,
                          sentence=f"{surface} {metric} has no live release to be compared with; floors alone decide")
    base, difference = live.metrics.get(metric, Statistic()), live.difference.get(metric, Statistic())
    numbers = (base.value, difference.value, difference.low, difference.high)
    if not all(_is_finite(number) for number in numbers):
        return _result(rule, metric, False, f"{surface} {metric} cannot be compared with live release "
                       f"{live.release_id[:12]}: live {base.value}, difference {difference.value} "
                       f"[{difference.low}, {difference.high}]; rerun evaluate", difference)
    if (difference.n or 0) < gate.min_users:
        return _result(rule, metric, False, f"{surface} {metric} is compared with live release {live.release_id[:12]} "
                       f"over only n = {difference.n or 0} users, at least {gate.min_users} are needed", difference)
    return _judge_change(surface, metric, base.value, difference, gate.max_drop, live.release_id)


def _judge_change(surface: str, metric: str, live_value: float, difference: Statistic, max_drop: float,
                  release_id: str) -> RuleResult:
    limit = -max_drop * live_value
    good = difference.high >= limit
    candidate, live = _pair(live_value + difference.value, live_value)
    relation = "is not shown to drop" if good else "drops"
    text = (f"{surface} {metric} {candidate} against {live} of live release {release_id[:12]}: difference "
            f"{difference.value:+.4f}, interval [{difference.low:+.4f}, {difference.high:+.4f}] (n = {difference.n}) "
            f"{relation} by more than {max_drop:.1%} of live ({limit:+.4f})")
    return _result("change_against_live", metric, good, text, difference, limit)


def _result(rule: str, metric: str, passed: bool, sentence: str, statistic: Statistic | None = None,
            limit: float | None = None) -> RuleResult:
    """A RuleResult with every number that is not finite set to None, so that verdict.json stays plain JSON."""
    statistic = statistic or Statistic()
    value, low, high = (x if _is_finite(x) else None for x in (statistic.value, statistic.low, statistic.high))
    return RuleResult(rule=rule, metric=metric, observed=value, limit=limit, low=low, high=high, n=statistic.n,
                      outcome=Outcome.PASSED if passed else Outcome.FAILED, passed=passed, sentence=sentence)


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _text(value: float) -> str:
    return f"{value:.3f}"


def _pair(first: float, second: float) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart, at least 3."""
    for digits in range(3, 9):
        texts = f"{first:.{digits}f}", f"{second:.{digits}f}"
        if texts[0] != texts[1] or first == second:
            break
    return (f"{first:.3f}", f"{second:.3f}") if first == second else texts
