"""evaluation.json and per_user.parquet: what was measured, laid out for the gate, the report and later comparisons.

A number that does not exist is null, never 0. An estimate is {"value", "low", "high", "n"}, n = users behind it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from pinrec_core.data.dataset import Dataset
from pinrec_core.evaluation.bootstrap import Estimate
from pinrec_core.evaluation.metrics import coverage, distinct_items
from pinrec_core.evaluation.slices import Slices
from pinrec_core.evaluation.subject import Answers
from pinrec_core.evaluation.table import DIFFERENCE, LIVE, MODEL, Table
from pinrec_core.schemas import SPLITS

Found = dict[tuple[str, ...], Estimate]


def document(table: Table, found: Found, answers: dict[str, Answers], slices: Slices,
             dataset: Dataset) -> dict[str, Any]:
    """Everything of evaluation.json that follows from the answers."""
    cohort = table.cohort
    retrievable = int(dataset.retrievable_I.sum())
    spread = {row: _spread(answer, table.ks, retrievable) for row, answer in answers.items()}
    rows = [_row(name, found, spread[name]) for name in answers if name != LIVE]
    baselines = [name for name in answers if name not in (MODEL, LIVE)]
    return {
        "surface": cohort.surface, "unit": cohort.unit, "n_users": len(cohort.user_U), "n_requests": len(cohort),
        "n_targets": len(cohort.item_T), "n_retrievable": retrievable,
        "metrics": _of(found, MODEL) | spread[MODEL],
        **{f"by_{kind}": {name: _of(found, MODEL, kind, name) for name in named} for kind, named in slices.items()},
        "targets_by_action": {name: int(((cohort.actions_T >> bit) & 1).sum())
                              for bit, name in enumerate(dataset.log.positive_actions)},
        "rows": rows, "baselines": {name: _comparison(found, name) for name in baselines},
        "best_baseline": _best(found, baselines),
        "vectors": _number(answers[MODEL].vectors)}


def live_part(release_id: str | None, found: Found, answers: dict[str, Answers],
              slices: Slices) -> dict[str, Any] | None:
    """The live release on the same requests, and candidate minus live, paired by user; None without one."""
    if release_id is None:
        return None
    return {"release_id": release_id, **_comparison(found, LIVE), "vectors": _number(answers[LIVE].vectors),
            "slices": {kind: {name: _comparison(found, LIVE, kind, name) for name in named}
                       for kind, named in slices.items()}}


def per_user(table: Table, dataset: Dataset) -> pa.Table:
    """One row per user of the cohort: user_id, split, n_targets, and "<row>.<metric>" for every row and metric."""
    cohort = table.cohort
    user_of_T = cohort.row_R[cohort.request_T]
    columns = {"user_id": dataset.user_ids.take(pa.array(cohort.user_U)),
               "split": pa.array([SPLITS[code] for code in dataset.split_U[cohort.user_U]], pa.string()),
               "n_targets": pa.array(np.bincount(user_of_T, minlength=len(cohort.user_U)), pa.int64())}
    for key, value_U in table.columns.items():
        if len(key) == 2:
            columns[".".join(key)] = pa.array(value_U, pa.float64(), from_pandas=True)
    return pa.table(columns)


def _of(found: Found, *prefix: str) -> dict[str, Any]:
    """All metrics under a prefix of column keys."""
    return {key[-1]: {"value": _number(e.value), "low": _number(e.low), "high": _number(e.high), "n": e.n}
            for key, e in found.items() if key[:-1] == prefix}


def _comparison(found: Found, *prefix: str) -> dict[str, Any]:
    """Another row on the same users, and the candidate minus it."""
    return {"metrics": _of(found, *prefix), "difference": _of(found, DIFFERENCE, *prefix)}


def _row(name: str, found: Found, spread: dict[str, Any]) -> dict[str, Any]:
    """One line of the table: plain values."""
    mine = _of(found, name)
    values = {metric: cell["value"] for metric, cell in (mine | spread).items()}
    return {"name": name, "n": max((cell["n"] for cell in mine.values()), default=0)} | values


def _best(found: Found, baselines: list[str]) -> dict[str, Any]:
    """The strongest baseline of each metric, the first at a tie, and pinrec minus it."""
    best = {}
    for name in baselines:
        for metric, cell in _of(found, name).items():
            if cell["value"] is not None and cell["value"] > best.get(metric, {"value": -1})["value"]:
                best[metric] = {"name": name, "value": cell["value"],
                                "difference": _of(found, DIFFERENCE, name)[metric]}
    return best


def _spread(answer: Answers, ks: tuple[int, ...], retrievable: int) -> dict[str, Any]:
    """Coverage and number of distinct items; n = requests."""
    n = len(answer.item_RN)
    share = {f"coverage@{k}": {"value": _number(coverage(answer.item_RN, k, retrievable)) if n else None, "n": n}
             for k in ks}
    return share | {f"distinct@{k}": {"value": distinct_items(answer.item_RN, k) if n else None, "n": n} for k in ks}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
