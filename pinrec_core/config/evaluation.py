"""[evaluation]: what is measured."""

from __future__ import annotations

from pydantic import Field

from pinrec_core.config.section import Positive, Section


class EvaluationConfig(Section):
    """What evaluate measures."""

    ks: tuple[Positive, ...] = (10, 50, 100)  # cut-offs of recall, hit rate and unordered recall
    max_users: int = Field(default=0, ge=0)  # at most this many users per surface, seeded sample; 0 = all
    recent_days: Positive = 2  # half-life of an engagement in the recent own-surface popularity baseline
    cooccurrence_half_life_days: float = Field(default=0.0, ge=0)  # the same of the co-occurrence baselines; 0 = none
    bootstrap_samples: Positive = 1000  # resamples of users behind each interval
    confidence: float = Field(default=0.95, gt=0, lt=1)  # level of the intervals
    seed: int = 0  # of the sample of users and the bootstrap
