"""Tables out of evaluation.json: systems beside each other, slices worst first. What is broken is left out."""

from __future__ import annotations

from typing import Any

from pinrec_core.report.plots.scores import Point
from pinrec_core.report.run_facts import number

SLICES = (  # key of evaluation.json, what a part is called, what the parts are
    ("by_action", "action", "the action the user really took"),
    ("by_split", "users", "held-out users were never seen in training"),
    ("by_activity", "engagements", "of the user before the evaluation window"),
    ("by_item_age", "item age", "of the target at the start of the evaluation window"))
FEW = 50  # users, below which a slice is marked: its interval is wide


def statistic(value: Any) -> dict[str, Any]:
    """value, low, high, n of a bare number or a statistic; None where there is none."""
    given = value if isinstance(value, dict) else {"value": value}
    return {key: number(given.get(key)) for key in ("value", "low", "high", "n")}


def named(groups: Any) -> list[tuple[str, dict[str, Any]]]:
    """The entries of an object of objects."""
    return [(str(name), group) for name, group in groups.items() if isinstance(group, dict)] \
        if isinstance(groups, dict) else []


def systems(evaluation: dict[str, Any], metrics: list[str], headline: str) -> list[dict[str, Any]]:
    """Candidate, live release and baselines: {"name", "kind", "cells": statistic per metric, "difference"}.

    `difference` is candidate minus it on the headline metric. Baselines come best first.
    """
    rows = [entry for entry in evaluation.get("rows") or [] if isinstance(entry, dict)]
    candidate = str(rows[0].get("name", "candidate")) if rows else "candidate"
    found = [_system(candidate, "candidate", {"metrics": evaluation.get("metrics")}, metrics, headline)]
    if isinstance(evaluation.get("live"), dict):
        found.append(_system("live release", "live", evaluation["live"], metrics, headline))
    compared = dict(named(evaluation.get("baselines")))
    plain = {str(row.get("name", "?")): {"metrics": {m: statistic(row.get(m)) | {"n": row.get("n")} for m in metrics}}
             for row in rows[1:]}
    baselines = [_system(name, "baseline", entry, metrics, headline) for name, entry in (plain | compared).items()]
    place = metrics.index(headline) if headline in metrics else 0
    return found + sorted(baselines, key=lambda one: -(one["cells"][place]["value"] or 0.0) if one["cells"] else 0.0)


def _system(name: str, kind: str, entry: dict[str, Any], metrics: list[str], headline: str) -> dict[str, Any]:
    measured, differences = (entry.get(key) if isinstance(entry.get(key), dict) else {}
                             for key in ("metrics", "difference"))
    cells = [statistic(measured.get(metric)) for metric in metrics]
    return {"name": name, "kind": kind, "cells": cells, "difference": statistic(differences.get(headline)),
            "n": max((cell["n"] for cell in cells if cell["n"] is not None), default=None)}


def slices(evaluation: dict[str, Any], headline: str) -> list[dict[str, Any]]:
    """Parts of the targets or users, worst first on the headline metric; those that nobody is in are left out."""
    live = evaluation.get("live")
    theirs = dict(named(live.get("slices"))) if isinstance(live, dict) else {}
    overall = statistic((evaluation.get("metrics") or {}).get(headline))["value"]
    found = []
    for key, kind, _ in SLICES:
        compared = dict(named(theirs.get(key) or theirs.get(key.removeprefix("by_"))))
        for name, group in named(evaluation.get(key)):
            cell = statistic(group.get(headline))
            if not cell["n"] or cell["value"] is None:
                continue
            difference = statistic((compared.get(name, {}).get("difference") or {}).get(headline))
            found.append(cell | {"kind": kind, "name": name, "few": cell["n"] < FEW, "against_live": difference,
                                 "to_all": cell["value"] - overall if overall is not None else None})
    return sorted(found, key=lambda one: one["value"])


def system_points(found: list[dict[str, Any]], place: int) -> list[Point]:
    """What is drawn of systems: one metric."""
    return [Point(one["name"].replace("_", " "), one["cells"][place]["value"], one["cells"][place]["low"],
                  one["cells"][place]["high"]) for one in found if place < len(one["cells"])]


def plain_table(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of {"name", "n", key: number or statistic} as columns and cells; a column is there if any row has it."""
    keys = list(dict.fromkeys(key for entry in entries for key in entry
                              if key not in ("name", "n") and number(entry[key]) is not None))
    lines = [{"name": entry.get("name", "?"), "n": entry.get("n"), "cells": [number(entry.get(key)) for key in keys]}
             for entry in entries]
    return {"columns": keys, "lines": lines}
