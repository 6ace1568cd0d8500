"""[schedules.NAME]: when a target runs the pipeline by itself. `pinrec schedule apply` makes the cluster agree."""

from __future__ import annotations

from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from pinrec_core.config.section import Positive, Section

CRON_FIELDS = 6  # Kubeflow's: second, minute, hour, day of month, month, day of week


class ScheduleConfig(Section):
    """One recurring run."""

    target: str = Field(min_length=1)  # of [targets]
    cron: str = Field(min_length=1)  # six fields, seconds first
    time_zone: str = Field(min_length=1)  # in which the fields are read, of the IANA list: "Europe/Berlin", "UTC"
    max_concurrency: Positive = 1  # runs at the same time
    catch_up: bool = False  # true = runs that were missed while it was paused are made up for
    enabled: bool = True
    lag_days: int = Field(default=1, ge=0)  # the run reads up to that many days before the day it was due

    @field_validator("cron")
    @classmethod
    def _has_six_fields(cls, cron: str) -> str:
        if len(cron.split()) != CRON_FIELDS:
            raise ValueError(f"{cron!r} has {len(cron.split())} fields, Kubeflow's cron has {CRON_FIELDS}: second, "
                             "minute, hour, day of month, month, day of week")
        return cron

    @model_validator(mode="after")
    def _time_zone_exists(self) -> Self:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"time_zone {self.time_zone!r} is not of the IANA list; write \"UTC\" or "
                             "\"Europe/Berlin\"") from error
        return self
