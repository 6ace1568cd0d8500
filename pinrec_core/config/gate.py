"""[gate]: the rules a candidate must pass before it may be promoted. docs/gate.md says what each can and cannot tell.

    [gate.floors]                                     # every surface needs one whose failure rejects
    home = { "recall@50" = 0.25, "hit_rate@10" = { least = 0.6, level = "warn" } }

    [gate.rules.change_against_live]                  # always judged; here with another tolerance
    tolerance = 0.01

    [gate.rules.beats_baseline]                       # the others are judged where they are named
    level = "warn"

    [gate.surfaces.search.beats_baseline]             # what differs on one surface
    level = "error"
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pinrec_core.config.section import Level, Positive, Section, Share
from pinrec_core.errors import explain

Baseline = Literal["popularity", "surface_popularity", "recent_surface_popularity", "recent_surface_exposure",
                   "last_item_neighbour", "cooccurrence", "cooccurrence_x_recent"]
SliceKind = Literal["activity", "item_age", "action", "split"]


class Policy(StrEnum):
    """When aliases move."""

    ALL = "all"  # none moves unless every surface passes
    EACH = "each"  # each surface that passes moves


class Undecided(StrEnum):
    """What becomes of a comparison that these users cannot decide: its interval has the limit inside."""

    PROMOTE = "promote"  # passes: rejected is only what is shown to be worse
    REJECT = "reject"  # fails: promoted is only what is shown to be good enough


class OnReject(StrEnum):
    """How the reject step ends; `pinrec run` exits with 3 in either case."""

    FAIL = "fail"  # so that a rejected run is visible as such
    SUCCEED = "succeed"


class Rule(Section):
    """What all rules share."""

    level: Level = Level.ERROR


class Floor(Rule):
    """The least value of one metric; a bare number is one whose failure rejects."""

    least: float  # the value itself passes

    @model_validator(mode="before")
    @classmethod
    def _bare_number(cls, value: Any) -> Any:
        return {"least": value} if isinstance(value, int | float) else value


class ComparisonRule(Rule):
    """A difference of the candidate to something else, paired by user, judged by its whole interval.

    It fails when the interval lies wholly below the limit, passes when wholly above, and is undecided otherwise.
    """

    tolerance: Share = 0.0  # the limit is this share of the other's value below it
    undecided: Undecided = Undecided.PROMOTE


class ChangeAgainstLive(ComparisonRule):
    """Every metric with a floor, against the live release on the same users."""

    tolerance: Share = 0.02


class BeatsBaseline(ComparisonRule):
    """Every metric with a floor, against untrained lists for the same users."""

    # names of rows of the evaluation; the candidate must beat every one
    baselines: tuple[Baseline, ...] = Field(default=("popularity", "cooccurrence"), min_length=1)


class SliceLimits(Section):
    """What differs on one kind of slice; None = as the rule has it."""

    level: Level | None = None
    tolerance: Share | None = None  # the limit is this share of the live release's value below it


class MaxDropPerSlice(ComparisonRule):
    """Every metric with a floor, against the live release on parts of the targets.

    A slice with fewer than `gate.min_users` users is undecided; one without any is left out.
    """

    tolerance: Share = 0.1
    slices: dict[SliceKind, SliceLimits] = Field(default={  # the split "heldout" are the new users
        "activity": SliceLimits(), "item_age": SliceLimits(), "action": SliceLimits(), "split": SliceLimits()},
        min_length=1)

    def limits(self, kind: str) -> ComparisonRule:
        """How slices of one kind are judged."""
        own = self.slices[kind]
        return ComparisonRule(level=own.level or self.level, undecided=self.undecided,
                              tolerance=self.tolerance if own.tolerance is None else own.tolerance)


class CoverageRule(Rule):
    """How much of the catalogue the lists of all evaluated requests have."""

    least: dict[str, float] = Field(min_length=1)  # "coverage@50": share of items; "distinct@50": number of items


class EmbeddingHealth(Rule):
    """Whether the item vectors still tell items apart."""

    min_effective_rank: float = Field(ge=1)  # of at most model.item_dim: directions the vectors really use
    max_duplicate_share: Share = 0.05  # items with another whose vector is nearly the same


class DataHealth(Rule):
    """What validate_data warned of; its errors have stopped the run before."""

    max_warnings: int = Field(default=0, ge=0)  # more of them fail the rule


class Rules(Section):
    """The rules beside floors; None = not judged."""

    change_against_live: ChangeAgainstLive = ChangeAgainstLive()
    beats_baseline: BeatsBaseline | None = None
    max_drop_per_slice: MaxDropPerSlice | None = None
    coverage: CoverageRule | None = None
    embedding_health: EmbeddingHealth | None = None
    data_health: DataHealth | None = None


class GateConfig(Section):
    """What a candidate must pass. Floors are required for every modelled surface: no threshold, no blessing."""

    floors: dict[str, dict[str, Floor]]  # surface -> metric (as in evaluation.json, e.g. "recall@50") -> least value
    rules: Rules = Rules()
    surfaces: dict[str, dict[str, dict[str, Any]]] = {}  # surface -> rule -> settings that differ there
    min_users: Positive = 50  # a metric over fewer users decides nothing: the surface fails closed
    policy: Policy = Policy.ALL
    on_reject: OnReject = OnReject.FAIL

    def rules_of(self, surface: str) -> Rules:
        """The rules with what differs on a surface."""
        rules = self.rules.model_dump(mode="json")
        for name, changes in self.surfaces.get(surface, {}).items():
            rules[name] = (rules.get(name) or {}) | changes
        return Rules.model_validate(rules)

    @model_validator(mode="after")
    def _surfaces_can_be_read(self) -> Self:
        for surface in self.surfaces:
            try:
                self.rules_of(surface)
            except ValidationError as error:
                raise ValueError(f"surfaces.{surface}: {explain(Rules, error)}") from error
        return self
