"""The days a dataset is made of, and where they begin and end in UTC milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date as Day
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from pinrec_core.config import AggregateConfig
from pinrec_core.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """`dates` in order and the UTC millisecond at which each begins in the configured zone; a day is `[start, end)`."""

    dates: tuple[str, ...]
    starts_ms: tuple[int, ...]  # one more than dates: the last is the end of the window
    early_ms: tuple[int, ...]  # per date, the earliest event time its partition may hold
    late_ms: tuple[int, ...]  # per date, exclusive end of the event times its partition may hold
    eval_days: int

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

    def day_of(self, time_ms: int) -> str:
        """Date of a time inside the window."""
        return self.dates[int(np.searchsorted(self.starts_ms, time_ms, "right")) - 1]


def open_window(date: str, aggregate: AggregateConfig) -> Window:
    """The `lookback_days` days that end with `date`. Raises ConfigError for a bad date or time zone."""
    try:
        last = Day.fromisoformat(date)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"date {date!r} is not a day; write it as YYYY-MM-DD") from error
    try:
        zone = ZoneInfo(aggregate.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"aggregate.timezone {aggregate.timezone!r} is not a known IANA zone, for example "
                          "'Asia/Shanghai'; correct it, or install the tzdata package") from error
    days = [last - timedelta(days=back) for back in range(aggregate.lookback_days - 1, -1, -1)]
    late = timedelta(days=aggregate.max_late_days)
    return Window(dates=tuple(day.isoformat() for day in days),
                  starts_ms=tuple(_midnight(day, zone) for day in [*days, last + timedelta(days=1)]),
                  early_ms=tuple(_midnight(day - late, zone) for day in days),
                  late_ms=tuple(_midnight(day + late + timedelta(days=1), zone) for day in days),
                  eval_days=aggregate.eval_days)


def _midnight(day: Day, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000
