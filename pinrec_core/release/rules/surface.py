"""All rules of one surface, in the order a reader wants them."""

from __future__ import annotations

from pinrec_core.config import Floor, GateConfig, Level, Rules
from pinrec_core.release.evidence import DataChecks, Evidence
from pinrec_core.release.outcome import RuleResult
from pinrec_core.release.rules.comparisons import beats_baseline, change_against_live, max_drop_per_slice
from pinrec_core.release.rules.floors import finite, floor, min_users, no_floor, surface_evaluated
from pinrec_core.release.rules.health import coverage, data_health, embedding_health
from pinrec_core.release.rules.judged import Subject


def surface_rules(surface: str, evidence: Evidence | None, gate: GateConfig,
                  checks: DataChecks | None) -> tuple[RuleResult, ...]:
    """Results of every rule that is configured for a surface; only what is missing altogether ends them early."""
    floors, rules = gate.floors.get(surface) or {}, gate.rules_of(surface)
    results = [surface_evaluated(surface, evidence)]
    if evidence is None:
        return tuple(results)
    if all(limit.level is Level.WARN for limit in floors.values()):
        return (*results, no_floor(surface))
    for metric, limit in floors.items():
        results += metric_rules(Subject(surface, metric), evidence, limit, rules, gate.min_users)
    if rules.max_drop_per_slice:
        results += max_drop_per_slice(surface, floors, evidence.live, rules.max_drop_per_slice, gate.min_users)
    if rules.coverage:
        results += coverage(evidence, rules.coverage)
    if rules.embedding_health:
        results += embedding_health(evidence, rules.embedding_health)
    if rules.data_health:
        results.append(data_health(evidence, checks, rules.data_health))
    return tuple(results)


def metric_rules(subject: Subject, evidence: Evidence, limit: Floor, rules: Rules,
                 least_users: int) -> list[RuleResult]:
    """The rules of one metric; a metric that is missing or not finite fails once and is judged no further."""
    statistic = evidence.metrics.get(subject.metric)
    number = finite(subject, statistic)
    if statistic is None or not number.passed:
        return [number]
    results = [number, min_users(subject, statistic, least_users), floor(subject, statistic, limit),
               change_against_live(subject, evidence.live, rules.change_against_live, least_users)]
    if rules.beats_baseline:
        results += beats_baseline(subject, evidence, rules.beats_baseline, least_users)
    return results
