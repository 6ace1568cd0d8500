"""What a forced promotion may overlook: that a candidate does worse than something else. Never a floor, never a check.

A release that failed comparisons alone can be built (`pinrec build-index --force`) and promoted (`pinrec registry
promote --force --reason TEXT`); everything else is demanded of it as of any other.
"""

from __future__ import annotations

from pinrec_core.config import Policy
from pinrec_core.release.outcome import COMPARISON_RULES
from pinrec_core.release.verdict import Decision, SurfaceVerdict, Verdict, decide_surface


def passing(judged: Verdict, forced: bool) -> list[str]:
    """The surfaces that a verdict lets through; `forced` overlooks comparisons. None under policy all unless all do."""
    good = [s for s, verdict in sorted(judged.surfaces.items()) if _passes(verdict, forced)]
    return [] if judged.policy is Policy.ALL and len(good) < len(judged.surfaces) else good


def reasons(judged: Verdict, forced: bool) -> list[str]:
    """Why a verdict does not let everything through."""
    return [sentence for s in sorted(judged.surfaces) for sentence in surface_reasons(judged.surfaces[s], forced)]


def surface_reasons(verdict: SurfaceVerdict, forced: bool) -> list[str]:
    """Why it does not let a surface through; [] if it does."""
    if _passes(verdict, forced):
        return []
    overlooked = set(overlooked_by_force(verdict)) if forced else set()
    return [sentence for sentence in verdict.reasons if sentence not in overlooked]


def overlooked_by_force(verdict: SurfaceVerdict) -> list[str]:
    """Sentences of the failed comparisons."""
    return [rule.sentence for rule in verdict.rules if rule.rule in COMPARISON_RULES and rule.rejects]


def _passes(verdict: SurfaceVerdict, forced: bool) -> bool:
    if not forced:
        return verdict.decision is Decision.PROMOTE
    others = tuple(rule for rule in verdict.rules if rule.rule not in COMPARISON_RULES)
    return decide_surface(others, verdict.evaluation_fingerprint) is Decision.PROMOTE
