"""What waits for what, and what is given up, date by date."""

from __future__ import annotations

import pytest

from pinrec_core.errors import ConfigError
from pipelines.backfill.plan import Next, State, dates_between, what_next
from pipelines.backfill.result import DateResult, DateStatus, exit_code

DATES = [f"2026-01-0{day}" for day in range(1, 10)]
START, WAIT, GIVE_UP = (Next.START, ""), (Next.WAIT, ""), Next.GIVE_UP


def state(datasets: str = "", **ended: DateStatus) -> State:
    """Days with a dataset as digits; results by day as d<day>."""
    results = {f"2026-01-0{name[1]}": DateResult(date=f"2026-01-0{name[1]}", status=status, sentence="")
               for name, status in ended.items()}
    return State({f"2026-01-0{day}": "somewhere" for day in datasets}, results)


def ask(day: int, known: State, go_live: bool = False, lookback_days: int = 3):
    return what_next(f"2026-01-0{day}", known, first=DATES[0], go_live=go_live, lookback_days=lookback_days)


def test_every_day_between_both_included():
    assert dates_between("2026-01-30", "2026-02-02") == ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"]
    assert dates_between("2026-01-01", "2026-01-01") == ["2026-01-01"]


@pytest.mark.parametrize(("first", "last", "word"), [
    ("2026-01-02", "2026-01-01", "swap"), ("x", "2026-01-01", "two days"), ("2026-02-30", "2026-03-01", "two days")])
def test_what_is_no_span_is_refused(first, last, word):
    with pytest.raises(ConfigError, match=word):
        dates_between(first, last)


def test_a_date_starts_when_the_dataset_before_it_is_there():
    assert ask(1, state()) == START
    assert ask(2, state()) == WAIT
    assert ask(2, state("1")) == START, "its training and evaluation go on"
    assert ask(3, state("1")) == WAIT


def test_a_date_that_failed_after_its_dataset_stops_nothing():
    assert ask(2, state("1", d1=DateStatus.FAILED)) == START


def test_a_date_without_a_dataset_stops_those_whose_window_it_is_in():
    failed = {"d4": DateStatus.FAILED}
    assert ask(5, state("123", **failed)) == (GIVE_UP, "2026-01-04")
    failed["d5"] = DateStatus.NOT_RUN
    assert ask(6, state("123", **failed)) == (GIVE_UP, "2026-01-04")
    failed["d6"] = DateStatus.NOT_RUN
    assert ask(7, state("123", **failed)) == START, "it reads the days 5 to 7"


def test_a_date_that_was_done_long_ago_and_whose_dataset_is_gone_stops_nothing():
    assert ask(2, state(d1=DateStatus.READY)) == START


@pytest.mark.parametrize("status", [DateStatus.PROMOTED, DateStatus.REJECTED, DateStatus.READY])
def test_promotions_wait_for_the_end_of_the_date_before(status):
    assert ask(2, state("1"), go_live=True) == WAIT
    assert ask(2, state("1", d1=status), go_live=True) == START


def test_a_failed_date_stops_all_promotions_after_it():
    failed = {"d1": DateStatus.FAILED}
    assert ask(2, state("1", **failed), go_live=True) == (GIVE_UP, "2026-01-01")
    failed |= {f"d{day}": DateStatus.NOT_RUN for day in range(2, 9)}
    assert ask(9, state("1", **failed), go_live=True) == (GIVE_UP, "2026-01-01")


@pytest.mark.parametrize(("statuses", "code"), [
    ("promoted ready", 0), ("promoted rejected", 3), ("rejected failed promoted", 1), ("rejected not_run", 1)])
def test_the_exit_code_tells_the_worst(statuses, code):
    results = [DateResult(date=date, status=DateStatus[name.upper()], sentence="")
               for date, name in zip(DATES, statuses.split(), strict=False)]
    assert exit_code(results) == code
