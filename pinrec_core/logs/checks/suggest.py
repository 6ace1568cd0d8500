"""Limits for [validate] from datasets known to be good: what they show, and a margin."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinrec_core.config import LogConfig, ValidateConfig
from pinrec_core.errors import ConfigError
from pinrec_core.logs.checks.drift import drift_findings
from pinrec_core.logs.checks.finding import Finding, number
from pinrec_core.logs.checks.rules import count_findings, day_finding, last_day_findings, surface_findings
from pinrec_core.logs.validate import read_facts
from pinrec_core.manifest import Manifest, read_manifest

MARGIN = 0.3
_COUNTS = ("min_events", "min_users", "min_items", "min_surface_positives")
_UNBOUNDED = ("max_weekday_ratio",)  # not a share: may exceed 1
_LEAST_SHARE, _LEAST_DRIFT = 0.001, 0.02  # no suggested maximum is below: good days never show the least they may have
_EVERY_NULL = dict.fromkeys(("request_id", "position", "context_item_id"), 1.0)


@dataclass(frozen=True)
class Seen:
    """The values of a rule in the good datasets, each with what it was seen in (a date), smallest first."""

    values: tuple[tuple[float, str], ...]

    @property
    def least(self) -> float:
        """The smallest value."""
        return self.values[0][0]

    @property
    def largest(self) -> float:
        """The largest value."""
        return self.values[-1][0]

    @property
    def told(self) -> str:
        """For a comment: the extremes and where they were seen, so that a person can tell a good day from a bad one."""
        ends = (self.values[0], self.values[-1])
        return "seen " + " to ".join(dict.fromkeys(f"{number(value)} ({where})" for value, where in ends))


def suggest_rules(datasets: list[Path], margin: float = MARGIN) -> str:
    """A TOML [validate] section under which every given dataset passes with `margin` to spare.

    A minimum is the least value seen times (1 - margin), a maximum the largest times (1 + margin), rounded away from
    what was seen. Raises ConfigError for a margin outside [0, 1), IntegrityError for a dataset that is not whole.
    """
    if not 0 <= margin < 1:
        raise ConfigError(f"margin {margin:g} must be at least 0 and below 1; 0.3 leaves 30 % on either side")
    defaults = ValidateConfig(max_null_share=_EVERY_NULL)
    good = [_open(Path(dataset)) for dataset in datasets]
    days = min(defaults.day_ratio_days, *map(_busy_days, good))
    seen = _gather(seen for one in good for seen in _observations(one, defaults.model_copy(
        update={"day_ratio_days": days})))
    dates = ", ".join(sorted(one.manifest.facts["date"] for one in good))
    lines = [f"# Suggested from {len(good)} good dataset(s) ({dates}), margin {margin:g}. Look it over.", "[validate]",
             f"warn = {json.dumps(defaults.warn)}", f"day_ratio_days = {days}"]
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


@dataclass(frozen=True)
class _Good:
    """A dataset, opened."""

    manifest: Manifest
    facts: dict[str, Any]
    log: LogConfig


def _open(dataset: Path) -> _Good:
    manifest = read_manifest(dataset, "dataset")
    return _Good(manifest, read_facts(dataset), LogConfig.model_validate(manifest.facts["log"]))


def _busy_days(good: _Good) -> int:
    """How many days before the last, itself included, have rows on modelled surfaces without a gap; at least 1."""
    by_day = [sum(counts[name] for name in good.log.surfaces)
              for _, counts in sorted(good.facts["rows_by_date_and_surface"].items())]
    return max(next((back for back, rows in enumerate(reversed(by_day)) if not rows), len(by_day)), 1)


def _observations(good: _Good, limits: ValidateConfig) -> Iterator[tuple[Finding, str]]:
    """What every rule sees in a dataset and on which date; drift for each day of it that has a history."""
    last = good.manifest.facts["date"]
    for finding in (*count_findings(good.manifest, good.facts, limits), day_finding(good.log, good.facts, limits),
                    *surface_findings(good.log, good.facts, limits), *last_day_findings(good.facts, limits)):
        yield finding, last
    for date, counts in good.facts["rows_by_date_and_surface"].items():
        if sum(counts[name] for name in good.log.surfaces):
            yield from ((finding, date) for finding in drift_findings(good.log, good.facts, limits, date))


def _gather(findings: Iterator[tuple[Finding, str]]) -> dict[str, Seen]:
    """By rule; what a rule was applied to counts only for null shares, which have a limit per column."""
    values: dict[str, list[tuple[float, str]]] = {}
    for finding, date in findings:
        if finding.observed is not None:
            name = finding.rule if finding.base == "max_null_share" else finding.base
            values.setdefault(name, []).append((finding.observed, date))
    return {name: Seen(tuple(sorted(found))) for name, found in values.items()}


def _limit(name: str, seen: Seen, margin: float) -> float:
    if name in _COUNTS:
        return max(math.floor(seen.least * (1 - margin)), 1)
    if name.startswith("min_"):
        return math.floor(seen.least * (1 - margin) * 1000) / 1000
    least = _LEAST_DRIFT if name.endswith("_drift") else _LEAST_SHARE
    limit = math.ceil(max(seen.largest * (1 + margin), least) * 10_000) / 10_000
    return limit if name in _UNBOUNDED else min(limit, 1.0)
