"""[evaluation] and [gate]: what is measured and what a candidate must reach."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from pinrec_core.config.section import Positive, Section, Share


class EvaluationConfig(Section):
    """What evaluate measures."""

    ks: tuple[Positive, ...] = (10, 50, 100)  # cut-offs of recall, hit rate and unordered recall
    max_users: int = Field(default=0, ge=0)  # at most this many users per surface, seeded sample; 0 = all
    recent_days: Positive = 2  # half-life of an engagement in the recent own-surface popularity baseline
    cooccurrence_half_life_days: float = Field(default=0.0, ge=0)  # the same of the co-occurrence baselines; 0 = none
    bootstrap_samples: Positive = 1000  # resamples of users behind each interval
    confidence: float = Field(default=0.95, gt=0, lt=1)  # level of the intervals
    seed: int = 0


class Policy(StrEnum):
    """When aliases move."""

    ALL = "all"  # none moves unless every surface passes
    EACH = "each"  # each surface that passes moves


class GateConfig(Section):
    """Rules a candidate must pass. Floors are required for every modelled surface: no threshold, no blessing."""

    floors: dict[str, dict[str, float]]  # surface -> metric (as in evaluation.json, e.g. "recall@50") -> least value
    min_users: Positive = 50  # a metric over fewer users decides nothing: the surface fails closed
    max_drop: Share = 0.02  # largest relative drop against the live release, judged on the paired interval
    policy: Policy = Policy.ALL
    fail_on_reject: bool = True  # the reject step fails, so that a rejected run is visible as such
