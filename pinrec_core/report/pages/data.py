"""The data card: how many rows of what, on which day, how they differ from the weeks before, what was odd."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from pinrec_core.report.pages.tables import named, plain_table
from pinrec_core.report.plots import counts
from pinrec_core.report.run_facts import RunFacts, number

_DRIFT = ("drift", "weekday_ratio")  # in the names of the rules that compare days


def data_view(facts: RunFacts) -> dict[str, Any]:
    """Counts, plots by day, table by surface and action, drift and the other checks."""
    statistics = facts.statistics or {}
    rules = [rule for rule in (facts.validation or {}).get("rules") or [] if isinstance(rule, dict)]
    drift = [rule for rule in rules if any(word in str(rule.get("rule")) for word in _DRIFT)]
    return {
        "counts": _numbers((facts.data or {}).get("counts")), "events": _events(statistics),
        "surface_plot": Markup(counts.days_plot("days", "Event rows by day and surface", _by_surface(statistics))),
        "action_plot": Markup(counts.days_plot("actions", "Event rows by day and action", _by_action(statistics))),
        "users_plot": Markup(counts.days_plot("users", "Users by day", _users(statistics))),
        "checked": facts.validation is not None, "drift": drift,
        "checks": [rule for rule in rules if rule not in drift], "odd": _odd(statistics)}


def _numbers(values: Any) -> dict[str, float]:
    if not isinstance(values, dict):
        return {}
    return {str(name): found for name, value in values.items() if (found := number(value)) is not None}


def _by_surface(statistics: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {day: _numbers(counted) for day, counted in sorted(named(statistics.get("rows_by_date_and_surface")))}


def _by_action(statistics: dict[str, Any]) -> dict[str, dict[str, float]]:
    days: dict[str, dict[str, float]] = {}
    for day, surfaces in sorted(named(statistics.get("rows_by_date_surface_and_action"))):
        total = days.setdefault(day, {})
        for _, counted in named(surfaces):
            for action, value in _numbers(counted).items():
                total[action] = total.get(action, 0.0) + value
    return days


def _users(statistics: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {day: {"users": found} for day, counted in sorted(named(statistics.get("days")))
            if (found := number(counted.get("users"))) is not None}


def _events(statistics: dict[str, Any]) -> dict[str, Any]:
    """Surface x action event rows, with the surface's total as n."""
    groups = [(name, _numbers(group)) for name, group in named(statistics.get("rows_by_surface_and_action"))]
    return plain_table([{"name": name} | group | {"n": sum(group.values())} for name, group in groups])


def _odd(statistics: dict[str, Any]) -> list[tuple[str, float]]:
    """What was counted of odd rows, without what there was none of."""
    reasons = _numbers(statistics.get("quarantined_by_reason"))
    reasons |= _numbers({name: statistics.get(name) for name in ("rows_out_of_order", "rows_context_unknown",
                                                                 "rows_item_type_differs")})
    nulls = {f"share of rows without {name}": share for name, share in _numbers(statistics.get("null_share")).items()}
    return [(name.replace("_", " "), value) for name, value in (reasons | nulls).items() if value]
