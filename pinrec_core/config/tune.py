"""[tune]: which settings `pinrec tune` tries, in which ranges, and by which measure it chooses. See docs/tuning.md."""

from __future__ import annotations

import difflib
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pinrec_core.config.section import Positive, Section

TUNABLE = ("model", "pretrain", "finetune")  # sections; all others shape the data, or what comes after training
# What may not differ between trials: with it the measure is another one, or halving compares different work.
FIXED = ("epochs", "seed", "validation_metric", "validation_users", "min_validation_requests", "max_bad_steps",
         "checkpoint_every_s", "keep_checkpoints", "rank_timeout_s", "tensorboard")
Value = bool | int | float | str


class Range(Section):
    """The values one setting may take: `low` to `high`, both included, or one of `choices`."""

    low: int | float | None = None  # least value; None with choices
    high: int | float | None = None  # greatest value; None with choices
    log: bool = False  # drawn evenly on a logarithmic scale, so that 1e-4 to 1e-3 is as likely as 1e-3 to 1e-2
    step: int | float | None = Field(default=None, gt=0)  # low, low + step, ...; None = 1 for ints, any for floats
    choices: tuple[Value, ...] = ()  # instead of low and high: any of these, all as likely

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.model_dump(exclude={"choices"}, exclude_defaults=True):
                raise ValueError("has choices and low, high, log or step; give either choices, or low and high")
            return self
        if self.low is None or self.high is None:
            raise ValueError("wants choices, or low and high")
        if isinstance(self.low, bool) or isinstance(self.high, bool):
            raise ValueError("low and high are numbers; true and false are choices = [true, false]")
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError(f"log wants low above 0 and no step (low {self.low:g}, step {self.step})")
        return self

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values at its corners: low and high, or all choices."""
        return self.choices or (self.low, self.high)


class TuneConfig(Section):
    """A random search with successive halving over some settings (pinrec tune)."""

    ranges: dict[str, Range] = Field(min_length=1)  # "pretrain.learning_rate" -> its range
    metric: Literal["recall@50", "ndcg@50"] = "recall@50"  # on the validation users, never on the evaluation window
    surface: str = ""  # whose fine-tuned model is measured; "" = the base model, on all surfaces
    trials: Positive = 20  # settings that are drawn
    seed: int = 0  # of the draws
    halving_factor: int = Field(default=3, ge=2)  # of those that came so far, one in so many goes on
    smallest_epochs: Positive = 1  # epochs before a trial can be given up; the next rungs are halving_factor times more

    @field_validator("ranges", mode="before")
    @classmethod
    def _flat(cls, ranges: Any) -> Any:
        """TOML reads pretrain.learning_rate = {...} without quotation marks as a table in a table."""
        return dict(_flattened(ranges)) if isinstance(ranges, dict) else ranges

    def check(self, settings: dict[str, Any], surfaces: tuple[str, ...]) -> None:
        """Raise ValueError unless every key is a setting of the configuration whose value suits its range.

        `settings` are all settings of the TUNABLE sections by dotted name.
        """
        if self.surface and self.surface not in surfaces:
            raise ValueError(f"tune.surface: surface {self.surface!r} is not modelled; log.surfaces are "
                             f"{list(surfaces)}")
        self._check_keys(settings)
        stage = "finetune" if self.surface else "pretrain"
        if stage == "pretrain" and (own := [key for key in self.ranges if key.startswith("finetune.")]):
            raise ValueError(f"tune.ranges: {own[0]} changes nothing of the base model, which is measured where "
                             f"tune.surface is empty; set it to one of {list(surfaces)}")
        chooses = f"{settings[f'{stage}.validation_metric']}@50"
        if chooses != self.metric:
            raise ValueError(f"tune.metric is {self.metric}, but {stage} chooses its weights by {chooses}; set "
                             f"{stage}.validation_metric to {self.metric.split('@')[0]!r}, or the metric to that")

    def _check_keys(self, settings: dict[str, Any]) -> None:
        for key, declared in self.ranges.items():
            if key not in settings:
                near = difflib.get_close_matches(key, settings, n=1)
                raise ValueError(f"tune.ranges: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else
                                 f"; it must be a setting of {', '.join(TUNABLE)}"))
            if key.rsplit(".", 1)[-1] in FIXED:
                raise ValueError(f"tune.ranges: {key} cannot be tuned: the measure of the trials, or the work behind "
                                 "it, would not be the same; set it in its section")
            _check_kind(key, declared, settings[key])


def _flattened(ranges: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in ranges.items():
        nested = isinstance(value, dict) and value and not set(value) & set(Range.model_fields)
        pairs += _flattened(value, f"{before}{key}.") if nested else [(f"{before}{key}", value)]
    return pairs


def _check_kind(key: str, declared: Range, now: Any) -> None:
    """A whole number wants whole numbers; what is no number at all wants choices."""
    if declared.choices or now is None:
        return
    if isinstance(now, bool) or not isinstance(now, int | float):
        raise ValueError(f"tune.ranges: {key} is {now!r}, which has no low and high; give choices")
    given = [value for value in (declared.low, declared.high, declared.step) if value is not None]
    if isinstance(now, int) and not all(isinstance(value, int) for value in given):
        raise ValueError(f"tune.ranges: {key} is a whole number; low, high and step must be too (got {given})")
