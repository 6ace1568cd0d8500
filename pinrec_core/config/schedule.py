"""[schedules.NAME]: when a target runs the pipeline by itself. `pinrec schedule apply` makes the cluster agree."""

from __future__ import annotations

import re
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from pinrec_core.config.section import Section

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# Kubeflow's six fields with their least and greatest value, and names for values from the least one on.
CRON_FIELDS: dict[str, tuple[int, int, list[str]]] = {
    "second": (0, 59, []), "minute": (0, 59, []), "hour": (0, 23, []), "day of month": (1, 31, []),
    "month": (1, 12, _MONTHS), "day of week": (0, 6, _DAYS)}
_PART = re.compile(r"(?P<any>[*?])|(?P<low>\w+)(-(?P<high>\w+))?")


class ScheduleConfig(Section):
    """One recurring run."""

    target: str = Field(min_length=1)  # of [targets]
    cron: str = Field(min_length=1)  # six fields, seconds first
    time_zone: str = Field(min_length=1)  # in which the fields are read, of the IANA list: "Europe/Berlin", "UTC"; it
    # must be targets.*.cron_time_zone, for a cluster has one
    max_concurrency: int = Field(default=1, ge=1, le=10)  # runs at the same time; Kubeflow takes 1 to 10
    catch_up: bool = False  # true = runs that were missed while it was paused are made up for
    enabled: bool = True  # false = it is there and starts no runs
    lag_days: int = Field(default=1, ge=0, le=366)  # the run reads up to that many days before the day it was due, by
    # UTC whatever time_zone is: 1 = the last partition that is complete, where partitions are days of UTC

    @field_validator("cron")
    @classmethod
    def _has_six_fields(cls, cron: str) -> str:
        fields = cron.split()
        if len(fields) != len(CRON_FIELDS):
            raise ValueError(f"{cron!r} has {len(fields)} fields, Kubeflow's cron has {len(CRON_FIELDS)}: "
                             f"{', '.join(CRON_FIELDS)}")
        for name, field in zip(CRON_FIELDS, fields, strict=True):
            _check_field(name, field)
        return " ".join(fields)

    @model_validator(mode="after")
    def _time_zone_exists(self) -> Self:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"time_zone {self.time_zone!r} is not of the IANA list; write \"UTC\" or "
                             "\"Europe/Berlin\"") from error
        return self


def _check_field(name: str, field: str) -> None:
    """Raises ValueError if Kubeflow's cron would refuse the field, or take it for something else."""
    least, greatest, names = CRON_FIELDS[name]
    for part in field.split(","):
        span, slash, step = part.partition("/")
        found = _PART.fullmatch(span)
        ends = [found["low"], found["high"] or found["low"]] if found and not found["any"] else [str(least)] * 2
        numbers = [_value(end, least, names) for end in ends]
        good = (found and None not in numbers and least <= numbers[0] <= numbers[1] <= greatest
                and (not slash or (step.isdecimal() and int(step) > 0)))
        if not good:
            raise ValueError(f"{name} {field!r} is no cron field; write *, or numbers from {least} to {greatest} as "
                             "3, 1-5, 1,15 or */2")


def _value(word: str, least: int, names: list[str]) -> int | None:
    if word.lower() in names:
        return least + names.index(word.lower())
    return int(word) if word.isdecimal() else None
