"""Limits for [validate] from datasets known to be good: what they show, and a margin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinrec_core.config import LogConfig, ValidateConfig
from pinrec_core.errors import ConfigError
from pinrec_core.logs.checks.drift import drift_findings, history_of
from pinrec_core.logs.checks.finding import Finding, number
from pinrec_core.logs.checks.rules import count_findings, day_finding, last_day_findings, surface_findings
from pinrec_core.logs.validate import read_facts
from pinrec_core.manifest import read_manifest

MARGIN = 0.3
_COUNTS = ("min_events", "min_users", "min_items", "min_surface_positives")
_UNBOUNDED = ("max_weekday_ratio",)  # not a share: may exceed 1
_LEAST_SHARE, _LEAST_DRIFT = 0.001, 0.02  # no suggested maximum is below: good days never show the least they may have
_EVERY_NULL = dict.fromkeys(("request_id", "position", "context_item_id"), 1.0)


@dataclass(frozen=True)
class Seen:
    """The least and the largest value of a rule in the good datasets, and how often it was seen."""

    least: float
    largest: float
    times: int

    @property
    def told(self) -> str:
        """For a comment."""
        values = " to ".join(dict.fromkeys(number(value) for value in (self.least, self.largest)))
        return f"seen {values}" + (f" in {self.times} comparisons" if self.times > 1 else "")


def suggest_rules(datasets: list[Path], margin: float = MARGIN) -> str:
    """A TOML [validate] section under which every given dataset passes with `margin` to spare.

    A minimum is the least value seen times (1 - margin), a maximum the largest times (1 + margin), rounded away from
    what was seen. Raises ConfigError for a margin outside [0, 1), IntegrityError for a dataset that is not whole.
    """
    if not 0 <= margin < 1:
        raise ConfigError(f"margin {margin:g} must be at least 0 and below 1; 0.3 leaves 30 % on either side")
    defaults = ValidateConfig(max_null_share=_EVERY_NULL)
    seen = _gather(finding for dataset in datasets for finding in _observations(Path(dataset), defaults))
    dates = sorted(read_manifest(dataset, "dataset", verify=False).facts["date"] for dataset in datasets)
    lines = [f"# Suggested from {len(datasets)} good dataset(s) ({', '.join(dates)}), margin {margin:g}. Look it over.",
             "[validate]", f"warn = [{', '.join(_quoted(name) for name in defaults.warn)}]"]
    for name in ValidateConfig.rules():
        if name == "max_null_share":
            continue
        if name in seen:
            lines.append(f"{name} = {_limit(name, seen[name], margin)}  # {seen[name].told}")
        else:
            lines.append(f"# {name}: no day had a history to compare with; the default {getattr(defaults, name)} stays")
    lines.append("\n[validate.max_null_share]")
    for column in _EVERY_NULL:
        found = seen[f"max_null_share[{column}]"]
        lines.append(f"{column} = {_limit('max_null_share', found, margin)}  # {found.told}")
    return "\n".join(lines) + "\n"


def _observations(dataset: Path, limits: ValidateConfig) -> Iterator[Finding]:
    """What every rule sees in a dataset; drift for each day of it that has a history."""
    manifest = read_manifest(dataset, "dataset")
    facts, log = read_facts(dataset), LogConfig.model_validate(manifest.facts["log"])
    yield from count_findings(manifest, facts, limits)
    yield day_finding(log, facts, limits)
    yield from surface_findings(log, facts, limits)
    yield from last_day_findings(facts, limits)
    for date in _days_with_history(log, facts, limits):
        yield from drift_findings(log, facts, limits, date)


def _days_with_history(log: LogConfig, facts: dict[str, Any], limits: ValidateConfig) -> list[str]:
    busy = [date for date, counts in facts["rows_by_date_and_surface"].items()
            if sum(counts[name] for name in log.surfaces)]
    return [date for date in busy if history_of(log, facts, date, limits.drift_weeks)]


def _gather(findings: Iterator[Finding]) -> dict[str, Seen]:
    """By rule; what a rule was applied to counts only for null shares, which have a limit per column."""
    values: dict[str, list[float]] = {}
    for finding in findings:
        if finding.observed is not None:
            name = finding.rule if finding.base == "max_null_share" else finding.base
            values.setdefault(name, []).append(finding.observed)
    return {name: Seen(min(found), max(found), len(found)) for name, found in values.items()}


def _limit(name: str, seen: Seen, margin: float) -> float:
    if name in _COUNTS:
        return max(math.floor(seen.least * (1 - margin)), 1)
    if name.startswith("min_"):
        return math.floor(seen.least * (1 - margin) * 1000) / 1000
    least = _LEAST_DRIFT if name.endswith("_drift") else _LEAST_SHARE
    limit = math.ceil(max(seen.largest * (1 + margin), least) * 10_000) / 10_000
    return limit if name in _UNBOUNDED else min(limit, 1.0)


def _quoted(name: str) -> str:
    return f'"{name}"'
