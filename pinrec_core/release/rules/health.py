"""What no recall shows: lists that have few items, vectors that fall together, data that was odd."""

from __future__ import annotations

from pinrec_core.config import CoverageRule, DataHealth, EmbeddingHealth
from pinrec_core.release.evidence import DataChecks, Evidence, Statistic
from pinrec_core.release.outcome import RuleResult
from pinrec_core.release.rules.judged import Subject, is_finite, judged, pair

_WHAT = {"coverage": "of the items in some list", "distinct": "different items in all lists"}


def coverage(evidence: Evidence, rule: CoverageRule) -> list[RuleResult]:
    """Share of the catalogue, or number of different items, that the lists of all requests have together."""
    results = []
    for metric, least in rule.least.items():
        subject, statistic = Subject(evidence.surface, metric), evidence.metrics.get(metric)
        if statistic is None or not is_finite(statistic.value):
            results.append(judged("coverage", subject, False, "is not in the evaluation; rerun evaluate with its "
                                  "cut-off in evaluation.ks", level=rule.level, statistic=statistic, limit=least))
            continue
        observed, limit = pair(statistic.value, least)
        what = _WHAT.get(metric.partition("@")[0], "")
        results.append(judged("coverage", subject, statistic.value >= least, f"{observed} {what} (n = {statistic.n} "
                              f"lists), at least {limit} wanted", level=rule.level, statistic=statistic, limit=least))
    return results


def embedding_health(evidence: Evidence, rule: EmbeddingHealth) -> list[RuleResult]:
    """Vectors must use enough directions, and few may lie on top of each other."""
    found, subject = evidence.embedding, Subject(evidence.surface, "item vectors")
    if found is None or not is_finite(found.effective_rank, found.duplicate_share):
        return [judged("embedding_health", subject, False, "were not measured, or are not finite; rerun evaluate",
                       level=rule.level)]
    rank, share = (Statistic(value=value, n=found.items) for value in (found.effective_rank, found.duplicate_share))
    return [
        judged("embedding_health", subject._replace(metric="effective_rank"), rank.value >= rule.min_effective_rank,
               f"{rank.value:.1f} of {found.dimension} directions (n = {rank.n} items), at least "
               f"{rule.min_effective_rank:g} wanted", level=rule.level, statistic=rank, limit=rule.min_effective_rank),
        judged("embedding_health", subject._replace(metric="duplicate_share"), share.value <= rule.max_duplicate_share,
               f"{share.value:.3f} of the item vectors (n = {share.n}) have a near double, at most "
               f"{rule.max_duplicate_share:g} allowed", level=rule.level, statistic=share,
               limit=rule.max_duplicate_share)]


def data_health(evidence: Evidence, checks: DataChecks | None, rule: DataHealth) -> RuleResult:
    """How many checks of validate_data the evaluated dataset did not pass; its errors have stopped the run before."""
    subject = Subject(evidence.surface, "data")
    if checks is None or checks.dataset_fingerprint != evidence.dataset_fingerprint:
        what = f"of dataset {checks.dataset_fingerprint[:12]}" if checks else "not there"
        return judged("data_health", subject, False, f"cannot be judged: the validation is {what}, evaluated was "
                      f"dataset {evidence.dataset_fingerprint[:12]}; pass what validate_data wrote for it",
                      level=rule.level, limit=rule.max_warnings)
    warned = [check for check in checks.rules if not check.passed]
    told = "".join(f"; {check.rule}: {check.sentence}" for check in warned)
    return judged("data_health", subject, len(warned) <= rule.max_warnings, f"{len(warned)} of n = {len(checks.rules)} "
                  f"checks warned, at most {rule.max_warnings} may{told}", level=rule.level,
                  statistic=Statistic(value=len(warned), n=len(checks.rules)), limit=rule.max_warnings)
