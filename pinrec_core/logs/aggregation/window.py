"""The days a dataset is made of, and where they begin and end in UTC milliseconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date as Day
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from pinrec_core.config import AggregateConfig
from pinrec_core.errors import ConfigError

_EPOCH = Day(1970, 1, 1)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:-(\d+)d)?")


@dataclass(frozen=True)
class Window:
    """`dates` in order and the UTC millisecond at which each begins in the configured zone; a day is `[start, end)`."""

    dates: tuple[str, ...]
    first_day: int  # days from 1970-01-01 to the first date
    edges_ms: tuple[int, ...]  # midnights from `late_days` before the first date to `late_days` after the window's end
    late_days: int  # an event may sit this many days off its partition's date
    eval_days: int

    @property
    def starts_ms(self) -> tuple[int, ...]:
        """Start of each date; one more than dates: the last is the end of the window."""
        return self.edges_ms[self.late_days:len(self.edges_ms) - self.late_days]

    @property
    def start_ms(self) -> int:
        """First millisecond of the window."""
        return self.starts_ms[0]

    @property
    def end_ms(self) -> int:
        """Exclusive end of the window and of the evaluation window."""
        return self.starts_ms[-1]

    @property
    def train_end_ms(self) -> int:
        """Exclusive end of training data: the start of the evaluation window."""
        return self.starts_ms[len(self.dates) - self.eval_days]

    def days_off(self, day: int, time_N: np.ndarray) -> np.ndarray:
        """Days [N] int16 between the date of partition `day` and that of each time; more than `late_days`: beyond.

        Depends on the partition's date and the zone alone, never on where the window begins or ends.
        """
        edges_ms = self.edges_ms[day:day + 2 * self.late_days + 2]
        return (np.searchsorted(edges_ms, time_N, "right") - 1 - self.late_days).astype(np.int16)


def open_window(date: str, aggregate: AggregateConfig) -> Window:
    """The `lookback_days` days that end with `date`. Raises ConfigError for a bad date or time zone."""
    last = last_day(date)
    try:
        zone = ZoneInfo(aggregate.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"aggregate.timezone {aggregate.timezone!r} is not a known IANA zone, for example "
                          "'Asia/Shanghai'; correct it, or install the tzdata package") from error
    days = [last - timedelta(days=back) for back in range(aggregate.lookback_days - 1, -1, -1)]
    late = aggregate.max_late_days
    edges = [days[0] + timedelta(days=off) for off in range(-late, len(days) + late + 1)]
    return Window(dates=tuple(day.isoformat() for day in days), first_day=(days[0] - _EPOCH).days,
                  edges_ms=tuple(_midnight(day, zone) for day in edges), late_days=late,
                  eval_days=aggregate.eval_days)


def last_day(date: str) -> Day:
    """The day that a date names: "2026-01-14", or with days to go back from it, "2026-01-15-1d". Raises ConfigError.

    A schedule knows the day that its run is due and cannot subtract; so it says how many days before it are meant.
    """
    if "[[" in date:
        raise ConfigError(f"date {date!r} was not filled in by the schedule: that takes Kubeflow Pipelines 2.16 or "
                          "later; see docs/schedules.md")
    day, back = _DATE.fullmatch(date).groups() if _DATE.fullmatch(date) else ("", None)
    try:
        return Day.fromisoformat(day) - timedelta(days=int(back or 0))
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"date {date!r} is not a day; write it as YYYY-MM-DD") from error


def _midnight(day: Day, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000
