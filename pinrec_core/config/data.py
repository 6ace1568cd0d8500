"""[aggregate] and [validate]: from the event log to a dataset, and what stops a run before training."""

from __future__ import annotations

import difflib
from typing import Literal, Self

from pydantic import Field, model_validator

from pinrec_core.config.section import Positive, Section, Share


class AggregateConfig(Section):
    """How event partitions become a training dataset (aggregate_logs)."""

    lookback_days: Positive = 30  # days of events read, the run's date included; a missing partition stops the run
    eval_days: Positive = 2  # the last days of the window: evaluated on, never trained on
    timezone: str = "UTC"  # IANA zone in which partition dates are days
    view_gap_s: Positive = 600  # without request_id: a pause this long (seconds) on a surface starts a new feed view
    validation_user_share: Share = 0.05  # users kept from training to choose checkpoints on
    heldout_user_share: Share = 0.05  # users never seen in training or validation, evaluated as new users
    shards: int = Field(default=0, ge=0)  # user shards that readers fill; 0 = by the rows of the log, at most 256
    shard_rows: Positive = 600_000  # rows of a shard in memory; a larger one is cut again, by user
    max_user_events: int = Field(default=100_000, ge=0)  # rows of one user that are kept, the newest; 0 = all
    runner: str = "FnApiRunner"  # Beam runner by name; the local default is exact, see docs/aggregation.md
    # Beam pipeline options; in_memory is the only mode of the local runner that is fast and loses nothing
    runner_options: tuple[str, ...] = ("--direct_running_mode=in_memory", "--direct_num_workers=1")
    work_uri: str = ""  # folder that driver and workers all reach, for spilled rows and parts; "" = beside the output
    max_late_days: int = Field(default=1, ge=0, le=1000)  # an event may sit this many days off its partition's date
    keep_state: bool = True  # keep the cleaned partitions in the dataset's state/, for the next day's --previous
    seed: int = 0  # of the user split

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.eval_days >= self.lookback_days:
            raise ValueError(f"eval_days {self.eval_days} leaves nothing of lookback_days {self.lookback_days} to "
                             "train on; raise lookback_days")
        if self.validation_user_share + self.heldout_user_share >= 1:
            raise ValueError("validation_user_share + heldout_user_share must stay below 1; nobody is left to train on")
        return self


class ValidateConfig(Section):
    """Limits that stop a run before training, or are only told if named in `warn` (validate_data)."""

    warn: tuple[str, ...] = ("max_surface_drift", "max_action_drift", "max_item_type_drift", "max_top_item_drift",
                             "min_weekday_ratio", "max_weekday_ratio")  # rules that warn; all others stop the run
    min_events: Positive = 1000  # kept event rows
    min_users: Positive = 100  # users with at least one positive engagement
    min_items: Positive = 100  # items engaged with at least once
    max_quarantined_share: Share = 0.01  # quarantined rows / rows in
    max_duplicate_share: Share = 0.2  # duplicate rows / rows in
    max_uncatalogued_share: Share = 0.2  # engaged items the catalog does not know / engaged items
    max_unordered_share: Share = 1.0  # rows whose time is before that of the row above them / rows in; 1 = any
    max_null_share: dict[Literal["request_id", "position", "context_item_id"], Share] = {}  # rows without / rows in
    max_new_item_share: Share = 1.0  # of the last day: rows on items the window has not seen before / rows; 1 = any
    max_top_item_share: Share = 1.0  # of the last day: rows on its most frequent item / rows; 1 = any
    min_day_ratio: Share = 0.7  # rows of a day / median over the days of the window, modelled surfaces only
    day_ratio_days: Positive = 14  # how many of the last days the day-ratio rule looks at
    min_surface_positives: Positive = 50  # positive engagements per modelled surface in the training window
    drift_weeks: Positive = 4  # the last day is compared with the same weekday of up to this many weeks before it
    max_surface_drift: Share = 0.2  # Jensen-Shannon distance of rows by surface, modelled surfaces only
    max_action_drift: Share = 0.2  # the same of rows by action
    max_item_type_drift: Share = 0.2  # the same of rows by item type
    max_top_item_drift: Share = 0.5  # the same of rows by most frequent item, all other items as one
    min_weekday_ratio: float = Field(default=0.5, ge=0)  # rows of the last day / mean of the same weekday before
    max_weekday_ratio: float = Field(default=2.0, gt=0)  # the same, from above

    @classmethod
    def rules(cls) -> tuple[str, ...]:
        """Names of the rules, which are the fields with a limit."""
        return tuple(name for name in cls.model_fields if name.startswith(("min_", "max_")))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.warn:
            if name not in self.rules():
                near = difflib.get_close_matches(name, self.rules(), n=1)
                raise ValueError(f"warn names no rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else
                                                                  f"; rules are {', '.join(self.rules())}"))
        return self
