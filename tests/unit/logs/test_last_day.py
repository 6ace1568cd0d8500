"""The date of a run, and how many days before it are meant."""

from __future__ import annotations

import pytest
from quoted import says

from pinrec_core.config import AggregateConfig
from pinrec_core.errors import ConfigError
from pinrec_core.logs.aggregation.window import last_day, open_window


@pytest.mark.parametrize(("date", "day"), [
    ("2026-01-14", "2026-01-14"), ("2026-01-15-1d", "2026-01-14"), ("2026-03-01-1d", "2026-02-28"),
    ("2026-01-01-2d", "2025-12-30"), ("2026-01-15-0d", "2026-01-15")])
def test_days_are_gone_back(date, day):
    assert str(last_day(date)) == day


def test_the_window_ends_there_however_it_was_said():
    aggregate = AggregateConfig(lookback_days=3, eval_days=1)
    assert open_window("2026-01-15-1d", aggregate) == open_window("2026-01-14", aggregate)
    assert open_window("2026-01-15-1d", aggregate).dates == ("2026-01-12", "2026-01-13", "2026-01-14")


@pytest.mark.parametrize("date", ["", "yesterday", "2026-13-01", "2026-01-14+1d", "2026-01-14-d", "20260114",
                                  "0001-01-01-1d", "2026-01-14-99999999999d"])
def test_what_is_no_day_is_refused(date):
    with pytest.raises(ConfigError, match="is not a day; write it as YYYY-MM-DD"):
        last_day(date)


def test_what_an_old_backend_leaves_as_it_was_is_told():
    with pytest.raises(ConfigError) as raised:
        last_day("[[ScheduledTime.2006-01-02]]-1d")
    says("error: date ... was not filled in by the schedule: that takes Kubeflow Pipelines 2.16 or later; see "
         "docs/schedules.md", raised.value)
