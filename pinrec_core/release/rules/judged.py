"""How a rule puts its result: what it is about, which numbers it shows, and in how many digits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pinrec_core.config import Level
from pinrec_core.release.evidence import Statistic
from pinrec_core.release.outcome import Outcome, RuleResult


class Subject(NamedTuple):
    """What a rule is about; as text it opens the rule's sentence."""

    surface: str
    metric: str = ""
    slice: str = ""  # kind and name

    def __str__(self) -> str:
        return f"{self.surface} {self.metric}".rstrip() + (f" ({self.slice})" if self.slice else "")


def judged(rule: str, subject: Subject, passed: bool, sentence: str, **numbers: Any) -> RuleResult:
    """A result that passed or failed; `sentence` goes on where the subject ends. `numbers` as `_result` takes them."""
    return _result(rule, subject, Outcome.PASSED if passed else Outcome.FAILED, passed, sentence, **numbers)


def undecided(rule: str, subject: Subject, passed: bool, sentence: str, **numbers: Any) -> RuleResult:
    """A result these users cannot decide; `passed` is what the configuration makes of that."""
    meaning = "undecided, which passes" if passed else "undecided, which does not pass"
    return _result(rule, subject, Outcome.UNDECIDED, passed, f"{sentence}: {meaning}", **numbers)


def no_baseline(rule: str, subject: Subject) -> RuleResult:
    """A result for want of a live release, as in the first run."""
    return _result(rule, subject, Outcome.NO_BASELINE, True,
                   "has no live release to be compared with; floors alone decide")


def _result(rule: str, subject: Subject, outcome: Outcome, passed: bool, sentence: str, *,
            level: Level = Level.ERROR, statistic: Statistic | None = None, limit: float | None = None) -> RuleResult:
    """Every number that is not finite becomes None, so that verdict.json stays plain JSON."""
    statistic = statistic or Statistic()
    value, low, high = (x if is_finite(x) else None for x in (statistic.value, statistic.low, statistic.high))
    return RuleResult(rule=rule, level=level, metric=subject.metric, slice=subject.slice, observed=value, limit=limit,
                      low=low, high=high, n=statistic.n, outcome=outcome, passed=passed,
                      sentence=f"{subject} {sentence}")


def is_finite(*values: float | None) -> bool:
    """Whether all numbers are there and finite."""
    return all(value is not None and math.isfinite(value) for value in values)


def pair(first: float, second: float) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to tell them apart, at least 3; whole numbers without any."""
    if first == int(first) and second == int(second) and max(abs(first), abs(second)) > 1:
        return f"{first:.0f}", f"{second:.0f}"
    for digits in range(3, 9):
        texts = f"{first:.{digits}f}", f"{second:.{digits}f}"
        if texts[0] != texts[1] or first == second:
            break
    return (f"{first:.3f}", f"{second:.3f}") if first == second else texts
