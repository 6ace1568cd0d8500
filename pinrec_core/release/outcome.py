"""What became of one rule: the outcome, the numbers behind it, and one sentence for a person."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from pinrec_core.config import Level

FLOOR_RULE = "floor"
LIVE_RULE, BASELINE_RULE, SLICE_RULE = "change_against_live", "beats_baseline", "max_drop_per_slice"
COMPARISON_RULES = frozenset({LIVE_RULE, BASELINE_RULE, SLICE_RULE})  # what a forced promotion may waive; nothing else


class Outcome(StrEnum):
    """What became of one rule."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"  # these users cannot tell; its rule's `undecided` says whether that passes
    NO_BASELINE = "no_baseline"  # there is no live release to compare with; floors alone decide


class RuleResult(BaseModel):
    """One rule on one metric of one surface or slice. Numbers that do not exist or are not finite are None."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    rule: str
    level: Level = Level.ERROR
    metric: str = ""  # "" = the rule is about the surface as a whole
    slice: str = ""  # kind and name of the part of the targets it is about, "" = all of them
    observed: float | None = None
    limit: float | None = None
    low: float | None = None  # interval of the observed value
    high: float | None = None
    n: int | None = None  # users behind the observed value; where the sentence says so: lists, items, checks
    outcome: Outcome
    passed: bool
    sentence: str  # names surface, metric, observed value, limit, interval and n

    @property
    def rejects(self) -> bool:
        """Whether its surface is rejected for it."""
        return not self.passed and self.level is Level.ERROR

    @property
    def word(self) -> str:
        """The outcome for a person: a failure that is only told is "warned" of."""
        return self.outcome.value if self.passed or self.rejects else "warned"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.outcome is not Outcome.UNDECIDED and self.passed != (self.outcome is not Outcome.FAILED):
            raise ValueError(f"rule {self.rule!r}: passed {self.passed} contradicts its outcome {self.outcome.value!r}")
        return self


def told(surface: str, rules: Iterable[RuleResult]) -> list[RuleResult]:
    """Results as a person wants them: slices that pass, of which there are many, as one for each metric and outcome."""
    singly: list[RuleResult] = []
    slices: dict[tuple[str, Outcome], list[str]] = {}
    for rule in rules:
        if rule.slice and rule.passed:
            slices.setdefault((rule.metric, rule.outcome), []).append(rule.slice)
        else:
            singly.append(rule)
    return singly + [RuleResult(rule=SLICE_RULE, metric=metric, outcome=outcome, passed=True, sentence=f"{surface} "
                                f"{metric} {_FOLDED[outcome]} on {len(names)} slices: {', '.join(names)}")
                     for (metric, outcome), names in slices.items()]


_FOLDED = {Outcome.PASSED: "holds", Outcome.UNDECIDED: "is undecided, which passes,"}
