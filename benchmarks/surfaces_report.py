"""Means over seeds, intervals over users, paired differences; as JSON and as tables.

A model row's value of a user is the mean over its seeds; the interval is a bootstrap over users of the mean of these,
`deviation` the standard deviation of the seeds' own means. All numbers of a surface share their resamples, so that the
interval of a difference is that of the paired difference. Suffixes: U users, C columns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from surfaces_measure import Key, Measured, Surface
from surfaces_rows import Row

from pinrec_core.evaluation.bootstrap import Estimate, estimates

Found = dict[Key, Estimate]
LISTS = ("recall@10", "recall@50", "recall@100")
SHOWN = (*LISTS, "unseen recall@50", "unordered_recall@10 of 1", "unordered_recall@10 of 6",
         "unordered_recall@10 of 16")


def surface_document(surface: Surface, rows: list[Row], measured: dict[str, list[Measured]],
                     lift: list[Measured]) -> dict[str, Any]:
    """Everything measured on one surface; rows without an answer are left out."""
    rows = [row for row in rows if measured.get(row.name)]
    columns = {(row.name, *key): value_U for row in rows for key, value_U in _mean(measured[row.name]).items()}
    against = {row.name: row.against or before.name for before, row in zip(rows, rows[1:], strict=False)}
    against = {name: other for name, other in against.items() if measured.get(other)}
    for name, other in against.items():
        for key in [key for key in columns if key[0] == name and key[1] not in ("steps", "lift")]:
            if (other, *key[1:]) in columns:
                columns["difference", *key] = columns[key] - columns[other, *key[1:]]
    columns |= _lift_columns(lift)
    evaluation = surface.config.evaluation
    found: Found = {}
    if columns:
        values_UC = np.stack(list(columns.values()), axis=1)
        found = dict(zip(columns, estimates(values_UC, evaluation.bootstrap_samples, evaluation.confidence,
                                            evaluation.seed), strict=True))
    cohort = surface.cohort
    return {"users": len(cohort.user_U), "requests": len(cohort), "targets": len(cohort.item_T),
            "retrievable": surface.retrievable,
            "rows": [_row(row, found, measured[row.name], against.get(row.name, "")) for row in rows],
            "lift": _lift(found)}


def _mean(seeds: list[Measured]) -> dict[Key, np.ndarray]:
    return {key: np.mean([seed.columns[key] for seed in seeds], axis=0) for key in seeds[0].columns}


def _row(row: Row, found: Found, seeds: list[Measured], against: str) -> dict[str, Any]:
    steps = sorted({int(key[2]) for key in found if key[:2] == (row.name, "steps")})
    facts = {name: float(np.mean([seed.facts[name] for seed in seeds])) for name in seeds[0].facts}
    actions = list(dict.fromkeys(key[2] for key in found if key[:2] == (row.name, "action")))
    return {
        "name": row.name, "says": row.says, "seeds": len(seeds), "against": against,
        "metrics": _cells(found, (row.name,), seeds, ()),
        "by_action": {name: _cells(found, (row.name, "action", name), seeds, ("action", name)) for name in actions},
        "difference": _cells(found, ("difference", row.name)),
        "difference_by_action": {name: _cells(found, ("difference", row.name, "action", name)) for name in actions},
        "facts": {name: _number(value) for name, value in facts.items() if not name.startswith("steps ")},
        "steps": {str(count): {
            "metrics": _cells(found, (row.name, "steps", str(count)), seeds, ("steps", str(count))),
            "facts": {name.split(" ", 2)[2]: _number(value) for name, value in facts.items()
                      if name.startswith(f"steps {count} ")}} for count in steps}}


def _cells(found: Found, prefix: Key, seeds: list[Measured] | None = None, own: Key = ()) -> dict[str, Any]:
    """All metrics right below a prefix; with seeds, how far they lie apart."""
    return {key[-1]: _cell(e) | ({"deviation": _deviation(seeds, (*own, key[-1]))} if seeds else {})
            for key, e in found.items() if key[:-1] == prefix}


def _cell(estimate: Estimate) -> dict[str, Any]:
    return {"value": _number(estimate.value), "low": _number(estimate.low), "high": _number(estimate.high),
            "n": estimate.n}


def _deviation(seeds: list[Measured], key: Key) -> float | None:
    """Sample standard deviation over seeds; None with fewer than two, or without users (the same for all seeds)."""
    if len(seeds) < 2:
        return None
    known = [seed.columns[key][~np.isnan(seed.columns[key])] for seed in seeds]
    return _number(float(np.std([value.mean() for value in known], ddof=1))) if len(known[0]) else None


def _lift_columns(seeds: list[Measured]) -> dict[Key, np.ndarray]:
    """Recall with the training shares, and what the whole budget on one action adds, user by user."""
    if not seeds:
        return {}
    mean = _mean(seeds)
    return {key: value_U - mean["lift", "", key[2]] if key[1] else value_U for key, value_U in mean.items()}


def _lift(found: Found) -> dict[str, Any]:
    """budget on -> targets of -> the difference of recall, also relative to that of the training shares."""
    base = {key[2]: e for key, e in found.items() if key[:2] == ("lift", "")}
    document: dict[str, Any] = {"training_shares": {action: _cell(e) for action, e in base.items()}} if base else {}
    for key, e in found.items():
        if key[0] == "lift" and key[1]:
            whole = base[key[2]].value
            relative = [_number(x / whole) if whole else None for x in (e.value, e.low, e.high)]
            document.setdefault("budget_on", {}).setdefault(key[1], {})[key[2]] = _cell(e) | dict(
                zip(("relative", "relative_low", "relative_high"), relative, strict=True))
    return document


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)


def print_surface(name: str, document: dict[str, Any], console: Console) -> None:
    """The main table, steps and lift of one surface."""
    title = f"{name}: {document['users']} users, {document['targets']} targets"
    table = Table("row", *[metric.replace("unordered_recall@10 of ", "UR@10 V=") for metric in SHOWN], "recall@50 +-",
                  "distinct@100", title=title)
    for row in document["rows"]:
        cells = [_text(row["metrics"].get(metric)) for metric in SHOWN]
        added = _text(row["difference"].get("recall@50"), sign=True)
        table.add_row(row["name"], *cells, added, f"{row['facts'].get('distinct@100') or 0:.0f}")
    console.print(table)
    steps = Table("row", "steps", "recall@10", "recall@50", "recall@100", "kept vectors", title=f"{name}: steps")
    for row in document["rows"]:
        for count, part in row["steps"].items():
            steps.add_row(row["name"], count, *[_text(part["metrics"].get(m)) for m in LISTS],
                          f"{part['facts']['vectors']:.1f}")
    lift = document["lift"].get("budget_on", {})
    asked = document["lift"].get("training_shares", {})
    targets = Table("budget on", *asked, title=f"{name}: lift of recall, relative")
    for action, cells in lift.items():
        targets.add_row(action, *[_text(cell, "relative", sign=True) for cell in cells.values()])
    for part in (steps, targets):
        if part.row_count:
            console.print(part)


def _text(cell: dict[str, Any] | None, key: str = "value", *, sign: bool = False) -> str:
    if cell is None or cell[key] is None:
        return "-"
    low, high = (cell["low"], cell["high"]) if key == "value" else (cell[f"{key}_low"], cell[f"{key}_high"])
    form = "+.3f" if sign else ".3f"
    return f"{cell[key]:{form}} [{low:{form}}, {high:{form}}]"
