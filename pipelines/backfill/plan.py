"""Which dates a backfill runs, and which of them waits for which.

Aggregation takes the dataset of the date before over, so a date starts when that one is there; the rest of the runs go
side by side. Promotions are in order of dates: then a date starts when the one before has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date as Day
from datetime import timedelta
from enum import Enum
from typing import Any, NamedTuple

from pinrec_core.config import Config
from pinrec_core.errors import ConfigError
from pipelines.arguments import pipeline_arguments
from pipelines.backfill.result import DateResult, DateStatus
from pipelines.input_state import inputs_of
from pipelines.places import Places


class Planned(NamedTuple):
    """A date and the arguments of its run, but for the dataset it takes over."""

    date: str
    arguments: dict[str, Any]
    inputs: str  # fingerprint of all that its result depends on


class Next(Enum):
    """What may be done with a date now."""

    WAIT = "wait"
    START = "start"
    GIVE_UP = "give up"


class State(NamedTuple):
    """How far the dates of a backfill are."""

    datasets: Mapping[str, str]  # date -> where its dataset is
    results: Mapping[str, DateResult]  # date -> what came of it, once it has ended


def plan_date(date: str, config: Config, places: Places, *, go_live: bool) -> Planned:
    """The run of one date."""
    arguments = pipeline_arguments(config, events=places.events, catalog=places.catalog, registry=places.registry,
                                   date=date, go_live=go_live, store=places.store)
    return Planned(date, arguments, inputs_of(arguments))


def dates_between(first: str, last: str) -> list[str]:
    """Every day from first to last, both included. Raises ConfigError if they are no dates, or in the wrong order."""
    try:
        start, end = Day.fromisoformat(first), Day.fromisoformat(last)
    except ValueError as error:
        raise ConfigError(f"{first} to {last}: not two days; write them as YYYY-MM-DD") from error
    if end < start:
        raise ConfigError(f"{first} to {last}: the first day is after the last; swap them")
    return [(start + timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]


def day_before(date: str) -> str:
    """The date before."""
    return (Day.fromisoformat(date) - timedelta(days=1)).isoformat()


def what_next(date: str, state: State, *, first: str, go_live: bool, lookback_days: int) -> tuple[Next, str]:
    """Whether a date of a backfill that began with `first` may start; with GIVE_UP, the date it depends on."""
    before = day_before(date)
    ended = state.results.get(before)
    if date == first:
        return Next.START, ""
    if go_live:
        if not ended:
            return Next.WAIT, ""
        return (Next.START, "") if ended.status.complete else (Next.GIVE_UP, _culprit(before, state))
    if before in state.datasets or (ended and ended.status.complete):
        return Next.START, ""
    if not ended:
        return Next.WAIT, ""
    culprit = _culprit(before, state)
    in_window = (Day.fromisoformat(date) - Day.fromisoformat(culprit)).days < lookback_days
    return (Next.GIVE_UP, culprit) if in_window else (Next.START, "")


def _culprit(date: str, state: State) -> str:
    """The failed date at the root of a date that failed or did not run."""
    while state.results[date].status is DateStatus.NOT_RUN:
        date = day_before(date)
    return date
